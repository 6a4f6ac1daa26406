"""The agent that stores: decisions, outcomes, dead letters and the model's progress into ClickHouse."""

import asyncio
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from faust.types import TP

from streams.delivery.transport import FencedError, Mark, Rows
from streams.settings import Settings
from streams.sinks.rows import Record
from streams.sinks.writer import StoppedError, Writer

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Of a partition's records: a block is written once it has so many, and while it is under way and as many
wait, Kafka is the buffer."""
INTENT = "inserting:"
"""Marks the metadata of an offset whose following block is being inserted: ``inserting:<last offset>``."""


class SinkJob:
    """One partition of a topic, stored in blocks.

    Before a block is sent, the offset is committed with the block's last offset in its metadata; after a
    crash the next owner sends the very same block again, which the store's deduplication knows by its
    token, and looks whether it is there. While the store is away the block is tried again and nothing else
    is lost or held up.
    """

    def __init__(
        self, tp: TP, settings: Settings, writer: Writer, stop: threading.Event, consumer: Any
    ) -> None:
        self.tp = tp
        self.progressed_at_s = time.monotonic()
        self._settings = settings.clickhouse
        self._writer = writer
        self._stop = stop
        self._consumer = consumer
        self._records: list[Record] = []
        self._waiting_bytes = 0
        self._intended_last: int | None = None
        self._generation = -1
        self._written_at_s = time.monotonic()
        self._writing: asyncio.Task[None] | None = None
        self._fenced = False

    async def open(self) -> Mapping[TP, int]:
        """Read on from the committed offset; an insert that was under way is made again."""
        committed = await self._consumer.committed_exact([self.tp])
        if self.tp not in committed:
            return {}
        offset, metadata = committed[self.tp]
        if metadata.startswith(INTENT):
            self._intended_last = int(metadata.removeprefix(INTENT))
        return {self.tp: offset}

    async def take(self, rows: Rows, marks: Mapping[TP, Mark], generation: int) -> None:
        """Buffer what came; write a block when it is full or it is time, without waiting for the store."""
        self._generation = generation
        for record in rows.get(self.tp, ()):
            self._records.append((record.offset, record.value))
            self._waiting_bytes += len(record.value or b"")
        self.progressed_at_s = time.monotonic()  # a store that is away is no stall
        if self._writing is not None and self._writing.done():
            await self._await_writing()
        again = self._intended_last is not None
        if self._writing is None and not self._fenced and (block := self._next_block()):
            self._written_at_s = time.monotonic()
            self._writing = asyncio.create_task(self._write(block, again))

    async def finish(self) -> None:
        """Wait for the block under way, unless the store is away: its intent is committed."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=1.0)
            if self._writing.done():
                await self._await_writing()

    async def close(self) -> None:
        if self._writing is not None:
            self._stop.set()
            await asyncio.wait([self._writing])

    def full(self) -> Collection[TP]:
        # The block that a former owner has begun is read whole, whatever the limits are by now.
        return [self.tp] if self._has_block and self._intended_last is None else ()

    @property
    def _has_block(self) -> bool:
        """Whether as much waits as a block may hold."""
        return len(self._records) >= self._settings.insert_rows or self._waiting_bytes >= MAX_WAITING_BYTES

    def _next_block(self) -> list[Record]:
        """The next records to be written together; empty while it is not time."""
        records = self._records
        if not records:
            return []
        if self._intended_last is not None:
            if records[-1][0] < self._intended_last:
                return []
            size = sum(offset <= self._intended_last for offset, _ in records)
            self._intended_last = None
        elif self._has_block or time.monotonic() - self._written_at_s >= self._settings.insert_interval_s:
            size = min(len(records), self._settings.insert_rows)
        else:
            return []
        block, self._records = records[:size], records[size:]
        self._waiting_bytes -= sum(len(value or b"") for _, value in block)
        return block

    async def _write(self, block: list[Record], again: bool) -> None:
        first, last = block[0][0], block[-1][0]
        await self._consumer.commit_exact({self.tp: (first, f"{INTENT}{last}")}, self._generation)
        await asyncio.to_thread(self._writer.write, self.tp.topic, self.tp.partition, block, again)
        await self._consumer.commit_exact({self.tp: (last + 1, "")}, self._generation)

    async def _await_writing(self) -> None:
        """Take the result of a write that is over; what it left open is made good by whoever is next.

        A fenced commit means that the group is about to take the partition away. Its intent is committed, so
        the next owner sends the block again, and the store knows it by its token.
        """
        writing, self._writing = self._writing, None
        assert writing is not None
        try:
            await writing
        except (StoppedError, FencedError):
            self._fenced = True
