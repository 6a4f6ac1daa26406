"""What is on its way to one partition of a topic, sent in order and in the background."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from streams.delivery.clients import confirm, send
from streams.delivery.sending import Message

MAX_UNSENT = 1_000
"""Messages that may wait for the producer before whoever brings more must wait too."""


class Outbox:
    """Sends without making its caller wait for the broker.

    A producer takes one batch of a partition at a time; a caller that waited for its turn would idle for
    a round trip a batch.
    """

    def __init__(self, producer: Any, topic: str, partition: int, timeout_s: float) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._timeout_s = timeout_s
        self._unsent = 0
        self._last: asyncio.Task[list[asyncio.Future[Any]]] | None = None

    async def put(self, messages: Sequence[Message]) -> None:
        """Send these after all that was put before. Raises what went wrong with those if it is known."""
        if self._last is not None and (self._last.done() or self._unsent > MAX_UNSENT):
            await self._last
        if messages:
            self._unsent += len(messages)
            self._last = asyncio.create_task(self._send(self._last, messages))

    def confirmed(self) -> Awaitable[None]:
        """Done when the broker has all that was put before this call; raises what went wrong first."""
        return self._confirm(self._last)

    def cancel(self) -> None:
        """Send nothing more."""
        if self._last is not None:
            self._last.cancel()

    async def _send(
        self, before: "asyncio.Task[list[asyncio.Future[Any]]] | None", messages: Sequence[Message]
    ) -> list[asyncio.Future[Any]]:
        """Returns what is not known to be with the broker yet, of these and of those before."""
        waiting = [sent for sent in await before if not _arrived(sent)] if before is not None else []
        waiting += await send(self._producer, self._topic, self._partition, messages)
        self._unsent -= len(messages)
        return waiting

    async def _confirm(self, last: "asyncio.Task[list[asyncio.Future[Any]]] | None") -> None:
        if last is not None:
            await confirm(await asyncio.wait_for(asyncio.shield(last), self._timeout_s), self._timeout_s)


def _arrived(sent: asyncio.Future[Any]) -> bool:
    return sent.done() and not sent.cancelled() and sent.exception() is None
