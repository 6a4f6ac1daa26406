"""The kill switch: decisions of one shop, or of all, are paused and resumed by entries of `catalog`.

Every worker reads that topic whole and follows it, so a switch takes effect on all of them without a restart,
a fraction of a second after the broker has it. Each switching keeps a key of its own on the topic, which
compaction never outdates: what says that decisions are paused is also the record of who did it, when and why.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import orjson
from msgspec import Struct

from schemas.catalog import Switch, entry_key
from schemas.topics import CATALOG
from streams.catalog_topic import PLACE, UnusableEntryError, entry_of, records
from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.restore import count_partitions
from streams.settings import Kafka


class Pause(Struct, frozen=True):
    """Decisions that are paused now, since the first switch that nobody has taken back."""

    shop_id: str
    """Empty is every shop."""
    since_ms: int
    by: str
    reason: str

    @property
    def sentence(self) -> str:
        """All of it in a line."""
        whose = f"shop {self.shop_id}" if self.shop_id else "all shops"
        since = datetime.fromtimestamp(self.since_ms / 1000, UTC)
        return f"paused for {whose} since {since:%Y-%m-%d %H:%M:%S} UTC by {self.by}: {self.reason}"


async def throw(kafka: Kafka, switches: Iterable[Switch]) -> None:
    """Write switches; returns when every replica in sync has them.

    Raises:
        MissingTopicError: `catalog` is not there.
        aiokafka.errors.KafkaError, TimeoutError: The broker failed.
    """
    await count_partitions(kafka, CATALOG.name)
    messages = [
        (entry_key(switch).encode(), orjson.dumps(msgspec.to_builtins(switch))) for switch in switches
    ]
    producer = new_producer(kafka)
    await producer.start()
    try:
        await confirm(await send(producer, PLACE.topic, PLACE.partition, messages), kafka.request_timeout_s)
    finally:
        await asyncio.wait_for(producer.stop(), kafka.request_timeout_s)


async def history(kafka: Kafka) -> list[Switch]:
    """Every switching there has been, oldest first; raises as ``throw`` does."""
    found: dict[str, Switch] = {}
    async for record in records(kafka):
        try:
            key, entry = entry_of(record)
        except UnusableEntryError as error:
            key, entry = error.key, None
        found.pop(key, None)
        if isinstance(entry, Switch):
            found[key] = entry
    return list(found.values())


def paused(switches: Iterable[Switch]) -> list[Pause]:
    """What is paused after these switchings, that of all shops first."""
    now: dict[str, Pause] = {}
    for switch in switches:
        if not switch.paused:
            now.pop(switch.shop_id, None)
        elif switch.shop_id not in now:
            now[switch.shop_id] = Pause(switch.shop_id, switch.ts_ms, switch.by, switch.reason)
    return [now[shop_id] for shop_id in sorted(now)]
