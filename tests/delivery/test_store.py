"""What becomes of rows on their way into ClickHouse when somebody dies: each is there, once."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import orjson
import pytest
from delivery.bed import TIMEOUT_S, Bed
from msgspec.structs import asdict, replace
from reduced_tables import create_reduced_tables

from schemas.outcomes import Outcome
from schemas.topics import OUTCOMES
from streams.admin import ask
from streams.delivery.clients import confirm, new_producer, send
from streams.embedded.clickhouse import Server
from streams.lag import wait_until_read
from streams.settings import Settings
from streams.sinks.clickhouse import ClickHouseStore
from streams.topics import create_topics

SINK = ("-m", "streams", "worker", "--roles", "sink")
OUTCOMES_OF_A_PARTITION = 10_000
OUTCOME = Outcome(
    outcome_id="", kind="click", ts_ms=1_790_000_000_123, shop_id="main", decision_id="views-1-3-0",
    exposure_id="views-1-4", user_id="u1", ad_id="a1", promotion_id="", campaign_id="c1", slot_id="",
    position=0, propensity=0.0, revenue_micros=0, delay_ms=900, order_id="",
)  # fmt: skip
DATABASES = count()


@pytest.fixture
def settings(empty: Bed, clickhouse_server: Server) -> Settings:
    """Settings that write small blocks, so that there are many moments to die at, into a new database."""
    database = f"delivery_{next(DATABASES)}"
    clickhouse = replace(
        clickhouse_server.settings, database=database, insert_rows=500, insert_interval_s=0.05
    )
    return replace(empty.settings, clickhouse=clickhouse)


@pytest.fixture
def store(settings: Settings) -> Iterator[ClickHouseStore]:
    """The tables, empty."""
    with closing(ClickHouseStore(settings.clickhouse)) as store:
        store.create_database(settings.clickhouse.database)
        create_reduced_tables(store)
        yield store


def test_deaths_during_inserts_change_nothing(
    empty: Bed, settings: Settings, store: ClickHouseStore, clickhouse_server: Server
) -> None:
    """The server is killed, then the worker: what was under way is sent again, and its copies are known."""
    expected = asyncio.run(_lay_outcomes(settings))
    worker = empty.start(*SINK, settings=settings)
    empty.wait_for(lambda: _rows(store) > 0.2 * len(expected), worker)
    clickhouse_server.kill()
    clickhouse_server.start()
    empty.wait_for(lambda: _rows(store) > 0.5 * len(expected), worker)
    assert _rows(store) < len(expected), "all was stored before the worker could be disturbed"
    worker.kill()
    worker = empty.start(*SINK, settings=settings)
    wait_until_read(
        settings.kafka, f"{settings.kafka.group_id}-sink", [OUTCOMES], TIMEOUT_S, lambda *_: worker.check()
    )
    worker.terminate()
    found = store.query("SELECT outcome_id, topic_partition, topic_offset FROM outcomes FINAL").rows
    assert sorted(expected) == sorted(found)


def _rows(store: ClickHouseStore) -> int:
    (rows,) = store.query("SELECT count() FROM outcomes").rows[0]
    return int(rows)


async def _lay_outcomes(settings: Settings) -> list[tuple[str, int, int]]:
    """Fill the topic; returns identity, partition and offset of each record."""
    ask(settings.kafka, lambda admin: create_topics(admin, settings.kafka))
    laid = [
        (f"click-clicks-{partition}-{offset}", partition, offset)
        for partition in range(settings.kafka.partitions)
        for offset in range(OUTCOMES_OF_A_PARTITION)
    ]
    producer = new_producer(settings.kafka)
    await producer.start()
    for partition in range(settings.kafka.partitions):
        values = [
            orjson.dumps(asdict(replace(OUTCOME, outcome_id=identity)))
            for identity, of, _ in laid
            if of == partition
        ]
        futures = await send(producer, OUTCOMES.name, partition, [(b"u1", value) for value in values])
        await confirm(futures, TIMEOUT_S)
    await producer.stop()
    return laid
