"""Reading a partition of a topic from its beginning to its committed end."""

from collections.abc import AsyncIterator
from typing import Any

from aiokafka.structs import TopicPartition

from streams.delivery.clients import new_reader
from streams.settings import Kafka

POLL_MS = 200


class MissingTopicError(RuntimeError):
    """A topic that `headrace init` creates is not there."""


async def partition_numbers(reader: Any, topic: str) -> list[int]:
    """The topic's partitions; raises ``MissingTopicError``.

    Asked of the metadata of all topics: some brokers create a topic that is asked for by its name.
    """
    metadata = await reader._client.fetch_all_metadata()
    numbers = metadata.partitions_for_topic(topic)
    if not numbers:
        raise MissingTopicError(f"topic `{topic}` is not there: run `headrace init` first")
    return sorted(numbers)


async def count_partitions(kafka: Kafka, topic: str) -> int:
    """How many partitions a topic has; raises ``MissingTopicError``."""
    reader = new_reader(kafka)
    await reader.start()
    try:
        return len(await partition_numbers(reader, topic))
    finally:
        await reader.stop()


async def read_all(kafka: Kafka, topic: str, partition: int) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Keys and values of all committed records, oldest first, up to the end as it is at the call.

    Whoever fenced the writer before sees all that was ever committed: no transaction is open then.
    """
    reader = new_reader(kafka)
    await reader.start()
    try:
        tp = TopicPartition(topic, partition)
        reader.assign([tp])
        end = (await reader.end_offsets([tp]))[tp]
        await reader.seek_to_beginning(tp)
        while await reader.position(tp) < end:
            for records in (await reader.getmany(tp, timeout_ms=POLL_MS)).values():
                for record in records:
                    if record.offset < end:
                        yield record.key, record.value
    finally:
        await reader.stop()
