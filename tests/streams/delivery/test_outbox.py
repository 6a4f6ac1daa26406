"""What is on its way to the broker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from streams.delivery.outbox import Outbox


class Batch:
    """Takes messages as ``streams.delivery.sending.Batch`` does."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def extend(self, messages: Sequence[tuple[bytes | None, bytes]], start: int) -> int:
        self.values += [value for _, value in messages[start:]]
        return len(messages)


class SlowProducer:
    """Takes a batch only when it is let to; confirms at once."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.sent: list[list[bytes]] = []

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        await self.free.wait()
        self.sent.append(batch.values)
        confirmed = asyncio.get_running_loop().create_future()
        confirmed.set_result(None)
        return confirmed


class FailingProducer(SlowProducer):
    """Takes a batch and then says that the broker has refused it."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(ConnectionError("refused"))
        return refused


def test_a_caller_does_not_wait_for_the_broker_and_order_is_kept() -> None:
    """Messages are put while the producer takes none, and leave in the order in which they were put."""

    async def scenario() -> list[list[bytes]]:
        producer = SlowProducer()
        outbox = Outbox(producer, "decisions", 0, timeout_s=5)
        await outbox.put([(b"k", b"1"), (b"k", b"2")])
        await outbox.put([(b"k", b"3")])
        confirmed = asyncio.ensure_future(outbox.confirmed())
        await asyncio.sleep(0)
        assert not confirmed.done()
        producer.free.set()
        await confirmed
        return producer.sent

    assert [[b"1", b"2"], [b"3"]] == asyncio.run(scenario())


def test_a_refused_batch_is_told_to_whoever_asks_for_confirmation() -> None:
    """What the broker refused is raised even if more was sent since."""

    async def scenario() -> None:
        outbox = Outbox(FailingProducer(), "decisions", 0, timeout_s=5)
        await outbox.put([(b"k", b"1")])
        await outbox.put([(b"k", b"2")])
        await outbox.confirmed()

    with pytest.raises(ConnectionError, match="refused"):
        asyncio.run(scenario())


def test_nothing_put_is_confirmed_at_once() -> None:
    """A checkpoint without decisions does not wait."""

    async def scenario() -> None:
        await Outbox(SlowProducer(), "decisions", 0, timeout_s=5).confirmed()

    asyncio.run(scenario())
