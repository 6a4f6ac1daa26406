"""What the records of topic `catalog` say."""

from collections.abc import AsyncIterator
from typing import Any

from aiokafka.structs import TopicPartition

from schemas.catalog import Entry, decode_entry
from schemas.topics import CATALOG
from streams.delivery.restore import count_partitions, read_from
from streams.settings import Kafka

PLACE = TopicPartition(CATALOG.name, 0)


class UnusableEntryError(ValueError):
    """A record is no entry: workers go on without what its key stood for. It stays on the topic.

    An older entry of the key does not stand in for it: compaction takes it from those that start later.
    """

    def __init__(self, reason: str, key: str) -> None:
        super().__init__(reason)
        self.key = key
        """Empty where it has none."""


def entry_of(record: Any) -> tuple[str, Entry | None]:
    """The key of one of the topic's records and its entry; None removes what the key stood for.

    Raises ``UnusableEntryError`` with the place, and what was expected there.
    """
    key = (record.key or b"").decode(errors="replace")
    try:
        if not key:
            raise ValueError("Expected a key such as `ad:main:a1`, got none")
        return key, None if record.value is None else decode_entry(record.value)
    except (ValueError, RecursionError) as error:  # msgspec's and those of UTF-8 are the first
        place = f"{PLACE.topic}[{PLACE.partition}] at offset {record.offset}"
        raise UnusableEntryError(f"{place}: {error}", key) from None


async def records(kafka: Kafka) -> AsyncIterator[Any]:
    """All that the topic holds now, in order.

    Raises ``MissingTopicError`` where it is not there, and what aiokafka raises where the broker is away.
    """
    await count_partitions(kafka, CATALOG.name)
    async for record in read_from(kafka, PLACE):
        yield record


async def unusable(kafka: Kafka) -> tuple[int, list[str]]:
    """How many keys the topic holds, and what is wrong with the newest record of some; as ``records``."""
    faults: dict[str, str] = {}
    async for record in records(kafka):
        try:
            key, entry = entry_of(record)
        except UnusableEntryError as error:
            faults[error.key] = str(error)
        else:
            faults[key] = ""
            if entry is None:
                del faults[key]
    return len(faults), [fault for fault in faults.values() if fault]
