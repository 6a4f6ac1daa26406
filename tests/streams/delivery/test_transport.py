"""What one poll of the transport brings."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.delivery.fetching import Row
from streams.delivery.transport import Fetched, LostPlaceError, Mark, _Consumer, _Thread

VIEWS_0 = TP("views", 0)


class Reader:
    """As much of aiokafka's consumer as the thread asks for: one partition and where its reading stands."""

    def __init__(self, position: int) -> None:
        self.place = SimpleNamespace(has_valid_position=True, position=position, highwater=9)
        assignment = SimpleNamespace(tps=[VIEWS_0], state_value=lambda tp: self.place)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
        self._coordinator = SimpleNamespace(generation=3)

    def assignment(self) -> set[TP]:
        return {VIEWS_0}

    async def beginning_offsets(self, partitions: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, tp: TP, position: int) -> None:
        self.place.position = position

    def read(self, count: int) -> dict[TP, list[Row]]:
        first = self.place.position
        self.place.position += count
        return {VIEWS_0: [Row(offset, 0, None, b"") for offset in range(first, first + count)]}


class Thread(_Thread):
    """The consumer's thread, without a thread."""

    def __init__(self, reader: Reader, held: frozenset[TP] = frozenset()) -> None:
        self.reader = self.consumer = reader
        self.app = SimpleNamespace(held=held)
        self.seeks, self._handed = 0, {}

    def _ensure_consumer(self) -> Any:
        return self.reader

    async def poll(self) -> Any:
        return await self._fetch_records(self.reader, {VIEWS_0}, timeout=0.01)


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What Faust's own fetch does in turn: coroutine functions without arguments."""
    waiting: list[Any] = []

    async def fetch(*args: Any) -> Any:
        return await waiting.pop(0)()

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    yield waiting
    assert not waiting


def test_a_poll_comes_while_every_partition_is_held() -> None:
    """Jobs whose buffers are full get their turns, in which alone they can empty them."""
    polled = asyncio.run(Thread(Reader(5), frozenset({VIEWS_0})).poll())
    assert Fetched({}, {VIEWS_0: Mark(5, 9)}, {VIEWS_0: 5}, 3, 0) == polled


def test_a_poll_says_where_the_one_before_ended(fetches: list[Any]) -> None:
    """Whoever takes polls can tell that none is missing, though markers take offsets."""
    reader = Reader(0)
    thread = Thread(reader)

    async def read_two() -> Any:
        return reader.read(2)

    async def poll_twice() -> list[Fetched]:
        await thread.seek_exact({VIEWS_0: 4})
        return [await thread.poll(), await thread.poll()]

    fetches += [read_two, read_two]
    polled = asyncio.run(poll_twice())
    assert [(4, 6), (6, 8)] == [(each.since[VIEWS_0], each.marks[VIEWS_0].position) for each in polled]


@pytest.mark.parametrize("reads_first", [True, False])
def test_what_comes_while_positions_are_set_is_read_again(fetches: list[Any], reads_first: bool) -> None:
    """A poll that spans a rebalance brings nothing, whether it read before the seek or behind it.

    Faust drops it unless its flow is going again by then; rows behind the seek would be lost.
    """
    reader = Reader(0)
    thread = Thread(reader)

    async def read_around_a_seek() -> Any:
        rows = reader.read(2) if reads_first else {}
        await thread.seek_exact({VIEWS_0: 4})
        return rows or reader.read(2)

    fetches.append(read_around_a_seek)
    polled = asyncio.run(thread.poll())
    assert Fetched({}, {VIEWS_0: Mark(4, 9)}, {VIEWS_0: 4}, 3, 0) == polled
    assert (4, 1) == (reader.place.position, thread.seeks)


@pytest.mark.parametrize(("seeks", "yielded"), [(1, 1), (0, 0)])
def test_a_poll_from_before_a_seek_is_dropped(seeks: int, yielded: int) -> None:
    """Its rows lie before the positions or are read again."""
    fetched = Fetched({}, {}, {}, 3, seeks)

    async def getmany() -> list[Any]:
        consumer: Any = _Consumer.__new__(_Consumer)
        consumer.app = SimpleNamespace(consumer_generation_id=3)
        consumer._thread = SimpleNamespace(seeks=1)
        consumer._read_offset = {}
        consumer.flow_active = True
        consumer._stopped = consumer._crashed = SimpleNamespace(is_set=lambda: False)
        consumer.assignment = lambda: {VIEWS_0}

        async def wait_next_records(timeout: float) -> Any:
            return fetched, None

        consumer._wait_next_records = wait_next_records
        return [each async for each in consumer.getmany(0.0)]

    assert yielded == len(asyncio.run(getmany()))


def test_a_partition_that_was_not_told_where_to_begin_has_nothing_yet(fetches: list[Any]) -> None:
    """Between its assignment and the seek it may have no offset; that is no failure."""

    async def fail() -> Any:
        raise NoOffsetForPartitionError(VIEWS_0)

    fetches.append(fail)
    assert {} == asyncio.run(Thread(Reader(0)).poll()).rows


def test_a_place_that_is_gone_ends_the_worker(fetches: list[Any]) -> None:
    """Events that retention removed under a running worker are not passed over in silence."""

    async def fail() -> Any:
        raise OffsetOutOfRangeError({VIEWS_0: 7})

    fetches.append(fail)
    with pytest.raises(
        LostPlaceError, match=r"read on from views\[0\] offset 7, but the broker has it no more"
    ):
        asyncio.run(Thread(Reader(0)).poll())
