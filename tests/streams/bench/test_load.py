import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.catalog import decode_entry
from streams.bench.load import load
from streams.bench.mix import Mix, generate
from streams.settings import Kafka

PARTITIONS = 2

KeyValue = tuple[bytes, bytes]


async def read_all(bootstrap_servers: str, topic: str, partition: int, count: int) -> list[KeyValue]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition)])
        rows = [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
    assert list(range(count)) == [row.offset for row in rows]
    return [(row.key, row.value) for row in rows]


async def load_and_read(
    bootstrap_servers: str, mix: Mix
) -> tuple[dict[tuple[str, int], list[KeyValue]], list[KeyValue]]:
    await load(Kafka(bootstrap_servers=bootstrap_servers, partitions=PARTITIONS), mix)
    read = {key: await read_all(bootstrap_servers, *key, len(rows)) for key, rows in mix.records.items()}
    return read, await read_all(bootstrap_servers, "catalog", 0, len(mix.catalog))


def test_the_log_holds_the_mix_in_order(fresh_broker: str) -> None:
    """Every partition holds its list's records, in order from offset 0, and the catalogue its entries."""
    mix = generate(events=2000, seed=3, partitions=PARTITIONS)
    records, catalog = asyncio.run(load_and_read(fresh_broker, mix))
    assert {at: [row[:2] for row in rows] for at, rows in mix.records.items()} == records
    assert mix.catalog == [decode_entry(value) for _, value in catalog]
