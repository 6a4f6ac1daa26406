"""``headrace explain``."""

from collections.abc import Callable

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.sinks.engine import EngineStore

PAGE = """\
placement views-0-1-0
  2026-09-21 14:13:20.123 UTC, shop main, page home, slot home-top, position 1
  chosen: a1, campaign c1
  propensity 0.750000 by policy softmax-ecpm-1
  personal, model version 40
  record: partition 0, offset 0

Candidates
  id   p_click  score_micros  propensity  rejected
  a1  0.200000        100000    0.750000
  a2  0.100000         50000    0.250000
  a3  0.300000             0    0.000000  capped
  a4         -             -    0.000000  budget

Contributions to the logit of a1
  group          share
  baseline   -2.000000
  ad         +0.500000
  situation  +0.250000

  feature      share
  bias     -2.000000
  ad       +0.500000
  hour     +0.250000
  sum      -1.250000
  logit    -1.250000
  p_click = 1 / (1 + exp(-logit)) = 0.200000

Outcomes so far
  ts                       kind      delay_s  revenue
  2026-09-21 14:13:20.133  exposure      0.0     0.00
  2026-09-21 14:13:20.163  click         9.5     0.00
  2026-09-21 14:13:20.183  purchase      9.5    30.00
  2026-09-21 14:13:20.193  refund        9.5   -10.00
"""


Explain = Callable[..., Result]


@pytest.fixture
def explain(engine: str, database: str, shop_store: EngineStore) -> Explain:
    """Runs the command on the shop."""
    environment = {"HEADRACE_CLICKHOUSE_ENGINE_URL": engine, "HEADRACE_CLICKHOUSE_DATABASE": database}
    return lambda *arguments: CliRunner().invoke(main, ["explain", *arguments], env=environment)


def test_the_page_shows_the_whole_audit(explain: Explain) -> None:
    """Of two copies the first; candidates by propensity, contributions by size, outcomes by time."""
    result = explain("views-0-1-0")
    assert PAGE == result.stdout
    assert 0 == result.exit_code


def test_a_promotion_has_no_scores(explain: Explain) -> None:
    """What its policy does not use is a dash, and no section is empty."""
    page = explain("views-0-3-0").stdout
    assert ["none", "-", "-", "0.500000"] in [line.split() for line in page.splitlines()]
    assert "Contributions" not in page
    assert page.endswith("Outcomes so far\n  none\n")


def test_json_is_one_object(explain: Explain) -> None:
    """The columns of the decision, and its outcomes."""
    report = orjson.loads(explain("views-0-1-0", "--json").stdout)
    assert ("a1", 0.75, {"bias": -2.0, "ad": 0.5, "hour": 0.25}) == (
        report["chosen_id"],
        report["propensity"],
        report["contributions"],
    )
    assert {"baseline": -2.0, "ad": 0.5, "situation": 0.25} == report["contributions_by_group"]
    assert ["exposure", "click", "purchase", "refund"] == [one["kind"] for one in report["outcomes"]]


def test_invalid_traffic_is_shown_with_its_reason(explain: Explain) -> None:
    """What counted for nothing from the start, and what was taken back later."""
    page = explain("views-0-2-0").stdout
    kinds = [line.split("  ")[2].strip() for line in page.partition("Outcomes so far")[2].splitlines()[2:]]
    assert ["exposure", "click, invalid: impossible_timing", "click", "credit, invalid: rate"] == kinds


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_who_was_decided_for_is_not_told(explain: Explain, arguments: tuple[str, ...]) -> None:
    """Neither the user, nor the event, nor the order."""
    assert "of-the-test" not in explain("views-0-1-0", *arguments).stdout


def test_a_decision_that_is_not_there_fails_with_one_sentence(explain: Explain) -> None:
    """Exit status 1 and where ids are; an id is never read as SQL."""
    result = explain("x' OR 1 = 1")
    expected = "There is no decision x' OR 1 = 1 (yet); `headrace query recent_decisions` shows the newest"
    assert (1, "", f"Error: {expected}\n") == (result.exit_code, result.stdout, result.stderr)
