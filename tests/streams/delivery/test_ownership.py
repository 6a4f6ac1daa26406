"""What reaches a job, in which order, and what becomes of one that fails."""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from faust.types import TP

from streams.delivery.fetching import Row
from streams.delivery.ownership import OPENED_AT_ONCE, Ownership
from streams.delivery.transport import Fetched, LostPlaceError, Mark

VIEWS_0 = TP("views", 0)


class Signal:
    """A signal that remembers its receiver."""

    def connect(self, receiver: Any) -> None:
        self.send = receiver


class OneWorkerApp:
    """As much of the app as ownership asks for."""

    def __init__(self, assigned: Collection[TP] = (VIEWS_0,)) -> None:
        self.assigned = set(assigned)
        self.on_partitions_revoked, self.on_rebalance_complete, self.on_before_shutdown = (
            Signal(), Signal(), Signal(),
        )  # fmt: skip
        self.consumer_generation_id = 1
        self.consumer = self
        self.conf = self
        self.id = "test"
        self.member_id = "member-1"

    def assignment(self) -> set[TP]:
        return self.assigned


class FailingJob:
    """Fails in the middle of its work."""

    progressed_at_s = 0.0

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def open(self) -> Mapping[TP, int]:
        return {}

    async def take(self, rows: Any, marks: Any, generation: int) -> None:
        raise RuntimeError("the wheel broke")

    async def finish(self) -> None:
        self.calls.append("finish")

    async def close(self) -> None:
        self.calls.append("close")

    def full(self) -> Collection[TP]:
        return ()


def test_a_job_that_failed_is_never_finished() -> None:
    """Half of a poll was applied: neither a rebalance nor the shutdown that follows may commit that."""
    job = FailingJob()

    async def fail_and_rebalance() -> None:
        app: Any = OneWorkerApp()
        ownership = Ownership(app, lambda tp: tp, lambda tp, tps: job)
        await app.on_rebalance_complete.send(app)
        with pytest.raises(RuntimeError, match="the wheel broke"):
            await ownership.take(Fetched({}, {}, {}, 1, 0))
        await app.on_partitions_revoked.send(app, {VIEWS_0})

    asyncio.run(fail_and_rebalance())
    assert ["close"] == job.calls


class CountingJob(FailingJob):
    """Knows how many of its kind are being opened."""

    opening = most_opening = 0

    async def open(self) -> Mapping[TP, int]:
        CountingJob.opening += 1
        CountingJob.most_opening = max(self.opening, self.most_opening)
        await asyncio.sleep(0)
        CountingJob.opening -= 1
        return {}


class ReadingJob(FailingJob):
    """Remembers the offsets that it was given; it is to be read from offset 5."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets: list[int] = []

    async def open(self) -> Mapping[TP, int]:
        return {VIEWS_0: 5}

    async def take(self, rows: Any, marks: Any, generation: int) -> None:
        self.offsets += [row.offset for row in rows.get(VIEWS_0, ())]


def polls_of(*spans: tuple[int, int, list[int]]) -> list[Fetched]:
    """Polls, each by where the one before ended, where it ends itself, and the offsets of its rows."""
    made = []
    for since, position, offsets in spans:
        rows: Any = {VIEWS_0: [Row(offset, 0, None, b"") for offset in offsets]} if offsets else {}
        made.append(Fetched(rows, {VIEWS_0: Mark(position, 99)}, {VIEWS_0: since}, 1, 1))
    return made


async def read(job: ReadingJob, polls: list[Fetched]) -> None:
    app: Any = OneWorkerApp()
    ownership = Ownership(app, lambda tp: tp, lambda tp, tps: job)
    await app.on_rebalance_complete.send(app)
    for poll in polls:
        await ownership.take(poll)


def test_polls_that_go_on_from_each_other_are_taken() -> None:
    """Offsets that markers take, or compaction, are no gap; a poll may bring nothing."""
    job = ReadingJob()
    polls = polls_of((5, 8, [5, 7]), (8, 8, []), (8, 9, []), (9, 12, [11]))
    asyncio.run(read(job, polls))
    assert [5, 7, 11] == job.offsets


@pytest.mark.parametrize(
    ("polls", "taken"),
    [
        pytest.param([(6, 8, [6, 7])], [], id="the first was dropped"),
        pytest.param([(5, 7, [5, 6]), (8, 9, [8])], [5, 6], id="one between was dropped"),
        pytest.param([(5, 7, [5, 6]), (5, 7, [5, 6])], [5, 6], id="one comes twice"),
        pytest.param([(5, 7, [5, 6]), (7, 9, [3, 4])], [5, 6], id="rows from before"),
        pytest.param([(5, 7, [5, 6]), (7, 0, [])], [5, 6], id="set back to the beginning"),
    ],
)
def test_a_poll_that_does_not_go_on_where_the_last_one_ended_ends_the_worker(
    polls: list[tuple[int, int, list[int]]], taken: list[int]
) -> None:
    """Whatever a client does at a rebalance: no record is passed over and none is counted twice."""
    job = ReadingJob()
    with pytest.raises(LostPlaceError, match=r"views\[0\]: expected a poll that goes on at offset"):
        asyncio.run(read(job, polls_of(*polls)))
    assert (taken, ["close"]) == (job.offsets, job.calls)


def test_few_jobs_are_opened_at_once() -> None:
    """A worker that gets many partitions does not hold the changelog records of all of them in memory."""
    partitions = [TP("views", number) for number in range(8)]
    app: Any = OneWorkerApp(partitions)
    ownership = Ownership(app, lambda tp: tp, lambda tp, tps: CountingJob())
    asyncio.run(app.on_rebalance_complete.send(app))
    assert len(partitions) == len(ownership.jobs)
    assert OPENED_AT_ONCE == CountingJob.most_opening


def test_a_job_that_waits_to_be_opened_has_not_stalled() -> None:
    """While one partition after the other is restored, those that wait for it have made progress, too."""
    app: Any = OneWorkerApp([TP("views", number) for number in range(8)])
    ownership = Ownership(app, lambda tp: tp, lambda tp, tps: FailingJob())
    started_s = time.monotonic()
    asyncio.run(app.on_rebalance_complete.send(app))
    assert ownership.stalled_s() <= time.monotonic() - started_s
