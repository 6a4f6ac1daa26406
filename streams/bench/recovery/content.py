"""Profiles on the changelogs, Headrace's and the plain peer's, before anything is measured."""

from collections.abc import Callable, Iterator, Sequence

import orjson
from aiokafka.partitioner import DefaultPartitioner

from models import profiles
from models.hashing import stable_key
from schemas.topics import STATE
from streams.bench.mix import START_MS
from streams.bench.plain_job import VIEW_WEIGHT
from streams.bench.plain_profile import count, like, new_profile
from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.sending import Message
from streams.settings import Settings
from streams.state.partition import PartitionState

CHUNK = 20_000
"""Rows of one go: what a checkpoint may have, so that the log has batches of many ages and sizes."""
DAY = START_MS // profiles.DAY_MS
PRICE_MICROS = 20_000_000
CATEGORIES = ("shoes", "coats", "hats", "bags", "toys", "books")


def user_id(number: int) -> str:
    """Name of a user."""
    return f"u{number:09d}"


def state_records(settings: Settings, partition: int, rows: int) -> Iterator[Sequence[Message]]:
    """Changelog records of a partition with so many profiles, encoded as a worker does it."""
    state = PartitionState(settings.state, settings.processing)
    state.partitions = settings.kafka.partitions
    state.stream_ms = START_MS
    shop = stable_key("main")
    for first in range(0, rows, CHUNK):
        for number in range(first, min(rows, first + CHUNK)):
            slot = state.profiles.add(
                stable_key(user_id(number * settings.kafka.partitions + partition), shop)
            )
            category = stable_key(CATEGORIES[number % len(CATEGORIES)])
            profiles.see_view(
                state.profiles.rows, slot, START_MS + number, DAY, profiles.PAGE_CODES["item"], category,
                PRICE_MICROS,
            )  # fmt: skip
        yield state.drain()


def table_records(rows: int, partitions: int) -> Iterator[tuple[int, Sequence[Message]]]:
    """The same users as the plain peer's table keeps them, in Faust's encoding: partition and records."""
    hashed, numbers = DefaultPartitioner(), list(range(partitions))
    for first in range(0, rows, CHUNK):
        batches: dict[int, list[Message]] = {}
        for number in range(first, min(rows, first + CHUNK)):
            profile = new_profile(START_MS + number)
            count(profile, "views")
            like(profile, CATEGORIES[number % len(CATEGORIES)], PRICE_MICROS, VIEW_WEIGHT)
            key = orjson.dumps(user_id(number))
            batches.setdefault(hashed(key, numbers, numbers), []).append((key, orjson.dumps(profile)))
        yield from batches.items()


async def write_state(settings: Settings, rows: int, advance: Callable[[int], None]) -> None:
    """Lay ``rows`` profiles on the changelog. ``advance`` is called with the rows since the last call."""
    partitions = settings.kafka.partitions
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        for partition in range(partitions):
            for records in state_records(settings, partition, rows // partitions):
                futures = await send(producer, STATE.name, partition, records)
                await confirm(futures, settings.kafka.request_timeout_s)
                advance(len(records))
    finally:
        await producer.stop()


async def write_table(settings: Settings, topic: str, rows: int, advance: Callable[[int], None]) -> None:
    """Lay the peer's table on its changelog topic."""
    producer = new_producer(settings.kafka)
    await producer.start()
    try:
        for partition, records in table_records(rows, settings.kafka.partitions):
            await confirm(await send(producer, topic, partition, records), settings.kafka.request_timeout_s)
            advance(len(records))
    finally:
        await producer.stop()
