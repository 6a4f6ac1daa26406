"""A Faust transport that hands an agent one value per poll instead of one per record.

It hooks in at Faust's extension points (``faust.transport.drivers``); conductor, channels and agents stay
stock. One value per poll costs the engine's four tasks and its cross-thread call once for thousands of
records. Offsets are not Faust's business here: the input topics are declared with ``acks=False``, and
where to read from after a rebalance is what ``BatchApp.positions`` says.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import faust
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

SCHEME = "headrace"
POLL_S = 0.25
"""Longest wait of one poll: the resolution of ticks and checkpoints while nothing comes."""
NOTHING_FETCHED_S = 0.02
FETCH_MAX_WAIT_MS = 250
"""Faust fixes 1500: a partition that becomes busy while a fetch is out would wait for so long."""

Rows = Mapping[TP, list[ConsumerRecord]]


class Mark(NamedTuple):
    """Where the reading of a partition stands."""

    position: int
    """Next offset to be handed out."""
    highwater: int | None
    """End of the partition at the newest fetch response; None before the first."""

    @property
    def behind(self) -> bool:
        """Whether the broker is known, or may be assumed, to hold records not yet handed out."""
        return self.highwater is None or self.position < self.highwater


class Fetched(NamedTuple):
    """What one poll brought, for all assigned partitions."""

    rows: Rows
    marks: Mapping[TP, Mark]
    since: Mapping[TP, int]
    """Where the reading of each of ``marks`` stood when the poll before this one was handed out."""
    generation: int
    """Of the consumer group, when the records were taken."""
    seeks: int
    """How often positions had been set when the poll began."""


class FencedError(RuntimeError):
    """The group has moved on: this worker no longer owns what it wants to commit."""


class LostPlaceError(RuntimeError):
    """The next record of a partition is not to be had, or would not be the next."""


class BatchApp(faust.App):
    """A Faust app whose consumer delivers ``Fetched`` values and seeks to ``positions``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.positions: Callable[[], Mapping[TP, int]] = dict
        """Where each assigned partition is to be read from, once it is assigned."""
        self.held: Collection[TP] = frozenset()
        """Partitions that are not to be read from for now, to bound buffers."""


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread that Faust runs aiokafka's consumer in."""

    shutdown_timeout = 10.0  # Faust's 60 s keeps a SIGTERM waiting for a broker that is away

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seeks = 0
        """How often positions have been set."""
        self._handed: dict[TP, int] = {}
        """Where reading stood when the last poll was handed out, or to where it was set since."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._isolation_level = "read_committed"
        consumer._auto_offset_reset = "none"  # where to read from is for ``seek_exact`` to say
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Fetched | dict[Any, Any]:
        wanted = set(active_partitions or ()).difference(self.app.held)
        seeks, rows = self.seeks, {}
        if wanted:
            try:
                rows = await super()._fetch_records(consumer, wanted, timeout, max_records)
            except NoOffsetForPartitionError:
                pass  # it was assigned just now, and is about to be told where to begin
            except OffsetOutOfRangeError as error:
                raise LostPlaceError(
                    f"expected to read on from {_places(*error.args)}, but the broker has it no more: "
                    "retention has removed events that were never processed, or the topic was made anew"
                ) from None
        else:
            # All are held: the jobs still need their turns, or they would be held for ever.
            await asyncio.sleep(timeout or POLL_S)
        subscription = consumer._subscription.subscription
        assignment = subscription.assignment if subscription else None
        if assignment is None:
            return {}
        if seeks != self.seeks:
            self._give_back(consumer)
            rows = {}
        marks = {
            TP(*tp): Mark(state.position, state.highwater)
            for tp in assignment.tps
            if (state := assignment.state_value(tp)).has_valid_position
        }
        since = {tp: self._handed.get(tp, mark.position) for tp, mark in marks.items()}
        self._handed.update({tp: mark.position for tp, mark in marks.items()})
        taken = {TP(*tp): records for tp, records in rows.items()}
        return Fetched(taken, marks, since, consumer._coordinator.generation, seeks)

    def _give_back(self, consumer: Any) -> None:
        """Set positions again that were set while a poll was under way.

        What it read may lie before them. Or behind them: then Faust drops it if its flow is not going again
        yet, and nobody would ever read it.
        """
        for tp in consumer.assignment():
            if TP(*tp) in self._handed:
                consumer.seek(tp, self._handed[TP(*tp)])

    async def commit_exact(self, offsets: Mapping[TP, tuple[int, str]], generation: int) -> None:
        consumer = self._ensure_consumer()
        if consumer._coordinator.generation != generation:
            raise FencedError("the consumer group has rebalanced since these records were read")
        try:
            await consumer.commit(
                {TopicPartition(*tp): OffsetAndMetadata(*offset) for tp, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            raise FencedError(str(error)) from error

    async def committed_exact(self, partitions: Collection[TP]) -> dict[TP, tuple[int, str]]:
        consumer = self._ensure_consumer()
        found = await consumer._coordinator.fetch_committed_offsets(
            [TopicPartition(*tp) for tp in partitions]
        )
        return {
            TP(*tp): (offset.offset, offset.metadata) for tp, offset in found.items() if offset.offset >= 0
        }

    async def seek_exact(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        partitions = [TopicPartition(*tp) for tp in self.consumer.assignment()]
        first = await consumer.beginning_offsets(partitions)
        self.seeks += 1
        self._handed.clear()
        for tp in partitions:
            position = positions.get(TP(*tp), first[tp])
            if position < first[tp]:
                raise LostPlaceError(
                    f"{tp.topic}[{tp.partition}]: expected offset {position}, which is next, but the topic "
                    f"now begins at {first[tp]}: retention has removed events that were never processed"
                )
            consumer.seek(tp, position)
            self._handed[TP(*tp)] = position


class _Consumer(driver.Consumer):
    """Faust's consumer, yielding polls."""

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> Any:
        fetched, _ = await self._wait_next_records(POLL_S)
        generation = self.app.consumer_generation_id
        if not isinstance(fetched, Fetched) or self.should_stop or not self.flow_active:
            await asyncio.sleep(NOTHING_FETCHED_S)  # the engine calls again at once
            return
        if fetched.generation != generation or not self.assignment():
            return  # these rows belong to an assignment that is over; the seek will read them again
        if fetched.seeks != self._thread.seeks:
            return  # positions have been set meanwhile: all from there on is read again
        tp = min(self.assignment())
        self._read_offset.pop(tp, None)  # a poll has no single offset to be compared with the last one
        yield (
            tp,
            ConsumerMessage(
                tp.topic, tp.partition, 0, 0.0, 0, [], None, fetched, None, 0, 0, tp, generation_id=generation
            ),
        )

    async def perform_seek(self) -> None:
        if self.assignment():
            await self._thread.call_thread(self._thread.seek_exact, self.app.positions())
        self._read_offset.clear()

    @property
    def member_id(self) -> str:
        """How the group's coordinator calls us; empty while we join."""
        return str(self._thread._ensure_consumer()._coordinator.member_id)

    async def commit_exact(self, offsets: Mapping[TP, tuple[int, str]], generation: int) -> None:
        """Commit offsets with metadata; raises ``FencedError`` if the group has moved on."""
        await self._thread.call_thread(self._thread.commit_exact, offsets, generation)

    async def committed_exact(self, partitions: Collection[TP]) -> dict[TP, tuple[int, str]]:
        """Committed offset and metadata of each partition that has one."""
        found = await self._thread.call_thread(self._thread.committed_exact, partitions)
        return dict(found)


def _places(offsets: Mapping[Any, int]) -> str:
    """Partitions and offsets, for people."""
    return ", ".join(f"{tp.topic}[{tp.partition}] offset {offset}" for tp, offset in offsets.items())


class Transport(driver.Transport):
    """Kafka by aiokafka, in batches."""

    Consumer = _Consumer


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
