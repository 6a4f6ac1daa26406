"""``headrace topics``."""

import orjson
import pytest
from click.testing import CliRunner, Result

from schemas.topics import STATE, TOPICS
from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import topic_config

NAMES = [topic.name for topic in TOPICS]


def topics(servers: str, *arguments: str) -> Result:
    """Run the command against a broker, with two partitions a topic."""
    options = ["--set", f"kafka.bootstrap_servers={servers}", "--set", "kafka.partitions=2"]
    return CliRunner().invoke(main, [*options, "topics", *arguments])


def test_topics_are_created_once(fresh_broker: str) -> None:
    """As `init` does, without the tables."""
    expected = {"created": NAMES, "kept": []}
    assert expected == orjson.loads(topics(fresh_broker, "create", "--json").stdout)
    assert f"Topics created: none; kept: {', '.join(NAMES)}\n" == topics(fresh_broker, "create").stdout


def test_they_are_described(fresh_broker: str) -> None:
    """What the broker has beside what was expected, the configuration, and what the contract says."""
    topics(fresh_broker, "create")
    report = orjson.loads(topics(fresh_broker, "describe", "--json").stdout)["topics"]
    assert NAMES == list(report)
    assert {
        "name": "headrace-state", "partitions": 2, "expected_partitions": 2, "out_of_sync": 0, "faults": [],
        "config": topic_config(STATE), "direction": "internal", "key": STATE.key,
        "description": STATE.description,
    } == report["headrace-state"]  # fmt: skip
    lines = topics(fresh_broker, "describe").stdout.splitlines()
    assert ["views", "in", "2", "2", "0", "delete", "yes"] == lines[1].split()
    assert ["model", "out", "1", "1", "0", "compact", "yes"] in [line.split() for line in lines]


def test_a_topic_that_cannot_be_used_says_why(fresh_broker: str) -> None:
    """In the last column; the others are missing."""
    with open_admin(Kafka(bootstrap_servers=fresh_broker)) as admin:
        admin.create_topics({"clicks": {"num_partitions": 5, "replication_factor": 1}})
    lines = topics(fresh_broker, "describe").stdout.splitlines()
    assert "has 5 partitions, expected 2: set kafka.partitions to 5, or let" in lines[2]
    assert lines[1].endswith("does not exist: run `headrace init`")
    result = topics(fresh_broker, "create")
    assert 1 == result.exit_code
    assert result.stderr.startswith("Error: Topic `clicks` has 5 partitions, expected 2: ")


@pytest.mark.parametrize("command", ["create", "describe"])
def test_an_absent_broker_fails_with_one_sentence(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Exit status 1 and what to look at."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    result = topics(f"127.0.0.1:{free_port()}", command)
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Error: No Kafka broker answered")
