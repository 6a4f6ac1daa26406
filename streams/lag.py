"""Lag: what a consumer group has not yet worked through.

A transaction ends with a marker that takes an offset and is no record, and aborted records take offsets
too. So a committed offset below a topic's end says little; whether a committed record lies between the
two says all, and the broker's read_committed view answers it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.protocol.consumer import IsolationLevel

from schemas.topics import Topic
from streams.admin import ask
from streams.delivery.clients import new_reader
from streams.settings import Kafka

POLL_INTERVAL_S = 0.25

Offsets = Mapping[TopicPartition, int]


class StalledError(RuntimeError):
    """A group has records to read and does not move."""


def wait_until_read(
    kafka: Kafka,
    group_id: str,
    topics: Sequence[Topic],
    stall_timeout_s: float,
    progress: Callable[[int, int], None],
) -> None:
    """Return when the group has committed past every record that is in the topics now.

    Args:
        progress: Called several times a second with the offsets passed and those there are; what it
            raises ends the wait.

    Raises:
        StalledError: For ``stall_timeout_s`` the group committed nothing, and records are left.
        NoBrokerError: The broker stays away.
    """
    end = ask(kafka, lambda admin: end_offsets(admin, topics))
    total = sum(end.values())
    committed: Offsets = {}
    moved_s = time.monotonic()
    while True:
        before = committed
        committed = ask(kafka, lambda admin: committed_offsets(admin, group_id, list(end)))
        progress(sum(min(committed[partition], offset) for partition, offset in end.items()), total)
        if committed != before:
            moved_s = time.monotonic()
        elif not has_records(kafka, committed, end):
            break
        elif time.monotonic() - moved_s > stall_timeout_s:
            names = ", ".join(topic.name for topic in topics)
            raise StalledError(
                f"Group {group_id} has read {sum(committed.values()):,} of {total:,} offsets of {names} "
                f"and has not moved for {stall_timeout_s:g} s"
            )
        time.sleep(POLL_INTERVAL_S)
    progress(total, total)


def end_offsets(admin: KafkaAdminClient, topics: Sequence[Topic]) -> Offsets:
    """For every partition the offset after the last one that no open transaction holds back."""
    partitions = [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics([topic.name for topic in topics])
        for partition in topic["partitions"]
    ]
    found = admin.list_partition_offsets(
        dict.fromkeys(partitions, OffsetSpec.LATEST), isolation_level=IsolationLevel.READ_COMMITTED
    )
    return {partition: found[partition].offset for partition in partitions}


def committed_offsets(
    admin: KafkaAdminClient, group_id: str, partitions: Sequence[TopicPartition]
) -> Offsets:
    """The group's next offset of every partition; 0 where it has committed none."""
    found = admin.list_group_offsets({group_id: list(partitions)})[group_id]
    return {
        partition: max(0, found[partition].offset) if partition in found else 0 for partition in partitions
    }


def behind(admin: KafkaAdminClient, group_id: str, topics: Sequence[Topic]) -> dict[str, dict[str, int]]:
    """By topic, the offsets that a group has still to pass, and the partitions in which there are some."""
    end = end_offsets(admin, topics)
    committed = committed_offsets(admin, group_id, list(end))
    found = {topic.name: {"behind": 0, "partitions_behind": 0} for topic in topics}
    for partition, offset in end.items():
        left = max(0, offset - committed[partition])
        found[partition.topic]["behind"] += left
        found[partition.topic]["partitions_behind"] += left > 0
    return found


def has_records(kafka: Kafka, start: Offsets, end: Offsets) -> bool:
    """Whether a committed record lies in ``[start, end)`` of any partition."""
    behind = [partition for partition in start if start[partition] < end[partition]]
    # One at a time and the shortest first: the embedded broker minds no limit of a fetch and sends all
    # that a partition has.
    behind.sort(key=lambda partition: end[partition] - start[partition])
    return any(asyncio.run(_has_record(kafka, p, start[p], end[p])) for p in behind)


async def _has_record(kafka: Kafka, partition: TopicPartition, start: int, end: int) -> bool:
    reader = new_reader(kafka)
    await reader.start()
    try:
        reader.assign([partition])
        reader.seek(partition, start)
        while await reader.position(partition) < end:
            polled = await reader.getmany(timeout_ms=int(POLL_INTERVAL_S * 1000), max_records=1)
            if any(record.offset < end for records in polled.values() for record in records):
                return True
    finally:
        await reader.stop()
    return False
