"""Events that come while the workers work: a loader in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from heapq import merge
from typing import Any

from msgspec.structs import replace

from streams.bench.mix import Mix, Record
from streams.delivery.clients import new_producer
from streams.settings import Kafka

CHUNK_S = 0.1
PATIENCE_S = 120.0
"""Of the loader with brokers that are killed: shops go on sending when they are back."""

Place = tuple[str, int]


class Loader:
    """Sends a stream's events at a pace, in the order in which they come; a context manager.

    The topics keep step: no chunk before all of the last one is acknowledged. The producer is idempotent, so
    a record's offset is its place in its list, whatever became of a broker.
    """

    def __init__(self, kafka: Kafka, mix: Mix, events_per_s: float) -> None:
        self.error: BaseException | None = None
        self._kafka = kafka
        self._mix = mix
        self._chunk_events = max(1, round(events_per_s * CHUNK_S))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)

    @property
    def running(self) -> bool:
        """Whether there is more to send; raises what went wrong."""
        if self.error is not None:
            raise self.error
        return self._thread.is_alive()

    def __enter__(self) -> "Loader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(self._kafka.request_timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._load())
        except BaseException as error:
            self.error = error

    async def _load(self) -> None:
        producer = new_producer(replace(self._kafka, request_timeout_s=PATIENCE_S))
        await producer.start()
        try:
            next_offset = dict.fromkeys(self._mix.records, 0)
            due_s = time.monotonic()
            for chunk in self._chunks():
                if self._stop.is_set():
                    return
                await asyncio.gather(
                    *(self._send(producer, place, rows, next_offset) for place, rows in chunk.items())
                )
                due_s = max(due_s + CHUNK_S, time.monotonic())
                await asyncio.sleep(due_s - time.monotonic())
        finally:
            await producer.stop()

    def _chunks(self) -> Iterator[dict[Place, list[Record]]]:
        def placed(place: Place, rows: list[Record]) -> Iterator[tuple[int, Place, Record]]:
            return ((row[2], place, row) for row in rows)

        streams = (placed(place, rows) for place, rows in self._mix.records.items())
        chunk: dict[Place, list[Record]] = {}
        size = 0
        for _, place, row in merge(*streams, key=lambda each: each[0]):
            chunk.setdefault(place, []).append(row)
            size += 1
            if size == self._chunk_events:
                yield chunk
                chunk, size = {}, 0
        if chunk:
            yield chunk

    async def _send(
        self, producer: Any, place: Place, rows: list[Record], next_offset: dict[Place, int]
    ) -> None:
        topic, partition = place
        batch = producer.create_batch()
        for key, value, comes_ms in rows:
            assert batch.append(key=key, value=value, timestamp=comes_ms) is not None
        batch.close()
        acknowledged = await (await producer.send_batch(batch, topic, partition=partition))
        # A broker that knows the batch, but no longer where it put it, answers -1.
        assert acknowledged.offset in (next_offset[place], -1), f"{topic}[{partition}] has other writers"
        next_offset[place] += len(rows)
