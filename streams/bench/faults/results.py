"""What came out of a run, in a shape in which two runs can be held against each other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson

from schemas.dead_letters import DeadLetter, decode_dead_letter
from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, OUTCOMES, STATE, Topic
from streams.bench.faults.log import newest_by_key, records_of
from streams.settings import Settings
from streams.state.partition import PartitionState
from streams.state.pool import Pool

DECAYED = ("decayed", "affinity", "price_band")
"""Fields of a profile that are sums of floats; all others are whole."""
BY_WEIGHTS = (
    "chosen_id", "campaign_id", "propensity", "price_micros", "model_version", "p_click", "logit",
    "contributions",
)  # fmt: skip
"""Fields of a placement that depend on the weights, which depend on when the learner was how far."""

Record = dict[str, Any]


class Values(NamedTuple):
    """Values of records, in the order of offsets."""

    decisions: list[bytes]
    outcomes: list[bytes]
    examples: list[bytes]
    dead_letters: list[bytes]


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
    dead_letters: dict[tuple[str, int, int], DeadLetter]
    decisions: dict[str, Record]
    """First copies by identity, without what depends on the weights."""
    repeated: list[str]
    """Identities of outcomes, examples and dead letters that are there more than once."""
    copies: int
    """Decisions that are there again."""
    conflicting: list[str]
    """Identities of decisions whose copies are not the same: newer weights had arrived."""


def of_states(states: Mapping[int, PartitionState], values: Values) -> Results:
    """Results from restored or computed states and the values of records."""
    rows: dict[tuple[int, bytes, int], Record] = {}
    decayed: dict[tuple[int, int], list[float]] = {}
    for partition, state in states.items():
        for pool in state.pools:
            for row in _whole_fields(pool):
                rows[partition, pool.kind, row["key"]] = row
        for profile in state.profiles:
            sums = np.concatenate([profile[name].ravel() for name in DECAYED])
            decayed[partition, int(profile["key"])] = sums.tolist()
    outcomes = [orjson.loads(value) for value in values.outcomes]
    examples = [orjson.loads(value) for value in values.examples]
    letters = [decode_dead_letter(value) for value in values.dead_letters]
    identities: Counter[Any] = Counter(each["outcome_id"] for each in outcomes)
    identities.update(each["example_id"] for each in examples)
    identities.update((each.topic, each.partition, each.offset) for each in letters)
    first_copies: dict[str, bytes] = {}
    conflicting: set[str] = set()
    for value in values.decisions:
        identity = orjson.loads(value)["decision_id"]
        if first_copies.setdefault(identity, value) != value:
            conflicting.add(identity)
    return Results(
        progress={
            partition: {"stream_ms": state.stream_ms, "offsets": state.offsets, **state.counters}
            for partition, state in states.items()
        },
        rows=rows,
        decayed=decayed,
        outcomes={each["outcome_id"]: each for each in outcomes},
        examples={each["example_id"]: each for each in examples},
        dead_letters={(each.topic, each.partition, each.offset): each for each in letters},
        decisions={
            identity: _without_weights(orjson.loads(value)) for identity, value in first_copies.items()
        },
        repeated=[str(identity) for identity, count in identities.items() if count > 1],
        copies=len(values.decisions) - len(first_copies),
        conflicting=sorted(conflicting),
    )


def left_results(settings: Settings) -> Results:
    """What a run left on the topics."""
    kafka = settings.kafka
    states = {}
    for partition, records in records_of(kafka, STATE).items():
        states[partition] = PartitionState(settings.state, settings.processing)
        states[partition].restore(newest_by_key(records).items())

    def values(topic: Topic) -> list[bytes]:
        return [record.value for records in records_of(kafka, topic).values() for record in records]

    return of_states(states, Values(*map(values, (DECISIONS, OUTCOMES, EXAMPLES, DEAD_LETTERS))))


def _whole_fields(pool: Pool) -> Iterable[Record]:
    held = pool.content()
    names = [name for name in held.dtype.names or () if name not in DECAYED]
    columns = [held[name].tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _without_weights(decision: Record) -> Record:
    """A promotion depends on no weights; a placement's candidates do not."""
    if decision["kind"] == "promotion":
        return {name: value for name, value in decision.items() if name != "model_version"}
    kept = {name: value for name, value in decision.items() if name not in BY_WEIGHTS}
    kept["candidates"] = kept["candidates"]["ids"]
    return kept
