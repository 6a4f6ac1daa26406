"""Two results held against each other: how much differs, and where first."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from models.features import CROSSED, CROSSES, DERIVED, FEATURES
from schemas.examples import decode_example
from schemas.topics import EXAMPLES, MODEL
from streams.agents.learn import learner_of
from streams.bench.faults.log import records_of
from streams.bench.faults.results import Record, Results
from streams.settings import Settings

DECAYED_TOLERANCE = 1e-6
"""Relative: sums of floats depend on the order in which they are added up."""
SHOWN = 5

BY_PROFILE = {*DERIVED} - {"hour"}
PROFILE_FEATURES = [
    index
    for index, name in enumerate(FEATURES)
    if name in BY_PROFILE
    or name in {x for x, (_, by) in zip(CROSSES, CROSSED, strict=True) if by in BY_PROFILE}
]
"""Places of the features that depend on what had arrived when the request did."""
BY_ARRIVAL = (
    "session_start_ms", "dwell_s", "session_views", "session_items", "session_searches", "session_carts",
    "session_checkouts", "context", "buckets",
)  # fmt: skip
"""Fields of rows that go by arrival; ``buckets`` of examples are compared without the profile's."""


class Differences(Struct, frozen=True):
    """How much differs between runs and the oracle; all but the first two must be 0."""

    raw_copies: int
    """Decisions that were written again, under the same identity."""
    conflicting_copies: int
    """Identities of decisions whose copies differ: newer weights had arrived. The first one counts."""
    missing_decisions: int
    other_decisions: int
    """Decisions that were not asked for, or whose first copy says otherwise, weights aside."""
    profile_mismatches: int
    outcome_mismatches: int
    example_mismatches: int
    dead_letter_mismatches: int
    """Missing, unheard of, or different."""
    repeated_records: int
    """Outcomes, examples and dead letters that are there more than once."""
    pending_mismatches: int
    """Requests, exposures, clicks and orders in the state."""
    counter_mismatches: int
    """Partitions whose counters or offsets differ."""
    spend_mismatch_micros: int
    """Of profiles and of outcomes, summed up without sign."""


class Comparison(Differences, frozen=True):
    """What differs between one run and the oracle."""

    first: dict[str, list[str]]
    """The first few that differ: identity, and what of it."""

    @property
    def same(self) -> bool:
        """Whether nothing was lost and nothing counted twice."""
        free = ("raw_copies", "conflicting_copies", "first")
        return not any(getattr(self, name) for name in self.__struct_fields__ if name not in free)


def compare(expected: Results, actual: Results, by_arrival: bool) -> Comparison:
    """Hold a run against the oracle.

    ``by_arrival``: topics were not read in one determined order, so that what depends on it is left out:
    features of the profile, the running session, and how many events were late.
    """
    rows = _differing(_rows(expected, by_arrival), _rows(actual, by_arrival))
    differing = {
        "missing_decisions": expected.decisions.keys() - actual.decisions.keys(),
        "other_decisions": {
            each for each in actual.decisions if actual.decisions[each] != expected.decisions.get(each)
        },
        "profile_mismatches": {
            key[::2] for key in rows if key[1] == b"P"
        } | _differing_sums(expected.decayed, actual.decayed),
        "outcome_mismatches": _differing(expected.outcomes, actual.outcomes),
        "example_mismatches": _differing(
            expected.examples, actual.examples, _without_profile if by_arrival else None
        ),
        "dead_letter_mismatches": _differing(expected.dead_letters, actual.dead_letters),
        "pending_mismatches": {key for key in rows if key[1] != b"P"},
        "counter_mismatches": _differing(
            expected.progress, actual.progress, _by_events if by_arrival else _by_order
        ),
    }  # fmt: skip
    records = {
        name: (getattr(expected, field), getattr(actual, field))
        for name, field in {
            "other_decisions": "decisions",
            "outcome_mismatches": "outcomes",
            "example_mismatches": "examples",
            "dead_letter_mismatches": "dead_letters",
            "counter_mismatches": "progress",
        }.items()
    }
    return Comparison(
        raw_copies=actual.copies,
        conflicting_copies=len(actual.conflicting),
        spend_mismatch_micros=_apart(_spend(expected), _spend(actual))
        + _apart(_revenue(expected), _revenue(actual)),
        repeated_records=len(actual.repeated),
        first={
            name: [_shown(key, *records.get(name, ({}, {}))) for key in sorted(keys, key=str)[:SHOWN]]
            for name, keys in {**differing, "repeated_records": actual.repeated}.items()
            if keys
        },
        **{name: len(keys) for name, keys in differing.items()},
    )


