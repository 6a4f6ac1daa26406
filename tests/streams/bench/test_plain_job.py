from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from msgspec.json import encode
from traffic import new_processor, view

from schemas.decisions import decode_decision
from schemas.events import View, decode_view
from schemas.topics import CLICKS, DECISIONS, INPUTS, OUTCOMES, PURCHASES, VIEWS
from streams.bench.mix import START_MS, Mix, generate
from streams.bench.plain_deciding import Decider, Model, Shop
from streams.bench.plain_job import Job, Tables
from streams.processor.arrival import decode
from streams.settings import Processing, Settings, Validity

EVENTS = 8000  # 80 seconds of event time
SETTINGS = Settings(
    processing=Processing(click_window_s=20, lateness_s=1, attribution_window_s=30),
    validity=Validity(min_click_delay_ms=0, max_clicks=0),  # plain Faust has no rules for invalid traffic
)

Row = tuple[str, int, bytes]
"""Topic, offset and content of an event."""


@pytest.fixture(scope="module")
def mix() -> Mix:
    """Events of one partition; the last one, an hour later, lets everything fall due."""
    generated = generate(EVENTS, seed=5, partitions=1)
    last = view(START_MS + 3_600_000)
    generated.records[VIEWS.name, 0].append((b"u1", encode(last), last.ts_ms))
    return generated


def topic_by_topic(mix: Mix) -> list[Row]:
    """The two small topics first, as they may run ahead in Faust."""
    return [
        (topic.name, offset, value)
        for topic in (PURCHASES, CLICKS, VIEWS)
        for offset, (_, value, _) in enumerate(mix.records[topic.name, 0])
    ]


def in_time_order(mix: Mix) -> list[Row]:
    return sorted(topic_by_topic(mix), key=lambda row: orjson.loads(row[2])["ts_ms"])


def new_tables() -> Tables:
    return Tables(*({} for _ in Tables._fields))


def new_job(mix: Mix, tables: Tables) -> Job:
    return Job(0, tables, Decider(Shop(mix.catalog), Model(), SETTINGS.deciding), SETTINGS.processing)


def run(job: Job, rows: Iterable[Row]) -> dict[str, list[dict[str, Any]]]:
    """What a job says to these events, by topic."""
    said: dict[str, list[dict[str, Any]]] = {DECISIONS.name: [], OUTCOMES.name: []}
    for _, offset, value in rows:
        for topic, record in job.handle(orjson.loads(value), offset):
            said[topic].append(record)
    return said


def by_identity(outcomes: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {outcome["outcome_id"]: outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def said(mix: Mix) -> dict[str, list[dict[str, Any]]]:
    """What a job says to all events in time order."""
    return run(new_job(mix, new_tables()), in_time_order(mix))


def test_every_request_gets_its_decision(mix: Mix, said: dict[str, list[dict[str, Any]]]) -> None:
    """One decision a slot, under the identity that exposures echo."""
    views = [decode_view(value) for _, value, _ in mix.records["views", 0]]
    asked = [
        f"views-0-{offset}-{index}"
        for offset, view in enumerate(views)
        if isinstance(view, View)
        for index in range(len(view.slots))
    ]
    assert asked == [decision["decision_id"] for decision in said["decisions"]]


def test_decisions_keep_the_contract(said: dict[str, list[dict[str, Any]]]) -> None:
    """Each record is a full decision: propensities sum to 1, contributions to the logit."""
    decisions = [decode_decision(orjson.dumps(decision)) for decision in said["decisions"]]
    assert {"placement", "promotion"} == {decision.kind for decision in decisions}
    for decision in decisions:
        candidates = decision.candidates
        assert pytest.approx(1.0) == sum(candidates.propensity)
        assert candidates.propensity[candidates.ids.index(decision.chosen_id)] == decision.propensity
        assert pytest.approx(decision.logit) == sum(decision.contributions.values())


def test_outcomes_are_those_of_headrace(mix: Mix, said: dict[str, list[dict[str, Any]]]) -> None:
    """The same exposures, clicks and attributed orders, field by field."""
    numbers = {topic.name: number for number, topic in enumerate(INPUTS)}
    headrace = new_processor(SETTINGS, mix.catalog)
    headrace.process(
        decode(numbers[topic], 0, offset, -1, value, 0) for topic, offset, value in in_time_order(mix)
    )
    told = [orjson.loads(value) for _, value in headrace.output.outcomes]
    expected = [outcome for outcome in told if not outcome["invalid"]]
    assert {"exposure", "click", "purchase"} == {outcome["kind"] for outcome in expected}
    assert by_identity(expected) == by_identity(said["outcomes"])


def test_topics_that_run_ahead_change_no_outcome(mix: Mix, said: dict[str, list[dict[str, Any]]]) -> None:
    """Clicks and orders wait for the exposures before them, however early they come."""
    ahead = run(new_job(mix, new_tables()), topic_by_topic(mix))
    assert by_identity(said["outcomes"]) == by_identity(ahead["outcomes"])


def test_the_tables_hold_all_that_outcomes_need(mix: Mix, said: dict[str, list[dict[str, Any]]]) -> None:
    """A job that finds the tables as their changelogs have them goes on as if it had never stopped."""
    rows, tables = in_time_order(mix), new_tables()
    before = run(new_job(mix, tables), rows[: EVENTS // 2])
    restored = Tables(*(orjson.loads(orjson.dumps(table)) for table in tables))
    after = run(new_job(mix, restored), rows[EVENTS // 2 :])
    assert by_identity(said["outcomes"]) == by_identity(before["outcomes"] + after["outcomes"])


def test_clicks_and_closed_windows_are_learned(mix: Mix) -> None:
    """The model learns once from each exposure of an ad that was clicked or whose window has closed."""
    tables = new_tables()
    job = new_job(mix, tables)
    rows = in_time_order(mix)[:-1]
    run(job, rows)
    events = [orjson.loads(value) for _, _, value in rows]
    shown = [event for event in events if event["type"] == "exposure" and event.get("ad_id")]
    pending = [exposure for exposure in tables.exposures.values() if exposure["shown"]["ad_id"]]
    assert len(shown) == job.decider.model.learned + len(pending)
    assert 0 < len(pending) < job.decider.model.learned


def test_a_repeated_event_has_no_second_effect(mix: Mix) -> None:
    """The same event again neither decides nor counts."""
    job = new_job(mix, new_tables())
    run(job, in_time_order(mix))
    learned = job.decider.model.learned
    assert {"decisions": [], "outcomes": []} == run(job, in_time_order(mix))
    assert learned == job.decider.model.learned
