"""The transactions of one partition: state, outcomes, examples, dead letters and offsets, or nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.sending import Message
from streams.settings import Kafka

CLOSE_TIMEOUT_S = 2.0
"""Of a producer: what it has sent and not heard of may be lost."""


class UnansweredError(RuntimeError):
    """The broker has not answered in time."""


class Transactions:
    """A transactional producer whose id belongs to a partition, not to a worker.

    Whoever opens it fences the owner before: an open transaction of the former owner is aborted, and
    every later one of its calls fails (KIP-98). One id a partition is what Kafka Streams' first
    exactly-once did; aiokafka's TxnOffsetCommit knows no group generation (KIP-447), hence here too.
    """

    def __init__(self, kafka: Kafka, transactional_id: str, group_id: str) -> None:
        self.transactional_id = transactional_id
        self.group_id = group_id
        self._timeout_s = kafka.request_timeout_s
        self._producer = new_producer(kafka, transactional_id)

    async def open(self) -> None:
        """Fence the owner before us; raises ``UnansweredError``."""
        try:
            await asyncio.wait_for(self._producer.start(), self._timeout_s)
        except TimeoutError:
            raise self._unanswered("nothing has been changed") from None

    async def commit(
        self, messages: Mapping[tuple[str, int], Sequence[Message]], offsets: Mapping[TP, int]
    ) -> None:
        """Write messages by (topic, partition), and the next offsets to read, at once.

        Raises whatever went wrong; then nothing can be said about the outcome, and the only safe way
        on is to end this process: the next owner finds either all of it or nothing.
        """
        try:
            await asyncio.wait_for(self._commit(self._producer, messages, offsets), self._timeout_s)
        except TimeoutError:
            raise self._unanswered(
                "whether it was committed is not known, the next owner finds out"
            ) from None

    def _unanswered(self, outcome: str) -> UnansweredError:
        return UnansweredError(
            f"transaction of {self.transactional_id}: expected the brokers' answers within "
            f"{self._timeout_s:g} s (kafka.request_timeout_s), got none; {outcome}"
        )

    async def _commit(
        self, producer: Any, messages: Mapping[tuple[str, int], Sequence[Message]], offsets: Mapping[TP, int]
    ) -> None:
        await producer.begin_transaction()
        futures = []
        for (topic, partition), batch in messages.items():
            futures += await send(producer, topic, partition, batch)
        await confirm(futures, self._timeout_s)
        await producer.send_offsets_to_transaction(
            {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()},
            self.group_id,
        )
        await producer.commit_transaction()

    async def close(self) -> None:
        """Stop the producer; what was not committed is aborted by the broker or by the next owner.

        So nothing is waited for that a broker which is away has not got yet. Raises ``TimeoutError`` then.
        """
        try:
            await asyncio.wait_for(self._producer.stop(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            await self._producer.client.close()
            raise
