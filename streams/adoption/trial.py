"""A mapping tried on a sample: what becomes of every record, and what no rule looks at."""

from collections import Counter, defaultdict
from collections.abc import Mapping as Map
from collections.abc import Sequence
from typing import Any

import orjson
from msgspec import Struct

from streams.adoption.applying import TopicRules, UnmappableError, used_paths
from streams.adoption.mapping import Mapping, TopicMapping
from streams.adoption.paths import Steps, getter, parse, render
from streams.adoption.sampling import Sampled
from streams.adoption.shapes import scalars

MAX_WORDS = 50
"""Different words that tell a kind and are shown; more are no kinds but data."""
MAX_UNMAPPED = 500
"""Paths without use that are reported."""


class TopicReport(Struct, frozen=True):
    """What a mapping makes of a topic's sample; ``sampled`` = mapped + ignored + dead letters."""

    topic: str
    sampled: int
    mapped: dict[str, int]
    """Events by their ``type`` in the contract."""
    ignored: int
    """Records that the mapping says to ignore."""
    dead_letters: dict[str, int]
    """Records that no worker could use, by reason."""
    unknown: dict[str, int]
    """Of these, the words of records that no rule is for; empty where there are too many of them."""
    unmapped: dict[str, float]
    """Paths that no rule looks at: share of the mapped records that have them, the most frequent first."""
    partitions: int
    """That the sample comes from."""
    users: int
    """In the mapped events."""
    scattered_users: int
    """Of whom events lie in several partitions: a worker would take these for several users."""

    @property
    def mapped_share(self) -> float:
        """Of all records."""
        return sum(self.mapped.values()) / self.sampled if self.sampled else 0.0


def try_on(mapping: Mapping, samples: Map[str, Sequence[Sampled]]) -> list[TopicReport]:
    """What becomes of each topic's sample; topics without a mapping have nothing mapped."""
    rules_of = {topic.name: topic for topic in mapping.topics}
    return [_try_topic(rules_of.get(name), name, sample) for name, sample in samples.items()]


def _try_topic(mapping: TopicMapping | None, name: str, sample: Sequence[Sampled]) -> TopicReport:
    rules = TopicRules(mapping) if mapping is not None else None
    used = {id(rule): used_paths(rule) for rule in mapping.rules} if mapping is not None else {}
    kinds = sorted({path for rule in mapping.rules for path in rule.when}) if mapping is not None else []
    mapped: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    unmapped: Counter[Steps] = Counter()
    places: defaultdict[str, set[int]] = defaultdict(set)
    ignored = 0
    for record in sample:
        if rules is None:
            dead["Expected a topic that the mapping has, got none of its rules"] += 1
            continue
        try:
            event = rules.event(record.value, record.partition, record.offset)
        except UnmappableError as error:
            dead[str(error)] += 1
            if str(error).startswith("Expected a kind"):
                unknown[_word(record.value, kinds)] += 1
            continue
        if event is None:
            ignored += 1
            continue
        mapped[str(event.__struct_config__.tag)] += 1
        places[event.user_id].add(record.partition)
        seen = used[id(rules.rule(record.value))]
        unmapped.update(
            steps
            for steps in dict.fromkeys(steps for steps, _ in scalars(orjson.loads(record.value)))
            if steps not in seen
        )
    total = sum(mapped.values())
    return TopicReport(
        topic=name,
        sampled=len(sample),
        mapped=dict(mapped),
        ignored=ignored,
        dead_letters=dict(dead.most_common()),
        unknown=dict(unknown.most_common()) if len(unknown) <= MAX_WORDS else {},
        unmapped={render(steps): count / total for steps, count in unmapped.most_common(MAX_UNMAPPED)},
        partitions=len({record.partition for record in sample}),
        users=len(places),
        scattered_users=sum(len(numbers) > 1 for numbers in places.values()),
    )


def _word(raw: bytes, kinds: Sequence[str]) -> str:
    """What a record says of its kind, by the paths that rules look at; what is no word is not shown."""
    record: Any = orjson.loads(raw)
    words = [getter(parse(path))(record) for path in kinds]
    return ", ".join(str(word) if type(word) in (str, int, bool) else "-" for word in words) or "-"
