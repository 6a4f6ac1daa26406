"""What the records of `catalog` say, and those that say nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaProducer

from schemas.catalog import Item
from schemas.topics import CATALOG
from streams import checks
from streams.admin import open_admin
from streams.catalog_topic import UnusableEntryError, entry_of, unusable
from streams.settings import Kafka
from streams.topics import create_topics

NO_UTF_8 = ("'utf-8' codec can't decode byte 0xff", "Invalid UTF-8 encoded string")
"""What msgspec says of it until 0.22, and from 0.23 on."""


def record(key: bytes | None, value: bytes | None) -> Any:
    """A record of `catalog`."""
    return SimpleNamespace(offset=17, key=key, value=value)


def test_an_entry_and_a_removal() -> None:
    """The key, and what it stands for from now on."""
    value = b'{"type":"item","item_id":"i1"}'
    assert ("item:main:i1", Item(item_id="i1")) == entry_of(record(b"item:main:i1", value))
    assert ("item:main:i1", None) == entry_of(record(b"item:main:i1", None))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"ad:main:a1", b"{", "Input data was truncated"),
        (b"ad:main:a1", b'{"type":"ad"}', "Object missing required field `ad_id`"),
        (b"ad:main:a1", b'{"type":"advert"}', "Invalid value 'advert' - at `$.type`"),
        (b"ad:main:a1", b'{"type":' + b"[" * 100_000, "maximum recursion depth exceeded"),
        (b"\xff", b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b"ad:main:a1", b'{"type":"ad","ad_id":"\xff"}', NO_UTF_8),
        (None, b'{"type":"item","item_id":"i1"}', "Expected a key such as `ad:main:a1`, got none"),
        (None, None, "Expected a key such as `ad:main:a1`, got none"),
    ],
)
def test_what_is_no_entry(key: bytes | None, value: bytes | None, reason: str | tuple[str, str]) -> None:
    """Whatever stands there, it is one error that names the place."""
    with pytest.raises(UnusableEntryError) as raised:
        entry_of(record(key, value))
    place, _, said = str(raised.value).partition(": ")
    assert "catalog[0] at offset 17" == place
    assert said.startswith(reason)
    assert (key or b"").decode(errors="replace") == raised.value.key


def test_unusable_entries_are_found_and_can_be_mended(fresh_broker: str) -> None:
    """The newest record of a key counts; what was deleted is not counted at all."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=1)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    good, bad = b'{"type":"item","item_id":"i1"}', b'{"type":"item"}'
    for key, value in ((b"a", good), (b"b", bad), (b"c", good), (b"c", bad), (b"d", bad), (b"d", None)):
        producer.send(CATALOG.name, value, key).get(10)
    entries, faults = asyncio.run(unusable(kafka))
    assert (3, [1, 3]) == (entries, [int(fault.split(":")[0].rpartition(" ")[2]) for fault in faults])
    (finding,) = checks.check_catalog(kafka)
    assert finding.found.startswith("2 of 3 entries cannot be used, the first: catalog[0] at offset 1: ")
    for key in (b"b", b"c"):
        producer.send(CATALOG.name, good, key).get(10)
    producer.close()
    assert [("3 entries", True)] == [(each.found, each.ok) for each in checks.check_catalog(kafka)]
