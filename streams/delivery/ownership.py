"""Which partitions this worker owns, from the moment they are assigned to the moment they are taken away."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from faust.types import TP

from streams.delivery.transport import BatchApp, Fetched, LostPlaceError, Mark, Rows

logger = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT_S = 10.0
"""For the final checkpoint at SIGTERM; what it does not reach in time is done again by the next owner."""
OPENED_AT_ONCE = 2
"""One is fetched while another is decoded; all at once would hold all their records in memory."""


class Job(Protocol):
    """The work on one group of partitions that belong together."""

    progressed_at_s: float
    """Monotonic time at which work that was there last went on."""

    async def open(self) -> Mapping[TP, int]:
        """Fence the owner before, load the state; returns where to read on."""

    async def take(self, rows: Rows, marks: Mapping[TP, Mark], generation: int) -> None:
        """Work on what a poll brought, which may be nothing."""

    async def finish(self) -> None:
        """Commit what has been worked on: the partitions are being taken away, or the worker stops."""

    async def close(self) -> None:
        """Let go of clients; called after ``finish``, or without it after a failure."""

    def full(self) -> Collection[TP]:
        """Partitions that are not to be read for now."""


class Ownership:
    """Runs one job for each group of partitions that the app has been assigned.

    All work happens under one lock, so that a rebalance waits for the poll at hand, commits, and only then
    lets the partitions go (Faust itself waits for nothing: a batch in flight would survive a rebalance).
    """

    def __init__(
        self, app: BatchApp, group_of: Callable[[TP], Any], new_job: Callable[[Any, Collection[TP]], Job]
    ) -> None:
        self.app = app
        self.jobs: dict[Any, Job] = {}
        self._group_of = group_of
        self._new_job = new_job
        self._groups: dict[Any, set[TP]] = {}
        self._positions: dict[TP, int] = {}
        self._next: dict[TP, int] = {}
        """Where the next poll of each partition must go on: where the last one ended, or a job began."""
        self._member_ids: set[str] = set()
        self._opened = False
        self._lock = asyncio.Lock()
        app.positions = lambda: self._positions
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_rebalance_complete.connect(self._on_rebalanced)
        app.on_before_shutdown.connect(self._on_shutdown)

    async def take(self, fetched: Fetched) -> None:
        """Give every job its part of a poll; a poll of an earlier generation is dropped.

        Raises ``LostPlaceError`` where a poll does not go on where the last one ended.
        """
        async with self._lock:
            if fetched.generation != self.app.consumer_generation_id:
                return
            try:
                self._go_on(fetched)
                for group, job in self.jobs.items():
                    tps = self._groups[group]
                    await job.take(
                        {tp: rows for tp, rows in fetched.rows.items() if tp in tps},
                        {tp: mark for tp, mark in fetched.marks.items() if tp in tps},
                        fetched.generation,
                    )
            except BaseException:
                # Half of a poll has been worked on: a rebalance on the way down must not commit that.
                await self._let_go(finish=False)
                raise
            self.app.held = frozenset(tp for job in self.jobs.values() for tp in job.full())

    def _go_on(self, fetched: Fetched) -> None:
        """Check that no poll was dropped on the way, and that none comes twice.

        Offsets alone do not show it: markers of transactions take some, and compaction leaves gaps.
        """
        for tp, mark in fetched.marks.items():
            expected, since = self._next.get(tp, fetched.since[tp]), fetched.since[tp]
            rows = fetched.rows.get(tp)
            if since != expected or (rows[0].offset if rows else mark.position) < expected:
                raise LostPlaceError(
                    f"{tp.topic}[{tp.partition}]: expected a poll that goes on at offset {expected}, got one "
                    f"that goes on at {since} and begins with {rows[0].offset if rows else 'no record'}; the "
                    "next owner begins at the last checkpoint"
                )
            self._next[tp] = mark.position

    def stalled_s(self) -> float:
        """For how long some job has had work and made no progress."""
        now_s = time.monotonic()
        return max((now_s - job.progressed_at_s for job in self.jobs.values()), default=0.0)

    def former_members(self) -> set[str]:
        """Ids that we had in the group and gave up: a client that is fenced joins anew under another."""
        current = self.app.consumer.member_id if self._opened else ""
        if current:
            self._member_ids.add(current)
        return self._member_ids - {current}

    async def _on_revoked(self, app: Any, revoked: Collection[TP], **kwargs: Any) -> None:
        """Before the group moves on: finish everything. Eager rebalancing takes all partitions away."""
        async with self._lock:
            await self._let_go(finish=True)

    async def _on_rebalanced(self, app: Any, **kwargs: Any) -> None:
        """Partitions are assigned and not yet read: open a job for each group."""
        async with self._lock:
            await self._let_go(finish=False)
            generation = self.app.consumer_generation_id
            self._opened = True
            self._member_ids.add(self.app.consumer.member_id)
            groups: dict[Any, set[TP]] = {}
            for tp in self.app.consumer.assignment():
                groups.setdefault(self._group_of(tp), set()).add(tp)
            self._groups = groups
            self.jobs = {group: self._new_job(group, tps) for group, tps in sorted(groups.items())}
            opened = await self._open_all()
            self._positions = {tp: offset for positions in opened for tp, offset in positions.items()}
            self._next = dict(self._positions)
            if self.jobs:
                logger.info(
                    "%s: generation %s, %d partition groups restored",
                    self.app.conf.id,
                    generation,
                    len(groups),
                )

    async def _open_all(self) -> list[Mapping[TP, int]]:
        at_once = asyncio.Semaphore(OPENED_AT_ONCE)

        async def open_one(job: Job) -> Mapping[TP, int]:
            async with at_once:
                positions = await job.open()
            for each in self.jobs.values():  # whoever waits for its turn has not stalled
                each.progressed_at_s = time.monotonic()
            return positions

        return await asyncio.gather(*map(open_one, self.jobs.values()))

    async def _on_shutdown(self, app: Any, **kwargs: Any) -> None:
        if self.app.crashed:
            await self._let_go(finish=False)
            return
        async with asyncio.timeout(SHUTDOWN_TIMEOUT_S), self._lock:
            await self._let_go(finish=True)

    async def _let_go(self, finish: bool) -> None:
        jobs, self.jobs, self._positions = self.jobs, {}, {}
        self.app.held = frozenset()
        try:
            if finish:
                await asyncio.gather(*(job.finish() for job in jobs.values()))
        finally:
            await asyncio.gather(*(job.close() for job in jobs.values()), return_exceptions=True)
