"""A stream of events, and beds that hold it, over each broker that there is."""

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery.bed import Bed, bed
from msgspec.structs import replace

from streams.bench.load import load
from streams.bench.mix import Mix, generate
from streams.embedded.kafka import Cluster
from streams.settings import Kafka, Processing, Settings

LONGEST = "test_nodes.py", "test_faults.py", "test_survival.py"
EVENTS = 30_000
PARTITIONS = 4
SETTINGS = Settings(
    kafka=Kafka(
        partitions=PARTITIONS,
        session_timeout_s=6.0,
        rebalance_timeout_s=6.0,
        fetch_max_records=100,  # many polls and checkpoints, so that there are many moments to be killed at
    ),
    # Windows that close within the 300 s that the events span.
    processing=Processing(
        checkpoint_interval_s=0.05,
        max_uncommitted=100,  # so that work does not run away from what is committed, however fast it is
        click_window_s=50.0,
        lateness_s=10.0,
    ),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first: what is left for the end is short, and no process of tests waits long for another.

    Where there is Java, Apache Kafka will do, but for what the embedded broker has got wrong once.
    ``HEADRACE_TEST_BROKERS=all`` runs every test on each.
    """
    items.sort(key=lambda item: item.path.name not in LONGEST)
    if shutil.which("java") is None or os.environ.get("HEADRACE_TEST_BROKERS") == "all":
        return
    left_out = [
        item for item in items if "[embedded" in item.name and item.get_closest_marker("each_broker") is None
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def stream() -> Mix:
    """The events that all tests of delivery use."""
    return generate(EVENTS, seed=1, partitions=PARTITIONS)


@pytest.fixture(
    params=[
        pytest.param("fresh_broker", marks=pytest.mark.broker, id="embedded"),
        pytest.param("fresh_kafka", marks=pytest.mark.kafka, id="kafka"),
    ]
)
def broker_fixture(request: pytest.FixtureRequest) -> str:
    """Which broker it is."""
    return str(request.param)


@pytest.fixture
def empty(request: pytest.FixtureRequest, broker_fixture: str, tmp_path: Path) -> Iterator[Bed]:
    """A bed whose broker holds nothing."""
    kafka = own_group(replace(SETTINGS.kafka, bootstrap_servers=request.getfixturevalue(broker_fixture)))
    expires_sessions = broker_fixture == "fresh_kafka"
    with bed(replace(SETTINGS, kafka=kafka), tmp_path, expires_sessions) as made:
        yield made


@pytest.fixture
def replicated(fresh_cluster: Cluster, stream: Mix, tmp_path: Path) -> Iterator[Bed]:
    """A bed over three nodes that hold the whole stream, every record on each of them."""
    servers = fresh_cluster.bootstrap_servers
    kafka = own_group(replace(SETTINGS.kafka, bootstrap_servers=servers, replication_factor=3))
    with bed(replace(SETTINGS, kafka=kafka), tmp_path, expires_sessions=True) as made:
        asyncio.run(load(kafka, stream))
        yield made


def own_group(kafka: Kafka) -> Kafka:
    """Apache Kafka remembers the groups and transactional ids of earlier tests."""
    return replace(kafka, group_id=f"headrace-{uuid.uuid4()}")


@pytest.fixture
def loaded(empty: Bed, stream: Mix) -> Bed:
    """A bed whose broker holds the whole stream before a worker starts."""
    asyncio.run(load(empty.settings.kafka, stream))
    return empty


@pytest.fixture
def shop(empty: Bed, stream: Mix) -> Bed:
    """A bed whose broker holds the stream's catalogue, and no event yet."""
    asyncio.run(load(empty.settings.kafka, Mix(stream.catalog, {})))
    return empty
