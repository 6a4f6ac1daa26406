"""Reading a partition of a topic from its beginning to its committed end."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any

from aiokafka.structs import TopicPartition

from streams.delivery.clients import new_reader
from streams.settings import Kafka

POLL_MS = 200
OFFSET = attrgetter("offset")


class MissingTopicError(RuntimeError):
    """A topic that `headrace init` creates is not there."""


@asynccontextmanager
async def open_reader(kafka: Kafka) -> AsyncIterator[Any]:
    """A reader (``new_reader``) that is started, and stopped on exit."""
    reader = new_reader(kafka)
    try:
        await reader.start()
        yield reader
    finally:
        await reader.stop()


async def partition_numbers(reader: Any, topic: str) -> list[int]:
    """The topic's partitions; raises ``MissingTopicError``."""
    return list(range((await partition_counts(reader, [topic]))[topic]))


async def partition_counts(reader: Any, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has; raises ``MissingTopicError``.

    Asked of the metadata of all topics: some brokers create a topic that is asked for by its name.
    """
    metadata = await reader._client.fetch_all_metadata()
    counts = {topic: len(metadata.partitions_for_topic(topic) or ()) for topic in topics}
    for topic, count in counts.items():
        if not count:
            raise MissingTopicError(f"topic `{topic}` is not there: run `headrace init` first")
    return counts


async def count_partitions(kafka: Kafka, topic: str) -> int:
    """How many partitions a topic has; raises ``MissingTopicError``."""
    async with open_reader(kafka) as reader:
        return (await partition_counts(reader, [topic]))[topic]


async def read_all(kafka: Kafka, topic: str, partition: int) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Keys and values of all committed records, oldest first, up to the end as it is at the call.

    Whoever fenced the writer before sees all that was ever committed: no transaction is open then.
    """
    async for record in read_from(kafka, TopicPartition(topic, partition)):
        yield record.key, record.value


async def read_from(
    kafka: Kafka, tp: TopicPartition, start: int = 0, end: int | None = None
) -> AsyncIterator[Any]:
    """The committed records of a partition between two offsets; by default up to the end as of the call."""
    async for records in read_batches(kafka, tp, start, end):
        for record in records:
            yield record


async def read_batches(
    kafka: Kafka, tp: TopicPartition, start: int = 0, end: int | None = None
) -> AsyncIterator[list[Any]]:
    """What ``read_from`` gives, as it was fetched, for those who can take many records at once.

    It waits for the end of a transaction that is open before it. The reader is assigned once: aiokafka's
    may never stop if it is told to while it takes up another assignment.
    """
    async with open_reader(kafka) as reader:
        reader.assign([tp])
        first = (await reader.beginning_offsets([tp]))[tp]
        if end is None:
            end = (await reader.end_offsets([tp]))[tp]
        reader.seek(tp, max(first, start))
        while await reader.position(tp) < end:
            for records in (await reader.getmany(tp, timeout_ms=POLL_MS)).values():
                within = bisect_left(records, end, key=OFFSET)
                yield records if within == len(records) else records[:within]
