"""What becomes of a job that fails."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from faust.types import TP

from streams.delivery.ownership import Ownership
from streams.delivery.transport import Fetched

VIEWS_0 = TP("views", 0)


class Signal:
    """A signal that remembers its receiver."""

    def connect(self, receiver: Any) -> None:
        self.send = receiver


class OneWorkerApp:
    """As much of the app as ownership asks for; one partition is assigned."""

    def __init__(self) -> None:
        self.on_partitions_revoked, self.on_rebalance_complete, self.on_before_shutdown = (
            Signal(), Signal(), Signal(),
        )  # fmt: skip
        self.consumer_generation_id = 1
        self.consumer = self
        self.conf = self
        self.id = "test"
        self.member_id = "member-1"

    def assignment(self) -> set[TP]:
        return {VIEWS_0}


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
            await ownership.take(Fetched({}, {}, 1))
        await app.on_partitions_revoked.send(app, {VIEWS_0})

    asyncio.run(fail_and_rebalance())
    assert ["close"] == job.calls
