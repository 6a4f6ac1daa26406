"""Whether a difference between a run and the oracle would be seen."""

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import INPUTS
from streams.bench.faults.comparison import Comparison, compare
from streams.bench.faults.results import Results, Values, of_states
from streams.bench.faults.stream import disturb
from streams.bench.mix import generate
from streams.processor.arrival import decode
from streams.processor.processor import Processor
from streams.settings import Processing, Settings

SETTINGS = Settings(processing=Processing(click_window_s=20.0, lateness_s=10.0))


@pytest.fixture(scope="module")
def results() -> Results:
    """What the processor makes of one partition."""
    mix = disturb(generate(8000, 1, 1), 1, skewed=False).mix
    catalog = Catalog(SETTINGS.learning.bits)
    catalog.extend(mix.catalog)
    processor = Processor(0, SETTINGS, catalog, ServingWeights("ctr", SETTINGS.learning.bits))
    arrivals = [
        (comes_ms, decode(number, 0, offset, comes_ms, value, 10**9))
        for number, topic in enumerate(INPUTS)
        for offset, (_, value, comes_ms) in enumerate(mix.records[topic.name, 0])
    ]
    processor.process(arrival for _, arrival in sorted(arrivals, key=lambda each: each[0]))
    output = processor.output
    values = [
        [value for _, value in messages]
        for messages in (output.decisions, output.outcomes, output.examples, output.dead_letters)
    ]
    return of_states({0: processor.state}, Values(*values))


def compared(results: Results, change: Callable[[Results], Any], by_arrival: bool = False) -> Comparison:
    """The results held against a changed copy."""
    actual = copy.deepcopy(results)
    replaced = change(actual)
    return compare(results, replaced if isinstance(replaced, Results) else actual, by_arrival)


def test_the_same_is_the_same(results: Results) -> None:
    """Nothing differs from itself, and there is something of everything to differ."""
    assert compared(results, lambda actual: None).same
    sizes = map(
        len, (results.decisions, results.outcomes, results.examples, results.dead_letters, results.rows)
    )
    assert min(sizes) > 5


CHANGES: dict[str, Callable[[Results], Any]] = {
    "missing_decisions": lambda actual: actual.decisions.popitem(),
    "other_decisions": lambda actual: next(iter(actual.decisions.values())).update(page="unheard-of"),
    "outcome_mismatches": lambda actual: actual.outcomes.popitem(),
    "example_mismatches": lambda actual: next(iter(actual.examples.values())).update(label=2),
    "dead_letter_mismatches": lambda actual: actual.dead_letters.popitem(),
    "repeated_records": lambda actual: actual.repeated.append("ctr-0-1-1"),
    "counter_mismatches": lambda actual: actual.progress[0].update(events=1),
    "pending_mismatches": lambda actual: actual.rows.pop(next(key for key in actual.rows if key[1] != b"P")),
    "profile_mismatches": lambda actual: next(iter(actual.decayed.values())).__setitem__(0, 1e9),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("by_arrival", [False, True])
def test_each_difference_is_counted_where_it_belongs(results: Results, name: str, by_arrival: bool) -> None:
    """One thing wrong is one mismatch of its kind, with its identity; the run does not pass."""
    comparison = compared(results, CHANGES[name], by_arrival)
    assert 1 == getattr(comparison, name)
    assert [name] == list(comparison.first)
    assert not comparison.same


def test_what_differs_is_said(results: Results) -> None:
    """Beside the identity stand the fields, or that there is no such record on one side."""
    identity = next(iter(results.examples))
    wrong = compared(results, lambda actual: actual.examples[identity].update(weight=-7.0), False)
    assert [f"{identity}: weight: expected {results.examples[identity]['weight']!r}, got -7.0"] == (
        wrong.first["example_mismatches"]
    )
    lost = compared(results, lambda actual: actual.examples.pop(identity), False)
    assert [f"{identity}: missing"] == lost.first["example_mismatches"]


def test_money_is_added_up(results: Results) -> None:
    """A micro too much of one user and one too few of another do not cancel out."""

    def move(actual: Results) -> None:
        profiles = [row for key, row in actual.rows.items() if key[1] == b"P"]
        profiles[0]["spend_micros"] += 1
        profiles[1]["spend_micros"] -= 1

    comparison = compared(results, move)
    assert (2, 2) == (comparison.spend_mismatch_micros, comparison.profile_mismatches)


def test_features_of_the_profile_go_by_arrival(results: Results) -> None:
    """They count where the order was determined, and only there; all other features always count."""

    def change(place: int) -> Callable[[Results], None]:
        return lambda actual: next(iter(actual.examples.values()))["buckets"].__setitem__(place, 0)

    by_profile, by_ad = 14, 24
    assert [1, 0] == [
        compared(results, change(by_profile), by_arrival).example_mismatches for by_arrival in (False, True)
    ]
    assert [1, 1] == [
        compared(results, change(by_ad), by_arrival).example_mismatches for by_arrival in (False, True)
    ]


def test_copies_of_a_decision_are_reported_and_do_no_harm(results: Results) -> None:
    """The first copy counts; how many there are and how many differ is told."""
    decision = {"decision_id": "views-0-1-0", "kind": "promotion", "model_version": 1}
    newer = decision | {"model_version": 2}
    copies = of_states({}, Values([orjson.dumps(each) for each in (decision, decision, newer)], [], [], []))
    assert (2, ["views-0-1-0"]) == (copies.copies, copies.conflicting)
    assert compare(copies, copies, by_arrival=False).same
