"""The agent that processes: views, clicks and purchases in, decisions out, one transaction a checkpoint."""

import asyncio
import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.types import TP

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import DEAD_LETTERS, EXAMPLES, IDENTITIES, OUTCOMES, STATE
from streams.adoption.inputs import CONTRACT, Inputs
from streams.delivery.merge import EventTimeMerge
from streams.delivery.outbox import Outbox
from streams.delivery.transaction import Transactions
from streams.delivery.transport import Mark, Rows
from streams.processor.arrival import IDENTITY_PLACE, Arrival, IdentityArrival, decode_identity
from streams.processor.processor import Processor
from streams.processor.sites import Sites
from streams.processor.tape import MAX_SEEN
from streams.settings import Settings
from streams.state.changelog import check_inputs, restore

CHUNK = MAX_SEEN
"""Events between two looks at the event loop, one run of the processor: some 20 ms."""


class ProcessJob:
    """One partition number of the three input topics and of identities, with all the state behind it.

    Decisions leave at once. Everything else that follows from the events leaves in one transaction with
    the offsets of those events, about once a ``checkpoint_interval_s``; the transaction runs while the
    next events are processed.
    """

    def __init__(
        self, partition: int, settings: Settings, group_id: str, catalog: Catalog, weights: ServingWeights,
        decisions: Any, inputs: Inputs = CONTRACT, sites: Sites | None = None,
    ) -> None:  # fmt: skip
        self.partition = partition
        self.processor = Processor(partition, settings, catalog, weights, sites)
        self.progressed_at_s = time.monotonic()
        self._settings = settings
        self._inputs = inputs
        self._numbers = inputs.numbers
        self._merge = EventTimeMerge[Arrival | IdentityArrival]()
        for number in range(len(inputs.topics)):
            self._merge.mark(number, number in self._numbers.values())
        self._outbox = Outbox(decisions, inputs.decisions, partition, settings.kafka.request_timeout_s)
        self._transactions = Transactions(settings.kafka, f"{group_id}-{partition}", group_id)
        self._commit: asyncio.Task[None] | None = None
        self._committed_at_s = time.monotonic()
        self._arrived_at_s = time.monotonic()
        self._arrived_stream_ms = 0
        self._changed = False
        self._max_ahead_ms = int(settings.processing.max_ahead_s * 1000)

    async def open(self) -> Mapping[TP, int]:
        """Fence the owner before, then load what it committed last."""
        await self._transactions.open()
        state = self.processor.state
        await restore(self._settings.kafka, self.partition, state, self._inputs.read)
        check_inputs(state, self._inputs.identity, self._inputs.read)
        self.processor.restored()
        self.progressed_at_s = self._arrived_at_s = time.monotonic()
        self._arrived_stream_ms = state.stream_ms
        return self._offsets() if state.restored else {}

    async def take(self, rows: Rows, marks: Mapping[TP, Mark], generation: int) -> None:
        """Merge what came into the sequence, process all of it that is ready, checkpoint when it is time."""
        merge, now_s = self._merge, time.monotonic()
        numbers, decode = self._numbers, self._inputs.decode
        for tp, records in rows.items():
            if tp.topic == IDENTITIES.name:
                self._add_identities(records)
                continue
            topic, partition, ahead_ms = numbers[tp.topic], self.partition, self._max_ahead_ms
            merge.add(
                topic,
                [
                    decode(topic, partition, record.offset, record.timestamp, record.value, ahead_ms)
                    for record in records
                ],
            )
        for tp, mark in marks.items():
            if tp.topic != IDENTITIES.name:
                merge.mark(numbers[tp.topic], mark.behind)
        while ready := merge.ready(CHUNK):
            before = tuple(self.processor.state.offsets)
            self._process(ready)
            self._changed = True
            self.progressed_at_s = time.monotonic()
            if before != tuple(self.processor.state.offsets):  # identities carry no time
                self._arrived_at_s = self.progressed_at_s
                self._arrived_stream_ms = self.processor.state.stream_ms
            await self._outbox.put(self.processor.output.take_decisions())
            if self._full:
                await self._await_commit()
            await self._checkpoint_if_due()
            await asyncio.sleep(0)
        self._pass_markers(marks)
        if merge.idle:
            self.progressed_at_s = now_s
            self._tick(now_s)
        await self._checkpoint_if_due()

    async def finish(self) -> None:
        """Commit all that was processed; arrivals that still wait in the merge are read again later."""
        await self._await_commit()
        if self._changed:
            self._start_commit()
            await self._await_commit()

    async def close(self) -> None:
        self._outbox.cancel()
        if self._commit is not None:
            self._commit.cancel()
        await self._transactions.close()

    def full(self) -> Collection[TP]:
        topics = (*self._inputs.topics, IDENTITIES)
        return [TP(topic.name, self.partition) for number in self._merge.full if (topic := topics[number])]

    def _add_identities(self, records: Sequence[ConsumerRecord]) -> None:
        """What other partitions have to say; left where it is while an older release may take over."""
        if self.processor.links.enabled:
            self._merge.add(
                IDENTITY_PLACE, [decode_identity(record.offset, record.value) for record in records]
            )

    def _pass_markers(self, marks: Mapping[TP, Mark]) -> None:
        """Remember to be behind the transactions' markers, which are no records and take offsets.

        The next offset would else lie before the topic's beginning, once retention has removed all of it.
        """
        state, mark = self.processor.state, marks.get(TP(IDENTITIES.name, self.partition))
        if mark is None or not self.processor.links.enabled or self._merge.holds(IDENTITY_PLACE):
            return
        if mark.position > state.identity_offset:
            state.identity_offset = mark.position
            self._changed = True

    def _process(self, ready: list[Arrival | IdentityArrival]) -> None:
        """Process what has an effect; what a mapping says to ignore has been read all the same."""
        if not self._inputs.ignores:
            self.processor.process(ready)
            return
        self.processor.process(
            [each for each in ready if isinstance(each, IdentityArrival) or each.event or each.reason]
        )
        offsets = self.processor.state.offsets
        for each in ready:
            if not isinstance(each, IdentityArrival):
                offsets[each.topic] = each.offset + 1

    def _tick(self, now_s: float) -> None:
        """Carry the stream time on: an idle partition is as old as its newest event and the wait since."""
        idle_s = now_s - self._arrived_at_s
        if idle_s < self._settings.processing.tick_interval_s or not self._arrived_stream_ms:
            return
        uncommitted = self.processor.output.uncommitted
        self.processor.advance(self._arrived_stream_ms + int(idle_s * 1000))
        if self.processor.output.uncommitted > uncommitted:
            self._changed = True

    @property
    def _full(self) -> bool:
        """Whether as much waits for a transaction as may."""
        return self.processor.output.uncommitted > self._settings.processing.max_uncommitted

    async def _checkpoint_if_due(self) -> None:
        interval_s = self._settings.processing.checkpoint_interval_s
        due = self._full or time.monotonic() - self._committed_at_s >= interval_s
        if self._commit is not None and self._commit.done():
            await self._await_commit()
        if due and self._changed and self._commit is None:
            self._start_commit()

    def _start_commit(self) -> None:
        """Take a copy of all changes now; write it while processing goes on."""
        outcomes, examples, dead_letters = self.processor.output.take_committed()
        messages = {
            (STATE.name, self.partition): self.processor.state.drain(),
            (OUTCOMES.name, self.partition): outcomes,
            (EXAMPLES.name, 0): examples,
            (DEAD_LETTERS.name, self.partition): dead_letters,
            **{
                (IDENTITIES.name, partition): batch
                for partition, batch in self.processor.output.take_identities().items()
            },
        }
        self._changed = False
        self._committed_at_s = time.monotonic()
        confirmed, offsets = self._outbox.confirmed(), self._offsets()
        self._commit = asyncio.create_task(self._run_commit(confirmed, messages, offsets))

    async def _run_commit(
        self,
        decisions_confirmed: Awaitable[None],
        messages: Mapping[tuple[str, int], Any],
        offsets: Mapping[TP, int],
    ) -> None:
        # The broker must have every decision before the offsets of its events are committed.
        await decisions_confirmed
        await self._transactions.commit({place: batch for place, batch in messages.items() if batch}, offsets)
        self.progressed_at_s = time.monotonic()

    async def _await_commit(self) -> None:
        """Raise what the transaction raised: the worker ends, the next owner goes on from the last one."""
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit

    def _offsets(self) -> dict[TP, int]:
        state = self.processor.state
        offsets = {TP(name, self.partition): state.offsets[number] for name, number in self._numbers.items()}
        if state.identity_offset:  # else it is to be read from its beginning
            offsets[TP(IDENTITIES.name, self.partition)] = state.identity_offset
        return offsets


class WaitingJob:
    """A partition of `headrace-identities` whose events another worker has: it is not read here.

    So it is while workers of a release without that topic are in the group.
    """

    def __init__(self) -> None:
        self.progressed_at_s = time.monotonic()

    async def open(self) -> Mapping[TP, int]:
        return {}

    async def take(self, rows: Rows, marks: Mapping[TP, Mark], generation: int) -> None:
        self.progressed_at_s = time.monotonic()

    async def finish(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def full(self) -> Collection[TP]:
        return ()
