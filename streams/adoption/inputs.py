"""What the process role reads and where its decisions go: the contract's topics, or another system's.

State and offsets know three places, which are numbers. A foreign topic has the place of the first topic of
the contract that it feeds, so the order of a mapping's topics says nothing. And since a decision is named by
the offset of its view, an outcome by that of its event, each topic of the contract has one foreign source.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from xxhash import xxh3_64_intdigest

from schemas.events import Event
from schemas.topics import DECISIONS, INPUTS, TOPICS, Topic
from streams.adoption.applying import TopicRules, UnmappableError
from streams.adoption.mapping import IGNORE, TOPIC_OF, Mapping, MappingError, TopicMapping, load
from streams.processor.arrival import Arrival, Decode, ahead, decode
from streams.settings import Adoption

PLACES = range(len(INPUTS))


class Inputs(Struct, frozen=True):
    """The topics that are read, by place, and how their records are decoded."""

    topics: tuple[Topic | None, ...]
    """None at a place that nothing feeds."""
    decode: Decode
    decisions: str
    """The topic that decisions go to."""
    identity: int = 0
    """Of the topics and their places, as the state remembers it; 0 is the contract's."""
    ignores: bool = False
    """Whether a record may be read without an effect."""

    @property
    def read(self) -> tuple[Topic, ...]:
        """The topics that there are."""
        return tuple(topic for topic in self.topics if topic is not None)

    @property
    def numbers(self) -> dict[str, int]:
        """The place of each topic."""
        return {topic.name: place for place, topic in enumerate(self.topics) if topic is not None}


CONTRACT = Inputs(INPUTS, decode, DECISIONS.name)


def open_inputs(adoption: Adoption) -> Inputs:
    """What the settings say is read; raises ``MappingError``."""
    if not adoption.mapping:
        return CONTRACT
    return inputs_of(load(Path(adoption.mapping)), adoption)


def inputs_of(mapping: Mapping, adoption: Adoption) -> Inputs:
    """The topics of a mapping as inputs; raises ``MappingError`` where two feed one topic of the contract."""
    topics: list[Topic | None] = [None for _ in PLACES]
    rules: list[TopicRules | None] = [None for _ in PLACES]
    fed: dict[str, str] = {}
    ours = {topic.name for topic in TOPICS} | {adoption.shadow_topic}
    for source in mapping.topics:
        if source.name in ours:
            raise MappingError(f"Expected another system's topic, got `{source.name}`, which Headrace makes")
        kinds = fed_by(source)
        for kind in kinds:
            if kind in fed:
                raise MappingError(
                    f"Expected one source of `{kind}`, got `{fed[kind]}` and `{source.name}`: merge them "
                    "into the contract's own topics with `headrace adopt bridge`"
                )
            fed[kind] = source.name
        if not kinds:
            raise MappingError(f"Expected a rule of `{source.name}` for an event, got none but to ignore")
        place = min(INPUTS.index(kind) for kind in map(_input, kinds))
        topics[place] = Topic(
            name=source.name,
            partitions="input",
            cleanup="delete",
            direction="in",
            description="Another system's events, read by a mapping.",
            key="the user, as that system names it",
        )
        rules[place] = TopicRules(source)
    identity = xxh3_64_intdigest("\n".join(topic.name if topic else "" for topic in topics).encode()) >> 1
    return Inputs(
        tuple(topics),
        decoder(rules),
        adoption.shadow_topic if adoption.shadow else DECISIONS.name,
        identity,
        any(rule.event == IGNORE for source in mapping.topics for rule in source.rules),
    )


def fed_by(source: TopicMapping) -> list[str]:
    """The contract's topics that a foreign one feeds, in the order of the contract."""
    names = {TOPIC_OF[rule.event].name for rule in source.rules if rule.event != IGNORE}
    return [topic.name for topic in INPUTS if topic.name in names]


def decoder(rules_of: Sequence[TopicRules | None]) -> Decode:
    """``streams.processor.arrival.decode`` for foreign topics, by the rules of each place."""

    def decode(
        topic: int, partition: int, offset: int, ts_ms: int, value: bytes | None, max_ahead_ms: int
    ) -> Arrival:
        raw = value or b""
        rules = rules_of[topic]
        assert rules is not None
        event: Event | None = None
        reason = ""
        try:
            event = rules.event(raw, partition, offset)
        except UnmappableError as error:
            reason = str(error)
        if event is not None and 0 <= ts_ms < event.ts_ms - max_ahead_ms:
            event, reason = None, ahead(max_ahead_ms)
        return Arrival(topic, partition, offset, ts_ms, raw, event, reason, rules.name)

    return decode


def expected_topics(inputs: Inputs) -> tuple[Topic, ...]:
    """Every topic that a worker needs: the inputs, and what it writes itself."""
    if inputs is CONTRACT:
        return TOPICS
    others = tuple(topic for topic in TOPICS if topic not in INPUTS)
    return (*inputs.read, *others, *shadow_topics(inputs))


def shadow_topics(inputs: Inputs) -> tuple[Topic, ...]:
    """The topic that decisions go to while nobody is served."""
    if inputs.decisions == DECISIONS.name:
        return ()
    return (replace(DECISIONS, name=inputs.decisions, description="Decisions that serve nobody."),)


def _input(name: str) -> Topic:
    return next(topic for topic in INPUTS if topic.name == name)
