"""What came out of a run, in a shape in which two runs can be held against each other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from delivery.log import newest_by_key, records_of

from schemas.topics import DECISIONS, EXAMPLES, OUTCOMES, STATE
from streams.settings import Settings
from streams.state.partition import PartitionState

DECAYED = ("decayed", "affinity", "price_band")
"""Fields of a profile that are sums of floats; all others are whole."""
BY_WEIGHTS = (
    "chosen_id", "campaign_id", "propensity", "price_micros", "model_version", "p_click", "logit",
    "contributions",
)  # fmt: skip
"""Fields of a placement that depend on the weights, which depend on when the learner was how far."""
SHOWN = 3

Record = dict[str, Any]


class Results(NamedTuple):
    """Effects of all events: exactly once in each."""

    progress: dict[int, Record]
    """By partition: next offsets, stream time and counters."""
    rows: dict[tuple[int, bytes, int], Record]
    """Whole fields of all rows of state, by partition, kind and key."""
    decayed: dict[tuple[int, int], list[float]]
    """Decayed sums of the profiles, by partition and key."""
    outcomes: dict[str, Record]
    examples: dict[str, Record]
    decisions: dict[str, Record]
    """By identity, without what depends on the weights."""
    repeated: list[str]
    """Identities of outcomes and examples that are there more than once."""


def of_states(
    states: Mapping[int, PartitionState],
    decisions: Iterable[bytes],
    outcomes: Iterable[bytes],
    examples: Iterable[bytes],
) -> Results:
    """Results from restored or computed states and the values of records, first copies first."""
    rows, decayed = {}, {}
    for partition, state in states.items():
        for pool in state.pools:
            for row in pool:
                whole = [name for name in row.dtype.names if name not in DECAYED]
                rows[partition, pool.kind, int(row["key"])] = {name: row[name].tolist() for name in whole}
        for row in state.profiles:
            sums = np.concatenate([row[name].ravel() for name in DECAYED])
            decayed[partition, int(row["key"])] = sums.tolist()
    outcome_records = [orjson.loads(value) for value in outcomes]
    example_records = [orjson.loads(value) for value in examples]
    first_copies: dict[str, Record] = {}
    for value in decisions:
        decision = orjson.loads(value)
        first_copies.setdefault(decision["decision_id"], _without_weights(decision))
    identities = Counter(each["outcome_id"] for each in outcome_records)
    identities.update(each["example_id"] for each in example_records)
    return Results(
        progress={
            partition: {"stream_ms": state.stream_ms, "offsets": state.offsets, **state.counters}
            for partition, state in states.items()
        },
        rows=rows,
        decayed=decayed,
        outcomes={each["outcome_id"]: each for each in outcome_records},
        examples={each["example_id"]: each for each in example_records},
        decisions=first_copies,
        repeated=[identity for identity, count in identities.items() if count > 1],
    )


def left_results(settings: Settings) -> Results:
    """What a run left on the topics."""
    kafka = settings.kafka
    states = {}
    for partition, records in records_of(kafka, STATE).items():
        states[partition] = PartitionState(settings.state, settings.processing)
        states[partition].restore(newest_by_key(records).items())

    def values(topic: Any) -> list[bytes]:
        return [record.value for records in records_of(kafka, topic).values() for record in records]

    return of_states(states, values(DECISIONS), values(OUTCOMES), values(EXAMPLES))


def assert_same(expected: Results, actual: Results) -> None:
    """Nothing lost, nothing twice, nothing else; whole numbers equal, decayed sums within 1e-6."""
    assert [] == actual.repeated
    for name in ("progress", "decisions", "outcomes", "examples", "rows"):
        assert {} == _differences(getattr(expected, name), getattr(actual, name)), name
    assert expected.decayed.keys() == actual.decayed.keys()
    users = sorted(expected.decayed)
    np.testing.assert_allclose(
        [actual.decayed[user] for user in users], [expected.decayed[user] for user in users], rtol=1e-6
    )


def _differences(expected: Mapping[Any, Any], actual: Mapping[Any, Any]) -> Record:
    """How many differ, and the first few with both sides: pytest would take minutes over all of them."""
    keys = [key for key in expected.keys() | actual.keys() if expected.get(key) != actual.get(key)]
    if not keys:
        return {}
    shown = {str(key): (expected.get(key), actual.get(key)) for key in sorted(keys)[:SHOWN]}
    return {"differing": len(keys), "missing": len(expected.keys() - actual.keys()), **shown}


def _without_weights(decision: Record) -> Record:
    """A promotion depends on no weights; a placement's candidates do not."""
    if decision["kind"] == "promotion":
        return {name: value for name, value in decision.items() if name != "model_version"}
    kept = {name: value for name, value in decision.items() if name not in BY_WEIGHTS}
    kept["candidates"] = kept["candidates"]["ids"]
    return kept
