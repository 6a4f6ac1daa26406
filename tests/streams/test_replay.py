"""Sending lines to the broker."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from hypothesis import given
from hypothesis import strategies as st

from streams import replay as module
from streams.admin import open_admin
from streams.replay import ReplayError, in_time_order, replay
from streams.routing import partition_of, route
from streams.settings import Kafka, Processing, Settings
from streams.topics import create_topics

START_MS = 1_700_000_000_000
ITEM = b'{"type":"item","item_id":"i1"}'


def event(kind: str, ts_ms: int, user_id: str = "u1") -> bytes:
    return f'{{"type":"{kind}","user_id":"{user_id}","ts_ms":{ts_ms}}}'.encode()


class RecordingBatch(list[tuple[int | None, bytes | None, bytes]]):
    """Takes three records."""

    closed = False

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes) -> object:  # type: ignore[override]
        if len(self) == 3:
            return None
        super().append((timestamp, key, value))
        return object()

    def close(self) -> None:
        self.closed = True


class RecordingProducer:
    """A producer whose broker confirms as late as it can: when the replay waits."""

    partitions = 2

    def __init__(self, **_: object) -> None:
        self.client = self
        self.sent: list[tuple[str, int, RecordingBatch]] = []
        self.waiting: list[RecordingBatch] = []
        self.waiting_at_send: list[list[RecordingBatch]] = []
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def fetch_all_metadata(self) -> "RecordingProducer":
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.partitions))

    def create_batch(self) -> RecordingBatch:
        return RecordingBatch()

    async def send_batch(self, batch: RecordingBatch, topic: str, *, partition: int) -> asyncio.Future[None]:
        assert batch.closed, "an open batch waits for the linger time"
        self.waiting_at_send.append(list(self.waiting))
        self.waiting.append(batch)
        self.sent.append((topic, partition, batch))
        confirmed = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self.confirm, batch, confirmed)
        return confirmed

    def confirm(self, batch: RecordingBatch, confirmed: asyncio.Future[None]) -> None:
        self.waiting.remove(batch)
        confirmed.set_result(None)


class RefusingProducer(RecordingProducer):
    """A producer whose broker refuses every batch."""

    def confirm(self, batch: RecordingBatch, confirmed: asyncio.Future[None]) -> None:
        confirmed.set_exception(MessageSizeTooLargeError())


class SilentProducer(RecordingProducer):
    """A producer whose broker never answers a batch."""

    def confirm(self, batch: RecordingBatch, confirmed: asyncio.Future[None]) -> None:
        pass


class UnreachableProducer(RecordingProducer):
    """A producer without a broker."""

    async def start(self) -> None:
        raise KafkaConnectionError


class TopiclessProducer(RecordingProducer):
    """A producer on a broker without topics."""

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return None


def run(
    lines: Iterable[bytes], producer: RecordingProducer, settings: Settings | None = None, **options: Any
) -> module.ReplayReport:
    """Replay onto a double."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AIOKafkaProducer", lambda **_: producer)
        return asyncio.run(replay(lines, settings or Settings(), **options))


def test_records_carry_key_time_and_bytes() -> None:
    """A record has the event's time and lies in the partition of its user."""
    producer = RecordingProducer()
    report = run([event("click", START_MS)], producer)
    expected = [("clicks", partition_of(b"u1", 2), [(START_MS, b"u1", event("click", START_MS))])]
    assert expected == producer.sent
    assert {"clicks": 1} == report.topics
    assert producer.stopped


def test_what_becomes_a_dead_letter_is_sent_and_counted() -> None:
    """A line without topic or key is sent like any other."""
    producer = RecordingProducer()
    report = run([b"no json", b'{"type":"purchase"}', event("view", START_MS)], producer)
    assert {"views": 2, "purchases": 1} == report.topics
    assert 2 == report.unkeyed
    assert 3 == sum(len(batch) for _, _, batch in producer.sent)


def test_catalogue_entries_are_confirmed_before_later_lines() -> None:
    """No event is under way together with an entry of the catalogue."""
    producer = RecordingProducer()
    run([ITEM, event("view", START_MS), ITEM, event("view", START_MS)], producer)
    assert ["catalog", "views", "catalog", "views"] == [topic for topic, _, _ in producer.sent]
    assert [[], [], [], []] == producer.waiting_at_send


steps = st.tuples(
    st.sampled_from(["view", "click", "purchase"]), st.sampled_from("abcd"), st.integers(0, 900)
)


