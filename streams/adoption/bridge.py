"""The bridge: foreign topics of any key and number of partitions, as events on the contract's own topics.

It is for where the process role cannot read them itself (``keying.py``). One process does it: each step is
a transaction of its events with the offsets they came from, under one transactional id, so every record has
its effect once and a second bridge fences the first. Partitions are merged by event time, as workers merge
topics.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from msgspec import Struct

from schemas.topics import DEAD_LETTERS, INPUTS
from streams.adoption.applying import TopicRules
from streams.adoption.inputs import decoder
from streams.adoption.mapping import TOPIC_OF, Mapping
from streams.connection import connection_options
from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.merge import EventTimeMerge
from streams.delivery.restore import partition_counts
from streams.delivery.sending import Message
from streams.processor.arrival import Arrival
from streams.routing import partition_of
from streams.settings import Kafka, Settings

POLL_MS = 200
POLL_RECORDS = 5_000
STEP_RECORDS = 10_000
"""Of a transaction, at most."""

Messages = dict[tuple[str, int], list[Message]]


class BridgeReport(Struct, frozen=True):
    """What was read and committed; ``records`` = sent + ignored + dead letters."""

    records: int
    sent: dict[str, int]
    """Events by topic."""
    ignored: int
    dead_letters: int


async def bridge(
    settings: Settings, mapping: Mapping, stop: asyncio.Event, progress: Callable[[int], None], *, once: bool
) -> BridgeReport:
    """Carry events over from where the last bridge committed, until ``stop`` or, with ``once``, the end.

    Raises:
        MissingTopicError: A topic is not there.
        aiokafka.errors.KafkaError, TimeoutError: The broker failed, or another bridge has taken over.
    """
    kafka = settings.kafka
    group = f"{kafka.group_id}-bridge"
    producer = new_producer(kafka, group)
    consumer = _new_consumer(kafka, group)
    try:
        # Fences the bridge before us; what it has committed is what we go on from.
        await asyncio.wait_for(producer.start(), kafka.request_timeout_s)
        await consumer.start()
        names = [topic.name for topic in mapping.topics]
        written = [topic.name for topic in (*INPUTS, DEAD_LETTERS)]
        counts = await partition_counts(consumer, [*names, *written])
        places = [TopicPartition(name, number) for name in names for number in range(counts[name])]
        consumer.assign(places)
        ends = await consumer.end_offsets(places) if once else {}
        run = _Run(mapping, places, counts, int(settings.processing.max_ahead_s * 1000))
        while not stop.is_set():
            await run.read(consumer)
            messages, offsets = run.step()
            if offsets:
                await asyncio.wait_for(
                    _commit(producer, group, messages, offsets, kafka.request_timeout_s),
                    kafka.request_timeout_s,
                )
                progress(run.records)
            elif once and await run.reached(consumer, ends):
                break
    finally:
        await consumer.stop()
        await producer.stop()
    return BridgeReport(run.records, dict(run.sent), run.ignored, run.dead_letters)


class _Run:
    """What has been read and not yet sent, and what has been."""

    def __init__(
        self, mapping: Mapping, places: list[TopicPartition], counts: dict[str, int], max_ahead_ms: int
    ) -> None:
        self.records = self.ignored = self.dead_letters = 0
        self.sent: Counter[str] = Counter()
        self._places = places
        self._number = {place: number for number, place in enumerate(places)}
        self._counts = counts
        self._max_ahead_ms = max_ahead_ms
        rules = {topic.name: TopicRules(topic) for topic in mapping.topics}
        self._decode = decoder([rules[place.topic] for place in places])
        self._merge = EventTimeMerge[Arrival](len(places))

    async def read(self, consumer: Any) -> None:
        """Take what there is of partitions that the others do not wait for."""
        full = {self._places[number] for number in self._merge.full}
        consumer.pause(*full)
        consumer.resume(*(consumer.paused() - full))
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        for place, records in polled.items():
            number = self._number[place]
            self._merge.add(
                number,
                [
                    self._decode(
                        number, place.partition, each.offset, each.timestamp, each.value, self._max_ahead_ms
                    )
                    for each in records
                ],
            )
        for place in self._places:
            stable = consumer.last_stable_offset(place)
            behind = stable is None or await consumer.position(place) < stable
            self._merge.mark(self._number[place], behind)

    def step(self) -> tuple[Messages, dict[TopicPartition, OffsetAndMetadata]]:
        """The next messages by topic and partition, and the offsets that they include."""
        messages: defaultdict[tuple[str, int], list[Message]] = defaultdict(list)
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for arrival in self._merge.ready(STEP_RECORDS):
            offsets[self._places[arrival.topic]] = OffsetAndMetadata(arrival.offset + 1, "")
            self._add(arrival, messages)
        return messages, offsets

    async def reached(self, consumer: Any, ends: dict[TopicPartition, int]) -> bool:
        """Whether all that was there at the start has been carried over."""
        if len(self._merge):
            return False
        return all([await consumer.position(place) >= end for place, end in ends.items()])

    def _add(self, arrival: Arrival, messages: Messages) -> None:
        self.records += 1
        event = arrival.event
        if event is not None:
            topic, key = TOPIC_OF[str(event.__struct_config__.tag)].name, event.user_id.encode()
            place = topic, partition_of(key, self._counts[topic])
            messages[place].append((key, orjson.dumps(event, default=msgspec.to_builtins)))
            self.sent[topic] += 1
        elif arrival.reason:
            letter = arrival.dead_letter(arrival.reason)
            place = DEAD_LETTERS.name, arrival.partition % self._counts[DEAD_LETTERS.name]
            messages[place].append((None, msgspec.json.encode(letter)))
            self.dead_letters += 1
        else:
            self.ignored += 1


async def _commit(
    producer: Any,
    group: str,
    messages: Messages,
    offsets: dict[TopicPartition, OffsetAndMetadata],
    timeout_s: float,
) -> None:
    await producer.begin_transaction()
    futures = []
    for (topic, partition), batch in messages.items():
        futures += await send(producer, topic, partition, batch)
    await confirm(futures, timeout_s)
    await producer.send_offsets_to_transaction(offsets, group)
    await producer.commit_transaction()


def _new_consumer(kafka: Kafka, group: str) -> Any:
    """Reads by hand, from the group's offsets; the broker assigns it nothing."""
    return AIOKafkaConsumer(
        **connection_options(kafka),
        group_id=group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
    )
