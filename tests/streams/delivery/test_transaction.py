"""How the producer of a partition's transactions is let go."""

import asyncio
from typing import Any

import pytest

from streams.delivery import transaction
from streams.delivery.transaction import Transactions
from streams.settings import Kafka


class StuckProducer:
    """Waits for a broker that is away, for ever."""

    def __init__(self) -> None:
        self.client = self
        self.closed = False

    async def stop(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


def test_closing_does_not_wait_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not committed is nobody's: a worker that is told to stop leaves it, and its connections."""
    monkeypatch.setattr(transaction, "CLOSE_TIMEOUT_S", 0.01)
    producer: Any = StuckProducer()
    monkeypatch.setattr(transaction, "new_producer", lambda kafka, transactional_id: producer)

    async def close() -> None:
        await Transactions(Kafka(), "headrace-process-0", "headrace-process").close()

    with pytest.raises(TimeoutError):
        asyncio.run(close())
    assert producer.closed
