"""The kill switch, over workers that run."""

import asyncio
from itertools import count, groupby

import orjson
import pytest
from delivery.bed import Bed
from delivery.conftest import PARTITIONS

from schemas.catalog import Switch
from schemas.topics import CATALOG, DECISIONS, VIEWS
from streams.bench.faults.log import records_of
from streams.delivery.clients import confirm, new_producer, send
from streams.processor.deciding import PAUSED_POLICY
from streams.switches import throw

pytestmark = pytest.mark.broker

TS_MS = 1_748_851_200_000
VIEW = {
    "type": "view", "user_id": "u1", "page": "home",
    "slots": [{"slot_id": "home-top", "kind": "ad", "position": 1}],
}  # fmt: skip
NO_ENTRY = b'{"type": "ad", "ad_id": 5'


@pytest.fixture
def broker_fixture() -> str:
    """One broker will do: whose topic it is makes no difference to a switch."""
    return "fresh_broker"


def test_a_switch_takes_effect_on_every_worker_that_runs(shop: Bed) -> None:
    """All partitions of both pause and go on again, without a restart; every page view has its answer.

    What is no entry, on the same topic, before they start and while they run, is left out.
    """
    numbers = count()
    asyncio.run(_send(shop, CATALOG.name, 0, b"ad:main:a1", NO_ENTRY))
    workers = [shop.start("-m", "streams", "worker", "--roles", "process") for _ in range(2)]
    shop.wait_for(lambda: len(workers) == len(shop.members()), *workers)

    def ask_until(paused: bool) -> None:
        def ask_all() -> bool:
            asyncio.run(_view_everywhere(shop, next(numbers)))
            newest = [records[-1:] for records in _decisions(shop).values()]
            return all(each and paused == (PAUSED_POLICY == each[0]["policy"]) for each in newest)

        shop.wait_for(ask_all, *workers)

    ask_until(paused=False)
    asyncio.run(_send(shop, CATALOG.name, 0, b"?", NO_ENTRY))
    for number, stop in enumerate([True, False]):
        asyncio.run(throw(shop.settings.kafka, [Switch(f"s{number}", stop, "me", "a test", TS_MS)]))
        ask_until(paused=stop)
    shop.wait_until_read(*workers)  # the newest decision of a partition may be that of the view before
    for worker in workers:
        worker.terminate()
    asked = next(numbers)
    for decisions in _decisions(shop).values():
        stages = groupby(decisions, key=lambda decision: PAUSED_POLICY == decision["policy"])
        assert [False, True, False] == [paused for paused, _ in stages]
        assert {"none"} == {each["chosen_id"] for each in decisions if PAUSED_POLICY == each["policy"]}
        assert asked == len({each["decision_id"] for each in decisions})


def _decisions(shop: Bed) -> dict[int, list[dict]]:
    found = records_of(shop.settings.kafka, DECISIONS)
    return {
        partition: [orjson.loads(record.value) for record in records] for partition, records in found.items()
    }


async def _view_everywhere(shop: Bed, number: int) -> None:
    """A page view in each partition."""
    for partition in range(PARTITIONS):
        value = orjson.dumps(VIEW | {"event_id": f"e{partition}-{number}", "ts_ms": TS_MS + number})
        await _send(shop, VIEWS.name, partition, b"u1", value)


async def _send(shop: Bed, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
    producer = new_producer(shop.settings.kafka)
    await producer.start()
    await confirm(await send(producer, topic, partition, [(key, value)]), 10.0)
    await producer.stop()
