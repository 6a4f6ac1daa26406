from typing import Any

import orjson
import pytest

from schemas.decisions import decode_decision
from schemas.events import View, decode_view
from streams.bench.mix import Mix, generate
from streams.bench.plain_job import Job, Model, Shop
from streams.settings import Deciding

WINDOW_MS = 20_000


@pytest.fixture(scope="module")
def mix() -> Mix:
    return generate(8000, seed=5, partitions=1)


def in_time_order(mix: Mix) -> list[tuple[int, dict[str, Any]]]:
    """Offset and content of every event."""
    rows = [
        (ts_ms, topic, offset, orjson.loads(value))
        for (topic, _), records in mix.records.items()
        for offset, (_, value, ts_ms) in enumerate(records)
    ]
    return [(offset, event) for _, _, offset, event in sorted(rows, key=lambda row: row[:3])]


def new_job(mix: Mix) -> Job:
    return Job(Shop(mix.catalog), Model(), Deciding(), WINDOW_MS)


def run(job: Job, mix: Mix) -> list[dict[str, Any]]:
    return [decision for offset, event in in_time_order(mix) for decision in job.handle(event, 0, offset)]


def test_every_request_gets_its_decision(mix: Mix) -> None:
    """One decision a slot, under the identity that exposures echo."""
    views = [decode_view(value) for _, value, _ in mix.records["views", 0]]
    asked = [
        f"views-0-{offset}-{index}"
        for offset, view in enumerate(views)
        if isinstance(view, View)
        for index in range(len(view.slots))
    ]
    assert asked == [decision["decision_id"] for decision in run(new_job(mix), mix)]


def test_decisions_keep_the_contract(mix: Mix) -> None:
    """Each record is a full decision: propensities sum to 1, contributions to the logit."""
    decisions = [decode_decision(orjson.dumps(decision)) for decision in run(new_job(mix), mix)]
    assert {"placement", "promotion"} == {decision.kind for decision in decisions}
    for decision in decisions:
        candidates = decision.candidates
        assert pytest.approx(1.0) == sum(candidates.propensity)
        assert candidates.propensity[candidates.ids.index(decision.chosen_id)] == decision.propensity
        assert pytest.approx(decision.logit) == sum(decision.contributions.values())


def test_clicks_and_closed_windows_are_learned(mix: Mix) -> None:
    """The model learns once from each exposure of an ad that was clicked or whose window has closed."""
    job = new_job(mix)
    run(job, mix)
    shown = [event for _, event in in_time_order(mix) if event["type"] == "exposure" and event.get("ad_id")]
    assert len(shown) == job.model.learned + len(job.exposures)
    assert 0 < len(job.exposures) < job.model.learned


def test_a_repeated_event_has_no_second_effect(mix: Mix) -> None:
    """The same event again neither decides nor counts."""
    job = new_job(mix)
    run(job, mix)
    learned = job.model.learned
    assert [] == run(job, mix)
    assert learned == job.model.learned
