"""What the switches on `catalog` say."""

import asyncio

import orjson
import pytest
from kafka import KafkaProducer

from schemas.catalog import Switch, entry_key
from schemas.topics import CATALOG
from streams.admin import open_admin
from streams.delivery.restore import MissingTopicError
from streams.settings import Kafka
from streams.switches import Pause, history, paused, throw
from streams.topics import create_topics

TS_MS = 1_748_851_200_000


def switch(number: int, stop: bool, shop_id: str = "") -> Switch:
    """The switching of that number, that many seconds after the first."""
    return Switch(f"s{number}", stop, f"by{number}", f"reason {number}", TS_MS + 1000 * number, shop_id)


def test_what_is_paused_began_with_the_first_switch_that_was_not_taken_back() -> None:
    """A second pause does not make it younger; the switches of a shop and of all are independent."""
    switches = [switch(1, True), switch(2, True), switch(3, True, "outlet"), switch(4, False, "main")]
    expected = [Pause("", TS_MS + 1000, "by1", "reason 1"), Pause("outlet", TS_MS + 3000, "by3", "reason 3")]
    assert expected == paused(switches)
    resumed = [*switches, switch(5, False), switch(6, True)]
    assert [Pause("", TS_MS + 6000, "by6", "reason 6"), expected[1]] == paused(resumed)


def test_a_pause_is_one_sentence() -> None:
    """Of whom, since when, by whom and why."""
    alone = Pause("outlet", TS_MS, "me", "an audit").sentence
    assert "paused for shop outlet since 2025-06-02 08:00:00 UTC by me: an audit" == alone
    assert Pause("", TS_MS, "me", "x").sentence.startswith("paused for all shops since ")


def test_the_topic_is_the_audit(fresh_broker: str) -> None:
    """Every switching is there in its order, among other entries, but for one that was deleted."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=1)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    switches = [switch(1, True), switch(2, False), switch(3, True, "outlet"), switch(4, True, "outlet")]
    assert len(switches) == len({entry_key(each) for each in switches}), "compaction would forget one"
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    producer.send(CATALOG.name, orjson.dumps({"type": "item", "item_id": "i1"}), b"item:main:i1").get(10)
    asyncio.run(throw(kafka, switches))
    producer.send(CATALOG.name, None, entry_key(switches[2]).encode()).get(10)
    producer.close()
    assert [switches[0], switches[1], switches[3]] == asyncio.run(history(kafka))


def test_without_the_topic_nothing_is_thrown(fresh_broker: str) -> None:
    """A broker that creates topics by itself is given no occasion to."""
    with pytest.raises(MissingTopicError, match="run `headrace init` first"):
        asyncio.run(throw(Kafka(bootstrap_servers=fresh_broker), [switch(1, True)]))
