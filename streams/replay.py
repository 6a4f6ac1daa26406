"""Replay: lines of JSON onto the topics, in the order of event time as far as joins need it.

Three topics carry what belongs together, and a broker keeps order only inside a partition. So no line
is sent before every line that is more than ``skew_s`` of event time older is confirmed: a worker that
reads along then finds click and exposure closer than its lateness horizon, however fast the replay.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from heapq import merge
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from msgspec import Struct

from schemas.topics import CATALOG, INPUTS
from streams.connection import connection_options, refusal
from streams.routing import MAX_RECORD_BYTES, Record, partition_of, route
from streams.settings import Settings

BATCH_BYTES = 128 * 1024
"""Some 500 events, so that open batches stay small; a larger line has a batch of its own."""
MAX_UNCONFIRMED = 256
"""Batches in flight before the replay waits for them."""
FLUSHES_PER_S = 20
"""With a rate: how often what is due is sent."""
TOPICS = tuple(topic.name for topic in (*INPUTS, CATALOG))


class ReplayError(Exception):
    """The broker is away, lacks a topic or refused a batch, or a line is too large for it."""


class ReplayReport(Struct, frozen=True):
    """What was sent and confirmed."""

    topics: dict[str, int]
    """Records by topic."""
    unkeyed: int
    """Records without a usable key, of which each becomes a dead letter."""
    duration_s: float


async def replay(
    lines: Iterable[bytes],
    settings: Settings,
    *,
    rate: float | None = None,
    limit: int | None = None,
    skew_s: float | None = None,
) -> ReplayReport:
    """Send every line to its topic, as the bytes it is; returns when the broker has confirmed all.

    ``rate`` bounds the events per second of wall time; ``limit`` ends it after so many events;
    ``skew_s`` defaults to half the lateness horizon. A catalogue entry is confirmed before any later line
    is sent. Delivery is idempotent; a replay that failed may have sent a part, and may be run again.

    Raises:
        ReplayError: the broker is away, a topic is missing, a batch was refused, or a line is too large.
    """
    started_s = time.monotonic()
    # Half: lines out of order may lie that far on both sides of the first on the wire.
    skew_ms = 1000 * (settings.processing.lateness_s / 2 if skew_s is None else skew_s)
    async with open_sender(settings) as sender:
        pace = _Pace(rate)
        events = 0
        oldest_ms: int | None = None
        catalog_last = False
        for record in route(lines):
            is_entry = record.topic == CATALOG.name
            if not is_entry and events == limit:
                break
            if is_entry != catalog_last:
                await sender.confirm()
                catalog_last = is_entry
            if record.ts_ms is not None:
                if oldest_ms is None:
                    oldest_ms = record.ts_ms
                elif abs(record.ts_ms - oldest_ms) > skew_ms:
                    await sender.confirm()
                    oldest_ms = record.ts_ms
            await sender.send(record)
            if not is_entry:
                events += 1
                if pace.due(events):
                    await sender.confirm()
                    await pace.wait(events)
        await sender.confirm()
    return ReplayReport(dict(sender.counts), sender.unkeyed, time.monotonic() - started_s)


def in_time_order(sources: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of several sources, each in time order, as one; catalogue entries and broken lines first."""
    records = merge(*map(route, sources), key=lambda record: record.ts_ms or 0)
    return (record.value for record in records)


class _Pace:
    """Spreads events evenly over wall time; without a rate, never waits."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._every = max(1, int(rate / FLUSHES_PER_S)) if rate else 0
        self._started_s = time.monotonic()

    def due(self, events: int) -> bool:
        return self._every > 0 and events % self._every == 0

    async def wait(self, events: int) -> None:
        assert self._rate is not None
        await asyncio.sleep(self._started_s + events / self._rate - time.monotonic())


class Sender:
    """One open batch a partition, sent when it is full or all are to be confirmed."""

    def __init__(self, producer: Any, partitions: dict[str, int], timeout_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self.unkeyed = 0
        self._producer = producer
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._open: dict[tuple[str, int], Any] = {}
        self._unconfirmed: list[asyncio.Future[Any]] = []

    async def send(self, record: Record) -> None:
        size = len(record.value) + len(record.key or b"")
        if size > MAX_RECORD_BYTES:
            number = self.counts.total() + 1
            raise ReplayError(
                f"line {number} (blank ones not counted): expected at most {MAX_RECORD_BYTES} bytes, "
                f"got {size}; remove the line and replay again"
            )
        place = record.topic, partition_of(record.key, self._partitions[record.topic])
        batch = self._open.get(place)
        if batch is None or not self._append(batch, record):
            await self._dispatch(place)
            self._open[place] = batch = self._producer.create_batch()
            self._append(batch, record)
        self.counts[record.topic] += 1
        self.unkeyed += record.key is None

    async def confirm(self) -> None:
        """Return when the broker has everything that was sent."""
        for place in list(self._open):
            await self._dispatch(place)
        await self._settle()

    @staticmethod
    def _append(batch: Any, record: Record) -> bool:
        return batch.append(timestamp=record.ts_ms, key=record.key, value=record.value) is not None

    async def _dispatch(self, place: tuple[str, int]) -> None:
        batch = self._open.pop(place, None)
        if batch is None:
            return
        # An open batch would wait for the linger time.
        batch.close()
        topic, partition = place
        self._unconfirmed.append(await self._producer.send_batch(batch, topic, partition=partition))
        if len(self._unconfirmed) >= MAX_UNCONFIRMED:
            await self._settle()

    async def _settle(self) -> None:
        # `producer.flush` swallows failures; an idempotent producer retries for ever, hence the bound.
        futures, self._unconfirmed = self._unconfirmed, []
        await asyncio.wait_for(asyncio.gather(*futures), self._timeout_s)


@asynccontextmanager
async def open_sender(settings: Settings) -> AsyncIterator[Sender]:
    servers = settings.kafka.bootstrap_servers
    timeout_s = settings.kafka.request_timeout_s
    producer = AIOKafkaProducer(
        **connection_options(settings.kafka),
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=int(timeout_s * 1000),
    )
    try:
        try:
            await producer.start()
            yield Sender(producer, await _partition_counts(producer), timeout_s)
        finally:
            await asyncio.wait_for(producer.stop(), timeout_s)
    except KafkaConnectionError:
        raise ReplayError(
            await asyncio.to_thread(refusal, settings.kafka)
            or f"no broker answers at {servers}; start one or set kafka.bootstrap_servers"
        ) from None
    except TimeoutError:
        raise ReplayError(
            f"the broker at {servers} did not confirm within {timeout_s:g} s; try again"
        ) from None
    except KafkaError as error:
        raise ReplayError(f"the broker at {servers} refused: {error!r}") from None


async def _partition_counts(producer: Any) -> dict[str, int]:
    # The metadata of all topics, since to ask for one by name makes many brokers create it.
    metadata = await producer.client.fetch_all_metadata()
    counts = {topic: len(metadata.partitions_for_topic(topic) or ()) for topic in TOPICS}
    missing = [topic for topic, count in counts.items() if not count]
    if missing:
        raise ReplayError(f"the broker has no topic {', '.join(missing)}; create it with `headrace init`")
    return counts