@given(st.lists(steps, max_size=60), st.integers(0, 1000))
def test_nothing_overtakes_what_is_older_by_more_than_the_skew(
    events: list[tuple[str, str, int]], skew_ms: int
) -> None:
    """Whatever lies on the wire together lies within the skew, and each partition keeps its order."""
    times = accumulate((gap for _, _, gap in events), initial=START_MS)
    lines = [event(kind, ts_ms, user) for (kind, user, _), ts_ms in zip(events, times, strict=False)]
    producer = RecordingProducer()
    run(lines, producer, skew_s=skew_ms / 1000)
    for (_, _, batch), waiting in zip(producer.sent, producer.waiting_at_send, strict=True):
        together = [ts_ms for one in (batch, *waiting) for ts_ms, _, _ in one]
        assert max(together) - min(together) <= skew_ms
    expected, sent = defaultdict(list), defaultdict(list)
    for record in route(lines):
        expected[record.topic, partition_of(record.key, producer.partitions)].append(record.value)
    for topic, partition, batch in producer.sent:
        sent[topic, partition] += [value for _, _, value in batch]
    assert expected == sent


def test_the_skew_is_half_the_lateness_horizon() -> None:
    """By default, lines that far apart are not on the wire together."""
    producer = RecordingProducer()
    lines = [event("view", START_MS), event("click", START_MS + 5_000), event("view", START_MS + 5_001)]
    run(lines, producer, Settings(processing=Processing(lateness_s=10)))
    assert [1, 1, 1] == [len(batch) for _, _, batch in producer.sent]
    assert [[], [producer.sent[0][2]], []] == producer.waiting_at_send


def test_the_limit_counts_events_only() -> None:
    """Entries of the catalogue do not use it up."""
    producer = RecordingProducer()
    report = run([ITEM, ITEM, event("view", START_MS), event("view", START_MS)], producer, limit=1)
    assert {"catalog": 2, "views": 1} == report.topics


def test_a_rate_sends_in_small_parts() -> None:
    """At 40 events a second every second event is sent at once, twenty times a second."""
    producer = RecordingProducer()
    run([event("view", START_MS)] * 6, producer, rate=40)
    assert [2, 2, 2] == [len(batch) for _, _, batch in producer.sent]


def test_a_line_too_large_for_a_broker_is_named_by_its_number() -> None:
    """The error tells the line and its size, and nothing of its content."""
    line = b'{"type":"view","user_id":"secret","x":"' + b"x" * 1_000_000 + b'"}'
    with pytest.raises(ReplayError, match=r"line 2 .*at most 1000000 bytes, got 1000047") as caught:
        run([event("view", START_MS), line], RecordingProducer())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("producer", "reason"),
    [
        (RefusingProducer(), "refused: MessageSizeTooLargeError"),
        (SilentProducer(), "did not confirm within 0.01 s"),
        (UnreachableProducer(), "no broker answers at 127.0.0.1:9092; start one"),
        (TopiclessProducer(), "no topic views, clicks, purchases, catalog; create it with `headrace init`"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, RecordingProducer) else "",
)
def test_a_failing_broker_is_one_sentence(producer: RecordingProducer, reason: str) -> None:
    """Whatever the broker does, the error says it and the producer is stopped."""
    with pytest.raises(ReplayError, match=reason):
        run([event("view", START_MS)], producer, Settings(kafka=Kafka(request_timeout_s=0.01)))
    assert producer.stopped


def test_sources_are_merged_by_time() -> None:
    """The catalogue of every source comes first, then the events of all by time."""
    one = [ITEM, event("view", START_MS), event("view", START_MS + 20)]
    two = [ITEM, event("click", START_MS + 10)]
    assert [ITEM, ITEM, one[1], two[1], one[2]] == list(in_time_order([one, two]))


async def read(
    bootstrap_servers: str, topic: str, partitions: int
) -> dict[int, list[tuple[bytes | None, bytes]]]:
    """Everything in a topic, by partition."""
    places = [TopicPartition(topic, number) for number in range(partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        rows: dict[int, list[tuple[bytes | None, bytes]]] = {place.partition: [] for place in places}
        while any(len(rows[place.partition]) < end for place, end in ends.items()):
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                rows[place.partition] += [(record.key, record.value) for record in records]
    return rows


def test_a_broker_holds_what_was_sent(fresh_broker: str) -> None:
    """Every line is in its partition, under its key, in order, unchanged: in many batches, and large ones."""
    settings = Settings(kafka=Kafka(bootstrap_servers=fresh_broker, partitions=3))
    with open_admin(settings.kafka) as admin:
        create_topics(admin, settings.kafka)
    events = [
        event(kind, START_MS + number, f"u{number % 50}")
        for number in range(10_000)
        for kind in ("view", "click", "purchase")
    ]
    large = b'{"type":"view","user_id":"u1","x":"' + b"x" * 900_000 + b'"}'
    lines = [ITEM, *events, b"no json", large]

    async def replay_and_read() -> dict[str, dict[int, list[tuple[bytes | None, bytes]]]]:
        await replay(lines, settings)
        counts = {"views": 3, "clicks": 3, "purchases": 3, "catalog": 1}
        return {topic: await read(fresh_broker, topic, count) for topic, count in counts.items()}

    found = asyncio.run(replay_and_read())
    expected = {topic: {number: [] for number in rows} for topic, rows in found.items()}
    for record in route(lines):
        rows = expected[record.topic]
        rows[partition_of(record.key, len(rows))].append((record.key, record.value))
    assert expected == found
