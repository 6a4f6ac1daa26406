"""What faust-streaming gets wrong with gaps in offsets; its other known faults have their tests beside it."""

import asyncio

import pytest
from delivery.bed import TIMEOUT_S, Bed
from delivery.results import assert_same

from schemas.topics import STATE
from streams.bench.mix import Mix
from streams.delivery.clients import Message, confirm, new_producer, send
from streams.state.rows import encode_key

Batches = dict[tuple[str, int], list[Message]]


@pytest.mark.each_broker
def test_events_behind_a_gap_are_read_once(shop: Bed, stream: Mix) -> None:
    """Markers and aborted records take offsets: nothing behind them is passed over or repeated."""
    worker = shop.start()
    parts = 4
    for part in range(parts):
        records = {place: rows[part::parts][:500] for place, rows in sorted(stream.records.items())}
        shop.load(Mix([], records))
        never_happened = {place: [(key, b"aborted") for key, _, _ in rows] for place, rows in records.items()}
        asyncio.run(_abort(shop, never_happened))
    shop.wait_until_read(worker)
    worker.terminate()
    assert_same(*shop.results())


@pytest.mark.each_broker
def test_a_changelog_without_a_row_is_restored(shop: Bed, stream: Mix) -> None:
    """Where the changelog holds tombstones and aborted records only, a worker starts from nothing."""
    partitions = range(shop.settings.kafka.partitions)
    asyncio.run(
        _abort(shop, {(STATE.name, each): [(encode_key(b"P", 1), b"aborted")] for each in partitions})
    )
    asyncio.run(_commit(shop, {(STATE.name, each): [(encode_key(b"P", 2), None)] for each in partitions}))
    shop.load(Mix([], {place: rows[:500] for place, rows in stream.records.items()}))
    worker = shop.start()
    shop.wait_until_read(worker)
    worker.terminate()
    assert_same(*shop.results())


async def _abort(shop: Bed, batches: Batches) -> None:
    """Write records and take them back."""
    producer = new_producer(shop.settings.kafka, "regretful")
    await producer.start()
    await producer.begin_transaction()
    for (topic, partition), messages in batches.items():
        await confirm(await send(producer, topic, partition, messages), TIMEOUT_S)
    await producer.abort_transaction()
    await producer.stop()


async def _commit(shop: Bed, batches: Batches) -> None:
    producer = new_producer(shop.settings.kafka)
    await producer.start()
    for (topic, partition), messages in batches.items():
        await confirm(await send(producer, topic, partition, messages), TIMEOUT_S)
    await producer.stop()
