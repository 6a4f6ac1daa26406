"""Test beds that several modules share. A missing one skips its tests, or fails them where ``CI=true``.

But for Apache Kafka without Java: then continuous integration, too, makes do with the embedded broker.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

import pytest
from hypothesis import settings
from kafka import KafkaAdminClient

from streams.admin import ask
from streams.embedded.broker import broker as embedded_broker
from streams.embedded.clickhouse import Server, clickhouse
from streams.embedded.kafka import Cluster, kafka
from streams.embedded.platform import engine as embedded_engine
from streams.embedded.process import MissingPackageError
from streams.settings import Kafka

Bed = TypeVar("Bed")

# A kernel that is compiled, or a busy machine, is no fault of what is tested.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

MARKER_OF_FIXTURE = {
    "broker": "broker", "fresh_broker": "broker", "engine": "engine",
    "kafka_node": "kafka", "fresh_kafka": "kafka", "kafka_cluster": "kafka", "fresh_cluster": "kafka",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the beds it asks for, so that ``-m 'not broker'`` leaves out all of them."""
    for item in items:
        for fixture in MARKER_OF_FIXTURE.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(MARKER_OF_FIXTURE[fixture])


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of an embedded broker that the whole session shares."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_broker(tmp_path_factory.mktemp("broker")))


@pytest.fixture
def fresh_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of an embedded broker without topics, for one test."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_broker(tmp_path_factory.mktemp("fresh_broker")))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded ClickHouse engine that the whole session shares."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_engine(tmp_path_factory.mktemp("engine") / "data"))


@pytest.fixture(scope="session")
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Apache Kafka, one node, that the whole session shares."""
    with ExitStack() as stack:
        yield _entered_kafka(stack, tmp_path_factory, nodes=1)


@pytest.fixture
def fresh_kafka(kafka_node: Cluster) -> Iterator[str]:
    """Bootstrap servers of Apache Kafka without topics, for one test.

    What else a cluster remembers stays: consumer groups, and transactional ids with their epochs.
    """
    yield kafka_node.bootstrap_servers
    _delete_topics(kafka_node)


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Apache Kafka, three nodes, for one module."""
    with ExitStack() as stack:
        yield _entered_kafka(stack, tmp_path_factory, nodes=3)


@pytest.fixture
def fresh_cluster(kafka_cluster: Cluster) -> Iterator[Cluster]:
    """Apache Kafka, three nodes in sync and no topics, for one test, which may do to them what it likes."""
    kafka_cluster.wait_until_in_sync()
    yield kafka_cluster
    for node in kafka_cluster.nodes:
        node.resume()
        if not node.pid:
            node.start()
    _delete_topics(kafka_cluster)


def _delete_topics(cluster: Cluster) -> None:
    def delete(admin: KafkaAdminClient) -> None:
        admin.delete_topics([name for name in admin.list_topics() if not name.startswith("__")])

    ask(Kafka(bootstrap_servers=cluster.bootstrap_servers), delete)


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ClickHouse server that the whole session shares; whoever ends it starts it again."""
    with ExitStack() as stack:
        yield _entered(stack, clickhouse(tmp_path_factory.mktemp("clickhouse")))


def _entered_kafka(stack: ExitStack, directories: pytest.TempPathFactory, nodes: int) -> Cluster:
    return stack.enter_context(entered_kafka(kafka(directories.mktemp("kafka"), nodes)))


@contextmanager
def entered_kafka(bed: AbstractContextManager[Bed]) -> Iterator[Bed]:
    """A bed of Apache Kafka's; without Java or its jars the tests are skipped."""
    if shutil.which("java") is None:
        pytest.skip("Apache Kafka needs Java")
    with ExitStack() as stack:
        yield _entered(stack, bed)


def _entered(stack: ExitStack, bed: AbstractContextManager[Bed]) -> Bed:
    try:
        return stack.enter_context(bed)
    except MissingPackageError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
