"""``headrace explain``: why one decision was made, and what became of it."""

from collections.abc import Iterator
from typing import Any

import click
import orjson

from models.features import by_group
from streams.commands.store import command_store
from streams.commands.table import table
from streams.settings import Settings
from streams.sinks.store import Store

DECISION = """
SELECT * EXCEPT (user_id, event_id)
FROM unique_decisions
WHERE decision_id = {decision_id:String}
"""
OUTCOMES = """
SELECT ts, kind, delay_ms, revenue_micros, invalid
FROM unique_outcomes
WHERE decision_id = {decision_id:String}
ORDER BY ts, outcome_id
"""

EPILOG = """\b
Examples:
  headrace explain views-3-1174-0
  headrace explain views-3-1174-0 --json
  headrace query recent_decisions    # where the ids are
"""


@click.command(epilog=EPILOG)
@click.argument("decision_id")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def explain(settings: Settings, decision_id: str, as_json: bool) -> None:
    """Show the audit of one decision: candidates, propensities, contributions, outcomes.

    The user is not shown.
    """
    with command_store(settings) as store:
        decision = _find(store, decision_id)
    if as_json:
        click.echo(orjson.dumps(decision, default=str))
    else:
        click.echo("\n".join(_page(decision)))


def _find(store: Store, decision_id: str) -> dict[str, Any]:
    parameters = {"decision_id": decision_id}
    found = store.query(DECISION, parameters)
    if not found.rows:
        raise click.ClickException(
            f"There is no decision {decision_id} (yet); `headrace query recent_decisions` shows the newest"
        )
    outcomes = store.query(OUTCOMES, parameters)
    decision = dict(zip(found.columns, found.rows[0], strict=True))
    return decision | {
        "contributions_by_group": by_group(decision["contributions"]),
        "outcomes": [dict(zip(outcomes.columns, row, strict=True)) for row in outcomes.rows],
    }


def _page(decision: dict[str, Any]) -> Iterator[str]:
    yield "{kind} {decision_id}".format(**decision)
    yield "  {ts} UTC, shop {shop_id}, page {page}, slot {slot_id}, position {position}".format(**decision)
    yield "  chosen: {chosen_id}, campaign {campaign_id}".format(**decision)
    yield "  propensity {propensity:.6f} by policy {policy}".format(**decision)
    yield "  {basis}, model version {model_version}".format(**decision)
    yield "  record: partition {topic_partition}, offset {topic_offset}".format(**decision)
    yield "\nCandidates"
    yield _indented(table(["id", "p_click", "score_micros", "propensity", "rejected"], _candidates(decision)))
    if decision["contributions"]:
        yield "\nContributions to the logit of {chosen_id}".format(**decision)
        groups = [[group, f"{share:+.6f}"] for group, share in decision["contributions_by_group"].items()]
        yield _indented(table(["group", "share"], groups))
        yield ""
        yield _indented(table(["feature", "share"], _contributions(decision)))
        yield "  p_click = 1 / (1 + exp(-logit)) = {p_click:.6f}".format(**decision)
    yield "\nOutcomes so far"
    outcomes = [
        [
            one["ts"],
            one["kind"] + (f", invalid: {one['invalid']}" if one["invalid"] else ""),
            f"{one['delay_ms'] / 1000:.1f}",
            f"{one['revenue_micros'] / 1e6:.2f}",
        ]
        for one in decision["outcomes"]
    ]
    yield _indented(table(["ts", "kind", "delay_s", "revenue"], outcomes)) if outcomes else "  none"


def _candidates(decision: dict[str, Any]) -> list[list[Any]]:
    """Rows of the candidates, likeliest first; then what was rejected before it could compete."""
    ids = decision["candidate_ids"]
    reason = {name: why for why, names in decision["rejected"].items() for name in names}
    rows = [
        [
            name,
            f"{p_click:.6f}" if p_click is not None else "-",
            score if score is not None else "-",
            f"{propensity:.6f}",
            reason.get(name, ""),
        ]
        for name, p_click, score, propensity in zip(
            ids,
            decision["candidate_p_click"] or [None] * len(ids),
            decision["candidate_score_micros"] or [None] * len(ids),
            decision["candidate_propensity"],
            strict=True,
        )
    ]
    rows.sort(key=lambda row: row[3], reverse=True)
    return rows + [[name, "-", "-", f"{0:.6f}", why] for name, why in reason.items() if name not in ids]


def _contributions(decision: dict[str, Any]) -> list[list[str]]:
    """Rows of the features, strongest first, and their sum beside the logit of the record."""
    shares = sorted(decision["contributions"].items(), key=lambda item: abs(item[1]), reverse=True)
    rows = [[feature, f"{share:+.6f}"] for feature, share in shares]
    total = sum(share for _, share in shares)
    return [*rows, ["sum", f"{total:+.6f}"], ["logit", f"{decision['logit']:+.6f}"]]


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
