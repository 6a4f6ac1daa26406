"""Reading on behind an aborted transaction, whatever the broker says of it; and partitions in turns."""

import asyncio

import pytest
from aiokafka import TopicPartition

from schemas.topics import EXAMPLES, VIEWS
from streams.admin import open_admin
from streams.delivery.clients import confirm, new_producer, new_reader, send
from streams.settings import Kafka
from streams.topics import create_topics

EXAMPLES_0 = TopicPartition(EXAMPLES.name, 0)
COMMITTED = [0, 1, 6, 7, 9, 10]  # 2, 5, 8 and 11 are markers; 3 and 4 are aborted


@pytest.mark.parametrize("start", range(12))
def test_what_is_committed_after_an_abort_is_read(kafka: Kafka, start: int) -> None:
    """A producer's later transactions show, and its aborted one does not, wherever reading begins."""
    assert [offset for offset in COMMITTED if offset >= start] == asyncio.run(_read(kafka, start))


@pytest.fixture
def kafka(fresh_broker: str) -> Kafka:
    """Four transactions of one transactional id: the second is left open by a crash, and so aborted."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=1)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    asyncio.run(_write(kafka))
    return kafka


async def _write(kafka: Kafka) -> None:
    crashed = new_producer(kafka, "owner")
    await crashed.start()
    await crashed.begin_transaction()
    await _send_two(crashed)
    await crashed.commit_transaction()
    await crashed.begin_transaction()
    await _send_two(crashed)
    successor = new_producer(kafka, "owner")
    await successor.start()
    for _ in range(2):
        async with successor.transaction():
            await _send_two(successor)
    await successor.stop()
    await crashed.stop()


async def _send_two(producer: object) -> None:
    for _ in range(2):
        await producer.send_and_wait(EXAMPLES.name, b"example", partition=0)  # type: ignore[attr-defined]


async def _read(kafka: Kafka, start: int) -> list[int]:
    reader = new_reader(kafka)
    await reader.start()
    try:
        reader.assign([EXAMPLES_0])
        reader.seek(EXAMPLES_0, start)
        end = (await reader.end_offsets([EXAMPLES_0]))[EXAMPLES_0]
        offsets: list[int] = []
        while await reader.position(EXAMPLES_0) < end:
            for records in (await reader.getmany(timeout_ms=100)).values():
                offsets += [record.offset for record in records]
    finally:
        await reader.stop()
    return offsets


POLL = 10


def test_partitions_of_a_backlog_are_read_in_turns(fresh_broker: str) -> None:
    """No partition waits until another one has been read to its end."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=3)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)

    first_round, second_round = asyncio.run(_read_two_rounds(kafka))

    assert {0, 1, 2} == set(first_round)
    assert first_round == second_round


async def _read_two_rounds(kafka: Kafka) -> tuple[list[int], list[int]]:
    """The partitions of two polls for each, all of which have a backlog."""
    partitions = [TopicPartition(VIEWS.name, number) for number in range(kafka.partitions)]
    producer = new_producer(kafka)
    await producer.start()
    for tp in partitions:
        await confirm(await send(producer, *tp, [(None, b"view")] * 3 * POLL), timeout_s=10.0)
    await producer.stop()
    reader = new_reader(kafka)
    await reader.start()
    try:
        reader.assign(partitions)
        polls = [await reader.getmany(timeout_ms=10_000, max_records=POLL) for _ in range(6)]
    finally:
        await reader.stop()
    read = [tp.partition for poll in polls for tp in poll]
    return read[:3], read[3:]
