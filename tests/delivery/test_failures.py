"""What the worker does when it cannot go on, and with what it cannot use."""

import asyncio
from pathlib import Path

import orjson
import pytest
from delivery.bed import Bed
from delivery.results import assert_same
from kafka import TopicPartition

from schemas.dead_letters import decode_dead_letter
from schemas.topics import CLICKS, DEAD_LETTERS, STATE, VIEWS
from streams.bench.faults.log import records_of
from streams.bench.faults.results import left_results
from streams.bench.mix import Mix
from streams.delivery.clients import confirm, new_producer, send
from streams.lag import committed_offsets
from streams.state.rows import encode_key

FAILING_WORKER = str(Path(__file__).with_name("failing_worker.py"))
VIEW = {
    "type": "view", "event_id": "e1", "user_id": "u1", "ts_ms": 1_748_851_200_000, "page": "home",
    "slots": [{"slot_id": "home-top", "kind": "ad", "position": 1}],
}  # fmt: skip


@pytest.mark.parametrize("role", ["process", "learn"])
def test_a_failure_acknowledges_nothing(loaded: Bed, role: str) -> None:
    """Whichever of its apps fails, the worker says why and exits 1; the next one does that work again."""
    failing = loaded.start(FAILING_WORKER, role)
    assert 1 == failing.exit_status()
    assert "the wheel broke" in failing.log_path.read_text()
    worker = loaded.start()
    loaded.wait_until_read(worker)
    worker.terminate()
    assert_same(*loaded.results())


def test_a_damaged_changelog_is_refused(shop: Bed) -> None:
    """State that cannot be trusted is not worked with: the worker says what is wrong and exits 1."""
    asyncio.run(_send(shop, STATE.name, encode_key(b"P", 1), b"\x01 no row"))
    worker = shop.start()
    assert 1 == worker.exit_status()
    said = worker.log_path.read_text()
    assert said.splitlines()[-1].startswith(
        "Error: headrace-state[0], offset 0: profiles: expected multiples of"
    )
    assert "RefusedStateError:" not in said  # the last line of a traceback


def test_events_that_retention_took_are_missed(shop: Bed) -> None:
    """A worker does not go on behind a gap as if there had been nothing: it says what is gone and exits 1."""
    partition = TopicPartition(VIEWS.name, 0)
    asyncio.run(_send(shop, VIEWS.name, b"u1", orjson.dumps(VIEW)))
    worker = shop.start_joined()
    shop.wait_until_read(worker)
    worker.terminate()
    asyncio.run(_send(shop, VIEWS.name, b"u1", *[orjson.dumps(VIEW)] * 3))
    shop.ask(lambda admin: admin.delete_records({partition: 3}))
    worker = shop.start()
    assert 1 == worker.exit_status()
    assert "views[0]: expected offset 1, which is next, but the topic now begins at 3" in (
        worker.log_path.read_text()
    )


def test_what_is_no_event_becomes_a_dead_letter(shop: Bed) -> None:
    """The bytes as they came, where from and why; the source's offset moves on."""
    poison = orjson.dumps(VIEW | {"ts_ms": "yesterday"})
    asyncio.run(_send(shop, CLICKS.name, b"u1", b"\xff\x00", b""))
    asyncio.run(_send(shop, VIEWS.name, b"u1", poison, orjson.dumps(VIEW)))
    worker = shop.start()
    shop.wait_until_read(worker)
    worker.terminate()
    letters = [
        decode_dead_letter(record.value) for record in records_of(shop.settings.kafka, DEAD_LETTERS)[0]
    ]
    by_place = {(letter.topic, letter.partition, letter.offset): letter for letter in letters}
    assert {("clicks", 0, 0): b"\xff\x00", ("clicks", 0, 1): b"", ("views", 0, 0): poison} == {
        place: letter.raw for place, letter in by_place.items()
    }
    assert "Expected `int`, got `str` - at `$.ts_ms`" == by_place["views", 0, 0].reason
    places = [TopicPartition(VIEWS.name, 0), TopicPartition(CLICKS.name, 0)]
    committed = shop.ask(lambda admin: committed_offsets(admin, shop.groups[0], places))
    assert [2, 2] == [committed[place] for place in places]
    assert 1 == len(left_results(shop.settings).decisions)


def test_a_rebalance_before_any_commit_loses_nothing(shop: Bed, stream: Mix) -> None:
    """Events that come while a second worker joins, before anything was committed, are all read."""
    first = shop.start_joined()
    second = shop.start()
    shop.wait_for(lambda: len(shop.members()) > len(shop.groups), first, second)
    shop.load(stream)
    shop.wait_until_read(first, second)
    for worker in (first, second):
        worker.terminate()
    assert_same(*shop.results())


async def _send(shop: Bed, topic: str, key: bytes, *values: bytes) -> None:
    producer = new_producer(shop.settings.kafka)
    await producer.start()
    await confirm(await send(producer, topic, 0, [(key, value) for value in values]), 10.0)
    await producer.stop()
