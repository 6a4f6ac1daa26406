"""Kafka clients of our own, beside the consumer that Faust runs."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.connection import connection_options
from streams.delivery import fetching  # noqa: F401  (puts itself in place)
from streams.delivery.sending import Message
from streams.settings import Kafka

MAX_BATCH_BYTES = 512 * 1024
"""Half of a broker's usual message limit: the first record of a batch may pass the batch's bound."""

COMPRESSION = "zstd"
"""Audit records shrink to a seventh, outcomes to a thirteenth, state rows to a third, at 0.6 to 1.3 GB/s;
lz4 takes half the time and shrinks less, which the broker, its replicas and every reader would pay for."""


class UnsendableError(RuntimeError):
    """A record is larger than any batch that the broker would take."""


def new_producer(kafka: Kafka, transactional_id: str | None = None) -> Any:
    """An idempotent producer (KIP-98), transactional if it has an id; not started."""
    return AIOKafkaProducer(
        **connection_options(kafka),
        enable_idempotence=True,
        transactional_id=transactional_id,
        max_batch_size=MAX_BATCH_BYTES,
        compression_type=COMPRESSION,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
    )


def new_reader(kafka: Kafka) -> Any:
    """A consumer outside any group that sees committed records only; not started."""
    return AIOKafkaConsumer(
        **connection_options(kafka),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
    )


async def send(
    producer: Any, topic: str, partition: int, messages: Sequence[Message]
) -> list[asyncio.Future[Any]]:
    """Hand messages to a producer in whole batches; the futures are to be awaited with a time limit.

    Raises ``UnsendableError``. ``producer.send`` takes 8.6 us a message, and its batches wait out the linger
    time.
    """
    futures, end = [], 0
    while end < len(messages):
        start, batch = end, producer.create_batch()
        end = batch.extend(messages, start)
        if end == start:
            size = len(messages[start][1] or b"")
            raise UnsendableError(f"{topic}[{partition}]: a record of {size} bytes fits no batch")
        futures.append(await producer.send_batch(batch, topic, partition=partition))
    return futures


async def confirm(futures: Sequence[asyncio.Future[Any]], timeout_s: float) -> None:
    """Wait until the broker has all of it; raises what went wrong first. ``flush`` would swallow it."""
    if futures:
        await asyncio.wait_for(asyncio.gather(*futures), timeout_s)
