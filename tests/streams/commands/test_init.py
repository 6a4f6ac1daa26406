"""``headrace init``."""

import orjson
import pytest
from click.testing import CliRunner, Result

from schemas.topics import TOPICS
from streams.cli import main
from streams.embedded.process import free_port
from streams.sinks import migrations

NAMES = [topic.name for topic in TOPICS]


def init(servers: str, *arguments: str, **settings: str) -> Result:
    """Run the command against a broker, with settings of the environment."""
    environment = {f"HEADRACE_{name.upper()}": value for name, value in settings.items()}
    environment["HEADRACE_KAFKA_BOOTSTRAP_SERVERS"] = servers
    return CliRunner().invoke(main, ["init", *arguments], env=environment)


def test_the_second_run_changes_nothing(fresh_broker: str) -> None:
    """All topics are created, then all are kept."""
    first, second = init(fresh_broker, "--json"), init(fresh_broker, "--json")
    assert {"topics": {"created": NAMES, "kept": []}, "migrations": None} == orjson.loads(first.stdout)
    assert {"topics": {"created": [], "kept": NAMES}, "migrations": None} == orjson.loads(second.stdout)


def test_without_clickhouse_it_says_what_it_skipped(fresh_broker: str) -> None:
    """The topics are there, and the report names the settings that were empty."""
    result = init(fresh_broker)
    assert 0 == result.exit_code
    assert "ClickHouse skipped: neither clickhouse.host nor clickhouse.engine_url is set" in result.stdout


def test_the_tables_are_laid_once(fresh_broker: str, engine: str) -> None:
    """Every migration is applied by the first run and none by the second."""
    settings = {"clickhouse_engine_url": engine, "clickhouse_database": "test_init"}
    first, second = (init(fresh_broker, "--json", **settings) for _ in range(2))
    names = [f"{migration.number:04}_{migration.name}" for migration in migrations.load()]
    assert names == orjson.loads(first.stdout)["migrations"]
    assert [] == orjson.loads(second.stdout)["migrations"]


def test_another_partition_count_fails_with_one_sentence(fresh_broker: str) -> None:
    """Exit status 1, and the way out is in the message."""
    init(fresh_broker, kafka_partitions="2")
    result = init(fresh_broker, kafka_partitions="4")
    assert 1 == result.exit_code
    assert "Topic `views` has 2 partitions, expected 4: set kafka.partitions to 2" in result.stderr


def test_an_absent_broker_fails_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1, one line on stderr, nothing on stdout."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    result = init(f"127.0.0.1:{free_port()}")
    assert (1, "") == (result.exit_code, result.stdout)
    assert ["Error: No Kafka broker answered"] == [line[:31] for line in result.stderr.splitlines()]


def test_an_absent_clickhouse_fails_with_one_sentence(fresh_broker: str) -> None:
    """Exit status 1, and the address is in the message."""
    address = f"127.0.0.1:{free_port()}"
    result = init(fresh_broker, clickhouse_engine_url=f"http://{address}")
    assert 1 == result.exit_code
    assert address in result.stderr
