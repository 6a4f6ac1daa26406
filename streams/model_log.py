"""What there is to know of the models on the broker: their log, the catalogue, and what is learned."""

from typing import NamedTuple

from aiokafka.structs import TopicPartition

from schemas.catalog import Entry, decode_entry
from schemas.examples import Example, decode_example
from schemas.topics import CATALOG, EXAMPLES, MODEL
from streams.delivery.restore import count_partitions, open_reader, partition_counts, read_all, read_from
from streams.settings import Kafka

Records = list[tuple[str, bytes | None]]


class ModelLog(NamedTuple):
    """Read at one time."""

    records: Records
    """Of the topic `model`, oldest first."""
    entries: list[Entry]
    """Of the catalogue, as they stand."""
    examples: list[Example]
    """The newest, oldest first."""


async def read(kafka: Kafka, examples: int) -> ModelLog:
    """Read all of `model` and of the catalogue, and examples from about as many offsets before the end.

    Raises:
        MissingTopicError: A topic is not there.
    """
    async with open_reader(kafka) as reader:
        await partition_counts(reader, [MODEL.name, CATALOG.name, EXAMPLES.name])
    records = [(key.decode(), value) async for key, value in read_all(kafka, MODEL.name, 0)]
    return ModelLog(records, await _catalog(kafka), await _newest(kafka, examples) if examples else [])


async def _catalog(kafka: Kafka) -> list[Entry]:
    entries: dict[bytes, Entry] = {}
    for partition in range(await count_partitions(kafka, CATALOG.name)):
        async for key, value in read_all(kafka, CATALOG.name, partition):
            entries.pop(key, None)
            if value is not None:
                entries[key] = decode_entry(value)
    return list(entries.values())


async def _newest(kafka: Kafka, count: int) -> list[Example]:
    tp = TopicPartition(EXAMPLES.name, 0)
    async with open_reader(kafka) as reader:
        end = (await reader.end_offsets([tp]))[tp]
    found = [decode_example(record.value) async for record in read_from(kafka, tp, max(end - count, 0), end)]
    return found[-count:]
