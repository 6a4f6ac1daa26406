"""Topics read whole, as a downstream consumer must read them: committed records only."""

import asyncio
from typing import Any

from aiokafka import TopicPartition

from schemas.topics import Topic
from streams.admin import ask
from streams.delivery.clients import new_reader
from streams.lag import end_offsets
from streams.settings import Kafka

POLL_MS = 200


def records_of(kafka: Kafka, topic: Topic) -> dict[int, list[Any]]:
    """All committed records of a topic by partition, in the order of offsets."""
    ends = ask(kafka, lambda admin: end_offsets(admin, [topic]))
    return asyncio.run(_read(kafka, {TopicPartition(*tp): offset for tp, offset in ends.items()}))


async def _read(kafka: Kafka, ends: dict[TopicPartition, int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {tp.partition: [] for tp in ends}
    reader = new_reader(kafka)
    await reader.start()
    try:
        reader.assign(list(ends))
        await reader.seek_to_beginning(*ends)
        while any([await reader.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await reader.getmany(timeout_ms=POLL_MS)).items():
                found[tp.partition] += [record for record in records if record.offset < ends[tp]]
    finally:
        await reader.stop()
    return found


def newest_by_key(records: list[Any]) -> dict[bytes, bytes | None]:
    """What compaction would keep."""
    return {record.key: record.value for record in records}
