"""``headrace lag``."""

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition

from schemas.topics import DECISIONS, VIEWS
from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import create_topics


def lag(servers: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--set", f"kafka.bootstrap_servers={servers}", "lag", *arguments])


@pytest.fixture
def behind(fresh_broker: str) -> str:
    """A broker on which `process` is three views behind in one partition, and `sink` is at its start."""
    kafka = Kafka(bootstrap_servers=fresh_broker)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
        producer = KafkaProducer(bootstrap_servers=fresh_broker)
        for _ in range(5):
            producer.send(VIEWS.name, b"{}", partition=2)
        for partition in (0, 1):
            producer.send(DECISIONS.name, b"{}", partition=partition)
        producer.close()
        committed = {TopicPartition(VIEWS.name, 2): OffsetAndMetadata(2, "", -1)}
        admin.alter_group_offsets("headrace-process", committed)
    return fresh_broker


def test_it_says_how_far_each_role_is_behind(behind: str) -> None:
    """By role and topic: offsets that are left, and in how many partitions."""
    result = lag(behind, "--json")
    report = orjson.loads(result.stdout)
    assert {"process", "learn", "sink"} == report.keys()
    assert {"behind": 3, "partitions_behind": 1} == report["process"]["views"]
    assert {"behind": 0, "partitions_behind": 0} == report["process"]["clicks"]
    assert {"behind": 2, "partitions_behind": 2} == report["sink"]["decisions"]


def test_it_can_be_read(behind: str) -> None:
    """A line a role and topic, with the same numbers."""
    lines = [line.split() for line in lag(behind).stdout.splitlines()]
    assert ["process", "views", "3", "1"] in lines
    assert ["sink", "decisions", "2", "2"] in lines


def test_an_absent_broker_fails_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1 and what to look at."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    result = lag(f"127.0.0.1:{free_port()}")
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Error: No Kafka broker answered")