def learner_differences(settings: Settings) -> list[str]:
    """What of the state on `model` differs from that of a learner that reads `examples` once, in order."""
    replayed, published = learner_of(settings), learner_of(settings)
    published.restore((record.key.decode(), record.value) for record in records_of(settings.kafka, MODEL)[0])
    learned = [
        decode_example(record.value)
        for record in records_of(settings.kafka, EXAMPLES)[0]
        if record.offset < published.version  # the last ones may have come when the learner had stopped
    ]
    replayed.learn(learned, published.version)
    return replayed.differences(published)


def _differing(
    expected: Mapping[Any, Any], actual: Mapping[Any, Any], view: Callable[[Any], Any] | None = None
) -> set[Any]:
    """Keys of what is different, or missing on one side."""
    keys = {key for key in expected.keys() | actual.keys() if expected.get(key) != actual.get(key)}
    if view is None:
        return keys
    return {
        key
        for key in keys
        if key not in expected or key not in actual or view(expected[key]) != view(actual[key])
    }


def _differing_sums(expected: Mapping[Any, list[float]], actual: Mapping[Any, list[float]]) -> set[Any]:
    users = sorted(expected.keys() & actual.keys())
    if not users:
        return set()
    sums = [np.array([side[user] for user in users]) for side in (expected, actual)]
    wrong = ~np.isclose(sums[1], sums[0], rtol=DECAYED_TOLERANCE, atol=0.0).all(axis=1)
    return {users[index] for index in np.flatnonzero(wrong)}


def _shown(key: Any, expected: Mapping[Any, Record], actual: Mapping[Any, Record]) -> str:
    """A key, and the fields of its record that differ."""
    if key not in expected and key not in actual:
        return str(key)
    if key not in expected or key not in actual:
        return f"{key}: {'missing' if key in expected else 'not expected'}"
    fields = [
        f"{name}: {_apart_of(name, wanted, got)}"
        for name, wanted in expected[key].items()
        if (got := actual[key].get(name)) != wanted
    ]
    return f"{key}: {'; '.join(fields)}"


def _apart_of(name: str, expected: Any, actual: Any) -> str:
    if name != "buckets" or len(expected) != len(actual):
        return f"expected {expected!r}, got {actual!r}"
    fields = zip(FEATURES, expected, actual, strict=True)
    return ", ".join(f"{feature} {wanted} and {got}" for feature, wanted, got in fields if wanted != got)


def _rows(results: Results, by_arrival: bool) -> Mapping[Any, Record]:
    if not by_arrival:
        return results.rows
    return {
        key: {name: value for name, value in row.items() if name not in BY_ARRIVAL}
        for key, row in results.rows.items()
    }


def _without_profile(example: Record) -> Record:
    buckets = [bucket for index, bucket in enumerate(example["buckets"]) if index not in PROFILE_FEATURES]
    return example | {"buckets": buckets}


def _by_order(progress: Record) -> Record:
    """Whether a claim finds something goes by when it comes: what it fetches is compared by the profiles."""
    return progress | {"transfers": 0, "merges": 0}


def _by_events(progress: Record) -> Record:
    """A login that is late asks again if the one before has been forgotten by then."""
    return _by_order(progress) | {"late": 0, "claims": 0}


def _spend(results: Results) -> dict[Any, int]:
    return {key: row["spend_micros"] for key, row in results.rows.items() if key[1] == b"P"}


def _revenue(results: Results) -> dict[Any, int]:
    return {identity: outcome["revenue_micros"] for identity, outcome in results.outcomes.items()}


def _apart(expected: Mapping[Any, int], actual: Mapping[Any, int]) -> int:
    keys: Collection[Any] = expected.keys() | actual.keys()
    return sum(abs(expected.get(key, 0) - actual.get(key, 0)) for key in keys)
