"""What becomes of a transaction, and of its producer, while no broker answers."""

import asyncio
from typing import Any

import pytest

from streams.delivery import transaction
from streams.delivery.transaction import Transactions, UnansweredError
from streams.settings import Kafka


class StuckProducer:
    """Waits for a broker that is away, for ever."""

    def __init__(self) -> None:
        self.client = self
        self.closed = False

    async def start(self) -> None:
        await asyncio.Event().wait()

    begin_transaction = stop = start

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


@pytest.mark.parametrize(
    ("step", "outcome"), [("open", "nothing has been changed"), ("commit", "whether it was committed")]
)
def test_a_broker_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, step: str, outcome: str
) -> None:
    """The error says whose transaction it was, for how long it was waited, and what is known of it."""
    monkeypatch.setattr(transaction, "new_producer", lambda kafka, transactional_id: StuckProducer())

    async def wait() -> None:
        made = Transactions(Kafka(request_timeout_s=0.01), "headrace-process-0", "headrace-process")
        await (made.open() if step == "open" else made.commit({}, {}))

    with pytest.raises(UnansweredError, match=rf"headrace-process-0: .* within 0.01 s .*; {outcome}"):
        asyncio.run(wait())
