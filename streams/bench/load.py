"""Lays a generated stream on a broker before anything is measured."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec.json import encode

from schemas.catalog import entry_key
from schemas.topics import CATALOG, TOPICS
from streams.bench.mix import START_MS, Mix, Record

BATCH_BYTES = 512 * 1024
"""Under the 1 MB that brokers take by default."""
KEPT_FOR_EVER = {"retention.ms": "-1"}
"""The events' times lie in the past, where a broker's default retention would delete them."""


async def load(bootstrap_servers: str, mix: Mix, partitions: int = 8) -> None:
    """Create every topic of the contract on an empty broker and produce ``mix``.

    A record's offset is its place in its list, and its timestamp is the event's time.

    Raises:
        aiokafka.errors.KafkaError: The broker refused a topic or a batch.
    """
    await create_topics(bootstrap_servers, partitions)
    entries = [(entry_key(entry).encode(), encode(entry), START_MS) for entry in mix.catalog]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        await asyncio.gather(
            _produce(producer, CATALOG.name, 0, entries),
            *(_produce(producer, topic, partition, rows) for (topic, partition), rows in mix.records.items()),
        )
    finally:
        await producer.stop()


async def create_topics(bootstrap_servers: str, partitions: int) -> None:
    """Create every topic of the contract; the three input topics get ``partitions``."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(
                    name=topic.name,
                    num_partitions=partitions if topic.partitions == "input" else 1,
                    replication_factor=1,
                    topic_configs={"cleanup.policy": topic.cleanup, **KEPT_FOR_EVER},
                )
                for topic in TOPICS
            ]
        )
    finally:
        await admin.close()


async def _produce(producer: AIOKafkaProducer, topic: str, partition: int, rows: list[Record]) -> None:
    """One batch after the other, so that the order of the list is that of the log."""
    sent = 0
    while sent < len(rows):
        batch, first = producer.create_batch(), sent
        while sent < len(rows):
            key, value, ts_ms = rows[sent]
            if batch.append(key=key, value=value, timestamp=ts_ms) is None:
                break
            sent += 1
        batch.close()
        acknowledged = await (await producer.send_batch(batch, topic, partition=partition))
        assert acknowledged.offset == first, f"{topic}-{partition}: offset {acknowledged.offset}, not {first}"
