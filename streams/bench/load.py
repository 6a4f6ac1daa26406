"""Lays a generated stream on a broker before anything is measured."""

import asyncio

from aiokafka import AIOKafkaProducer
from msgspec.json import encode

from schemas.catalog import entry_key
from schemas.topics import CATALOG
from streams.admin import open_admin
from streams.bench.mix import START_MS, Mix, Record
from streams.settings import Kafka
from streams.topics import create_topics

COMPRESSION = "zstd"
"""As producers of JSON do. And the embedded broker writes all that it holds to disk once a second: less to
write leaves more of the machine to whoever is measured."""
BATCH_BYTES = 512 * 1024
"""Under the 1 MB that brokers take by default."""


async def load(kafka: Kafka, mix: Mix) -> None:
    """Create the topics on an empty broker and produce the catalogue and the events of ``mix``.

    A record's offset is its place in its list.

    Raises:
        NoBrokerError, TopicError: The topics could not be created.
        aiokafka.errors.KafkaError: The broker refused a batch.
    """
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    entries = [(entry_key(entry).encode(), encode(entry), START_MS) for entry in mix.catalog]
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        enable_idempotence=True,  # else a node that dies may take what only it had acknowledged
        max_batch_size=BATCH_BYTES,
        compression_type=COMPRESSION,
    )
    await producer.start()
    try:
        await asyncio.gather(
            _produce(producer, CATALOG.name, 0, entries),
            *(_produce(producer, topic, partition, rows) for (topic, partition), rows in mix.records.items()),
        )
    finally:
        await producer.stop()


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
