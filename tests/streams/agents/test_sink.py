import asyncio
import threading

from faust.types import TP
from msgspec.structs import replace

from streams.agents.sink import MAX_WAITING_BYTES, SinkJob
from streams.delivery.fetching import Row
from streams.settings import ClickHouse, Settings
from streams.sinks.writer import Writer

PLACE = TP("decisions", 0)
ROWS = 100
SETTINGS = replace(Settings(), clickhouse=ClickHouse(insert_rows=ROWS, insert_interval_s=3600))


class Consumer:
    """Remembers what was committed; an insert may be under way when it is taken over."""

    def __init__(self, metadata=""):
        self.metadata = metadata
        self.committed = []

    async def committed_exact(self, partitions):
        return {PLACE: (0, self.metadata)}

    async def commit_exact(self, offsets, generation):
        self.committed.append(offsets[PLACE])


class BlockingWriter(Writer):
    """A store that takes a block when it is let go."""

    def __init__(self):
        self.go_on = threading.Event()
        self.blocks = []
        self.again = []

    def write(self, topic, partition, records, again=False):
        self.go_on.wait()
        self.again.append(again)
        self.blocks.append([offset for offset, _ in records])
        return len(records)


def records(first, count, size=10):
    return [Row(offset, 0, None, bytes(size)) for offset in range(first, first + count)]


async def taken(job, rows):
    """Whether the job wants no more after these rows."""
    await job.take({PLACE: rows}, {}, 1)
    return bool(job.full())


def run(consumer, polls):
    """Polls while the store is blocked, then let it write: fullness after each poll, and the writer."""

    async def scenario():
        writer = BlockingWriter()
        job = SinkJob(PLACE, SETTINGS, writer, threading.Event(), consumer)
        await job.open()
        full = [await taken(job, rows) for rows in polls]
        writer.go_on.set()
        while job._writing is not None:
            await asyncio.wait([job._writing])
            await taken(job, [])
        return full, writer

    return asyncio.run(scenario())


def test_a_slow_store_leaves_the_records_with_kafka():
    """With one block under way and another waiting a partition is not read; all is stored, once."""
    consumer = Consumer()
    full, writer = run(consumer, [records(0, ROWS), records(ROWS, ROWS - 1), records(2 * ROWS - 1, 1)])
    assert [False, False, True] == full
    assert [list(range(ROWS)), list(range(ROWS, 2 * ROWS))] == writer.blocks
    assert [False, False] == writer.again
    assert [(0, "inserting:99"), (100, ""), (100, "inserting:199"), (200, "")] == consumer.committed


def test_records_are_bounded_by_their_bytes():
    """Few large records make a block, too, and hold the reading back as many small ones do."""
    half = MAX_WAITING_BYTES // 2
    full, writer = run(Consumer(), [records(0, 2, half), records(2, 1, half), records(3, 1, half)])
    assert [False, False, True] == full
    assert [[0, 1], [2, 3]] == writer.blocks


def test_a_block_that_was_begun_is_read_whole():
    """What a former owner was inserting is sent again as it was, though it is larger than blocks are now."""
    polls = [records(0, ROWS), records(ROWS, ROWS), records(200, 60)]
    full, writer = run(Consumer("inserting:249"), polls)
    assert [False, False, False] == full
    assert list(range(250)) == writer.blocks[0]
    assert [True] == writer.again
