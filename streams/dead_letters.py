"""The topic `dead-letters`: reading it, summing it up, and sending its events again after a fix."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping

from aiokafka.structs import TopicPartition
from msgspec import Struct

from schemas.dead_letters import DeadLetter, decode_dead_letter
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.restore import count_partitions, open_reader, partition_numbers, read_from
from streams.delivery.sending import Message
from streams.processor.arrival import decode
from streams.routing import partition_of
from streams.settings import Settings

TOPIC_INDEX = {topic.name: index for index, topic in enumerate(INPUTS)}

FOREIGN = "It is of another system's topic, to which Headrace writes nothing"

Progress = Callable[[int, int], None]
"""Hears how many partitions of `dead-letters` have been read, and how many there are."""


class Located(Struct, frozen=True):
    """A dead letter with its own place on `dead-letters`; that of its event is in the letter."""

    partition: int
    offset: int
    letter: DeadLetter


class Kind(Struct, frozen=True):
    """Dead letters of one topic with one reason."""

    topic: str
    reason: str
    events: int
    newest_ms: int
    """When the broker got the newest event."""
    newest_partition: int
    """Of the newest letter, on `dead-letters`; so is the offset."""
    newest_offset: int


class Selection(Struct, frozen=True):
    """Which dead letters are meant; empty fields mean all."""

    topic: str = ""
    reason: str = ""
    """Text that the reason contains."""

    def takes(self, letter: DeadLetter) -> bool:
        return self.topic in ("", letter.topic) and self.reason in letter.reason


class ReplayReport(Struct, frozen=True):
    """What became of the selected dead letters; ``selected`` is the sum of the other three."""

    selected: int
    sent: dict[str, int]
    """Events that were committed, by topic; in a dry run those that would be."""
    repeated: int
    """Letters whose event, byte for byte, another letter had brought already."""
    still_refused: dict[str, int]
    """Not sent, since they would be refused again: events by the reason of today."""


async def read(settings: Settings, progress: Progress) -> AsyncIterator[Located]:
    """Every dead letter that is committed now, partition by partition, oldest first."""
    count = await count_partitions(settings.kafka, DEAD_LETTERS.name)
    for partition in range(count):
        place = TopicPartition(DEAD_LETTERS.name, partition)
        async for record in read_from(settings.kafka, place):
            yield Located(partition, record.offset, decode_dead_letter(record.value))
        progress(partition + 1, count)


async def find(settings: Settings, partition: int, offset: int) -> Located | None:
    """The dead letter at a place of `dead-letters`; None where there is none."""
    place = TopicPartition(DEAD_LETTERS.name, partition)
    async with open_reader(settings.kafka) as reader:
        if partition not in await partition_numbers(reader, place.topic):
            return None
        if offset >= (await reader.end_offsets([place]))[place]:
            return None
    found = [record async for record in read_from(settings.kafka, place, offset, offset + 1)]
    return Located(partition, offset, decode_dead_letter(found[0].value)) if found else None


async def summarize(settings: Settings, selection: Selection, progress: Progress) -> list[Kind]:
    """The selected dead letters by topic and reason, newest first."""
    counts: Counter[tuple[str, str]] = Counter()
    newest: dict[tuple[str, str], Located] = {}
    async for located in read(settings, progress):
        letter = located.letter
        if not selection.takes(letter):
            continue
        kind = letter.topic, letter.reason
        counts[kind] += 1
        if kind not in newest or letter.ts_ms >= newest[kind].letter.ts_ms:
            newest[kind] = located
    kinds = [
        Kind(topic, reason, events, last.letter.ts_ms, last.partition, last.offset)
        for (topic, reason), events in counts.items()
        for last in [newest[topic, reason]]
    ]
    return sorted(kinds, key=lambda kind: (-kind.newest_ms, kind.topic, kind.reason))


async def replay(
    settings: Settings, selection: Selection, now_ms: int, progress: Progress, *, dry_run: bool
) -> ReplayReport:
    """Send the events of the selected letters to their topics again, byte for byte, under their ``user_id``.

    All of them or none: they are one transaction, which is short since all is read before it. What today's
    contract would refuse again is not sent. An event that was sent before, by this or by its producer, has
    no second effect while its ``event_id`` is remembered.

    Raises:
        MissingTopicError: A topic is not there.
        aiokafka.errors.KafkaError, TimeoutError: The broker failed.
    """
    counts = {name: await count_partitions(settings.kafka, name) for name in TOPIC_INDEX}
    max_ahead_ms = int(settings.processing.max_ahead_s * 1000)
    messages: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
    seen: set[tuple[str, bytes]] = set()
    refused: Counter[str] = Counter()
    selected = repeated = 0
    async for located in read(settings, progress):
        letter = located.letter
        if not selection.takes(letter):
            continue
        selected += 1
        if (letter.topic, letter.raw) in seen:
            repeated += 1
            continue
        seen.add((letter.topic, letter.raw))
        index = TOPIC_INDEX.get(letter.topic)
        if index is None:
            refused[FOREIGN] += 1
            continue
        arrival = decode(index, letter.partition, letter.offset, now_ms, letter.raw, max_ahead_ms)
        if arrival.event is None:
            refused[arrival.reason] += 1
            continue
        key = arrival.event.user_id.encode()
        messages[letter.topic, partition_of(key, counts[letter.topic])].append((key, letter.raw))
    if messages and not dry_run:
        await _send(settings, messages)
    sent: Counter[str] = Counter()
    for (topic, _), events in messages.items():
        sent[topic] += len(events)
    return ReplayReport(selected, dict(sent), repeated, dict(refused))


async def _send(settings: Settings, messages: Mapping[tuple[str, int], list[Message]]) -> None:
    kafka = settings.kafka
    # One at a time: a second replay fences the first, which then has sent nothing.
    producer = new_producer(kafka, f"{kafka.group_id}-dead-letters")
    await producer.start()
    try:
        async with producer.transaction():
            futures = []
            for (topic, partition), events in messages.items():
                futures += await send(producer, topic, partition, events)
            await confirm(futures, kafka.request_timeout_s)
    finally:
        await producer.stop()
