"""``headrace worker`` where something is not as it must be: it does not start, and one sentence says why."""

from contextlib import closing

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from schemas.topics import DECISIONS, IDENTITIES
from streams.admin import open_admin
from streams.cli import main
from streams.embedded.clickhouse import Server
from streams.embedded.process import free_port
from streams.preflight import preflight
from streams.settings import ClickHouse, Kafka, Settings
from streams.sinks import migrations
from streams.sinks.engine import EngineStore
from streams.topics import create_topics


def worker(servers: str, *options: str, arguments: tuple[str, ...] = ()) -> Result:
    """Try to start a worker, which must fail: a worker that runs would never return."""
    sets = [f"kafka.bootstrap_servers={servers}", *options]
    return CliRunner().invoke(
        main, [*(word for each in sets for word in ("--set", each)), "worker", *arguments]
    )


def assert_refused(result: Result, sentence: str) -> None:
    """Exit status 1, and nothing on stderr but the sentence."""
    assert (1, "") == (result.exit_code, result.stdout)
    assert [f"Error: {sentence}"] == result.stderr.splitlines()


@pytest.fixture
def servers(fresh_broker: str) -> str:
    """A broker with the topics."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=2)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    return fresh_broker


def test_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the setting that holds it."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    assert_refused(
        worker(servers),
        f"No Kafka broker answered at {servers} within 0.2 s: start one, or set kafka.bootstrap_servers "
        "(HEADRACE_KAFKA_BOOTSTRAP_SERVERS)",
    )


def test_without_topics(fresh_broker: str) -> None:
    """The command that makes them."""
    assert_refused(worker(fresh_broker), "topic `views` is not there: run `headrace init` first")


def test_without_the_topic_that_a_release_has_added(servers: str) -> None:
    """After an upgrade `init` has to run again, and the worker says so."""
    with open_admin(Kafka(bootstrap_servers=servers)) as admin:
        admin.delete_topics([IDENTITIES.name])
    assert_refused(worker(servers), "topic `headrace-identities` is not there: run `headrace init` first")


def test_with_topics_that_differ_in_their_number_of_partitions(servers: str) -> None:
    """What each has, and the command that mends it."""
    with open_admin(Kafka(bootstrap_servers=servers)) as admin:
        admin.create_partitions({"clicks": 3})
    assert_refused(
        worker(servers),
        "The topics differ in their number of partitions (views 2, clicks 3, purchases 2, decisions 2, "
        "outcomes 2, dead-letters 2, headrace-state 2, headrace-identities 2): stop workers and producers, "
        "and run `headrace repartition --partitions 3`",
    )


def test_without_clickhouse(servers: str) -> None:
    """The address and both settings; a worker that stores nothing does not ask for it."""
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    result = worker(servers, f"clickhouse.host={host}", f"clickhouse.port={port}")
    assert_refused(
        result,
        f"ClickHouse at {address} did not answer: NetworkError('Connection refused ({address})'): start it, "
        "or set clickhouse.host and clickhouse.port; without clickhouse.host nothing is stored",
    )
    settings = Settings(kafka=Kafka(bootstrap_servers=servers), clickhouse=ClickHouse(host, int(port)))
    assert [] == preflight(settings, ["process", "learn"])


def test_a_clickhouse_that_has_been_there_may_be_away(servers: str) -> None:
    """Kafka keeps what is to be stored, so the worker starts and says what it lacks."""
    group = Kafka(bootstrap_servers=servers).group_id + "-sink"
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    consumer.commit({TopicPartition(DECISIONS.name, 1): OffsetAndMetadata(7, "", -1)})
    consumer.close()
    clickhouse = ClickHouse("127.0.0.1", free_port())
    settings = Settings(kafka=Kafka(bootstrap_servers=servers), clickhouse=clickhouse)
    (sentence,) = preflight(settings, ["sink"])
    assert sentence.endswith("; it has stored before, so what is to be stored waits in Kafka")


def test_without_tables(servers: str, engine: str) -> None:
    """The command that lays them."""
    result = worker(servers, f"clickhouse.engine_url={engine}", "clickhouse.database=nowhere")
    assert_refused(result, "ClickHouse has no tables in nowhere yet: run `headrace init` first")


def test_with_tables_of_an_older_release(servers: str, engine: str) -> None:
    """The command that brings them up to date; a sink would fail at its first block."""
    with closing(EngineStore(engine, "older")) as store:
        migrations.apply(store, "older", [each for each in migrations.load() if each.number < 5])
    result = worker(servers, f"clickhouse.engine_url={engine}", "clickhouse.database=older")
    assert_refused(result, "ClickHouse's tables in older are those of an older release: run `headrace init`")


def test_with_a_user_that_clickhouse_does_not_know(servers: str, clickhouse_server: Server) -> None:
    """What it said, and the settings to look at."""
    at = clickhouse_server.settings
    result = worker(
        servers, f"clickhouse.host={at.host}", f"clickhouse.port={at.port}", "clickhouse.user=nobody"
    )
    assert_refused(
        result,
        "ClickHouse error 192: Unknown user nobody.: see clickhouse.user, clickhouse.password and its rights",
    )


@pytest.mark.parametrize(
    ("options", "arguments", "sentence"),
    [
        (["kafka.port=3"], (), "kafka.port = '3' (from the command line): there is no such setting"),
        (["kafka.partitions=x"], (), "kafka.partitions = 'x' (from the command line): Expected `int`"),
        ([], ("--roles", "proces"), "--roles proces: expected some of process, learn, sink"),
    ],
)  # fmt: skip
def test_wrong_use_exits_with_2(options: list[str], arguments: tuple[str, ...], sentence: str) -> None:
    """A slip in a setting or an option, before anything is asked."""
    result = worker("127.0.0.1:1", *options, arguments=arguments)
    assert 2 == result.exit_code
    assert result.stderr.splitlines()[-1].startswith(f"Error: {sentence}")


class StoppedHereError(Exception):
    """Instead of joining the groups."""


def test_kernels_are_ready_before_the_worker_joins(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for partitions of a worker that compiles."""
    calls: list[str] = []

    def join(*arguments: object) -> None:
        calls.append("join")
        raise StoppedHereError

    monkeypatch.setattr("streams.logs.start", lambda *arguments: None)
    monkeypatch.setattr("streams.memory.tune", lambda: None)
    monkeypatch.setattr("streams.commands.worker.rehearse", lambda settings, roles: calls.extend(roles))
    monkeypatch.setattr("streams.commands.worker.new_worker", join)

    result = worker(servers, arguments=("--roles", "process,learn"))

    assert isinstance(result.exception, StoppedHereError)
    assert ["process", "learn", "join"] == calls
