"""What is checked before a worker runs."""

from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.errors import TopicAuthorizationFailedError
from msgspec.structs import replace

from schemas.topics import TOPICS
from streams import checks
from streams.admin import open_admin
from streams.embedded.clickhouse import Server
from streams.embedded.process import free_port
from streams.settings import ClickHouse, Kafka, Processing, Settings
from streams.sinks import migrations
from streams.sinks.engine import EngineStore
from streams.topics import create_topics


@pytest.fixture
def kafka(fresh_broker: str) -> Kafka:
    """Settings of a broker without topics."""
    return Kafka(bootstrap_servers=fresh_broker, partitions=2)


@pytest.fixture
def admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """A connection to that broker."""
    with open_admin(kafka) as client:
        yield client


def failed(kafka: Kafka, *, clock: bool = False) -> dict[str, tuple[str, str]]:
    """Findings that are not ok, by name."""
    findings = checks.check_kafka(kafka, clock=clock)
    return {each.name: (each.found, each.remedy) for each in findings if not each.ok}


def test_after_init_all_is_well(kafka: Kafka, admin: KafkaAdminClient) -> None:
    """The broker, every topic and the clock; the topic that measured it is gone."""
    create_topics(admin, kafka)
    findings = list(checks.check_kafka(kafka, clock=True))
    assert ["broker", *(f"topic {topic.name}" for topic in TOPICS), "clock", "catalog", "decisions"] == [
        each.name for each in findings
    ]
    assert [] == [each for each in findings if not each.ok]
    assert {topic.name for topic in TOPICS} == {
        name for name in admin.list_topics() if not name.startswith("__")
    }


def test_a_topic_that_is_missing(kafka: Kafka) -> None:
    """Every one is named, and `init` makes it."""
    expected = {f"topic {topic.name}": ("does not exist", "run `headrace init`") for topic in TOPICS}
    assert expected == failed(kafka)


def test_a_topic_of_another_size(kafka: Kafka, admin: KafkaAdminClient) -> None:
    """What it has, what was expected, and both ways out."""
    admin.create_topics({"clicks": {"num_partitions": 3, "replication_factor": 1}})
    create_topics(admin, Kafka(bootstrap_servers=kafka.bootstrap_servers, partitions=3))
    found, remedy = failed(kafka)["topic clicks"]
    assert found.startswith("has 3 partitions, expected 2")
    assert remedy.startswith("set kafka.partitions to 3, or let `headrace repartition`")


def test_a_topic_that_a_broker_made_by_itself(kafka: Kafka, admin: KafkaAdminClient) -> None:
    """Stamped by producers, it is refused with the command that mends it; so is a changelog that forgets."""
    for name in ("views", "headrace-state"):
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}})
    create_topics(admin, kafka)
    found = failed(kafka)
    assert ["topic views", "topic headrace-state"] == list(found)
    assert "message.timestamp.type is " in found["topic views"][0]
    assert "--add-config message.timestamp.type=LogAppendTime" in found["topic views"][1]
    assert "--add-config cleanup.policy=compact" in found["topic headrace-state"][1]


def test_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """One finding, and no more about topics."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    found = failed(Kafka(bootstrap_servers=servers), clock=True)
    assert ["broker"] == list(found)
    assert f"No Kafka broker answered at {servers} within 0.2 s" == found["broker"][0]


@pytest.mark.parametrize(("skew_s", "words"), [(-5.0, "behind"), (5.0, "ahead of")])
def test_a_clock_that_is_off(
    kafka: Kafka, admin: KafkaAdminClient, monkeypatch: pytest.MonkeyPatch, skew_s: float, words: str
) -> None:
    """By how much, and in which direction."""
    stamp = checks._stamp

    def shifted(kafka: Kafka, topic: str) -> tuple[float, float, float]:
        before_s, broker_s, after_s = stamp(kafka, topic)
        return before_s + skew_s, broker_s, after_s + skew_s

    monkeypatch.setattr(checks, "_stamp", shifted)
    finding = checks.check_clock(admin, kafka)
    assert not finding.ok
    assert finding.found.endswith(f" s {words} the broker's, expected at most 1 s")


class ForbiddingAdmin:
    """A broker that lets nobody create topics."""

    def create_topics(self, topics: object) -> None:
        raise TopicAuthorizationFailedError


def test_a_broker_on_which_no_topic_may_be_made() -> None:
    """The clock is not measured, and there is a way to leave it out."""
    finding = checks.check_clock(ForbiddingAdmin(), Kafka())
    assert "not measured: TopicAuthorizationFailedError" == finding.found
    assert finding.remedy.endswith("or leave it out with --no-clock")


def test_versions_are_those_that_are_pinned() -> None:
    """The environment of the tests has them."""
    finding = checks.check_versions()
    assert finding.ok
    assert "faust-streaming 0.15.3" in finding.found


def test_another_version_of_a_pinned_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the command that installs the right one; what no one pins or installed is not."""
    lines = [
        "click>=8.1",
        "msgspec==0.0.1",
        "aiokafka[zstd]==0.14.0",
        'nowhere-to-be-found==1.0; extra == "x"',
    ]
    monkeypatch.setattr("streams.packages.requires", lambda _: lines)
    finding = checks.check_versions()
    assert finding.found.startswith("msgspec ")
    assert finding.found.endswith(", expected 0.0.1")
    assert "`pip install msgspec==0.0.1`" == finding.remedy


def test_settings_that_do_not_fit_each_other() -> None:
    """Duplicates must be remembered for as long as events may be late."""
    finding = checks.check_settings(Settings(processing=Processing(duplicate_horizon_s=5, lateness_s=6)), {})
    assert "processing.duplicate_horizon_s is 5, below processing.lateness_s, 6" == finding.found
    assert checks.check_settings(Settings(), {}).ok


def test_clickhouse_before_and_after_init(engine: str) -> None:
    """No tables yet; then a migration that is missing; then all of them."""
    settings = ClickHouse(engine_url=engine, database="checked")
    store = EngineStore(engine, "checked")
    try:
        assert "run `headrace init`" == checks.check_clickhouse(settings).remedy
        migrations.apply(store, "checked", migrations.load()[:-1])
        newest = migrations.load()[-1]
        found = checks.check_clickhouse(settings)
        assert (f"lacks migrations {newest.number:04}_{newest.name}", "run `headrace init`") == (
            found.found,
            found.remedy,
        )
        migrations.apply(store, "checked")
        assert checks.check_clickhouse(settings).ok
    finally:
        EngineStore(engine, "default").execute("DROP DATABASE IF EXISTS checked")


@pytest.mark.parametrize("where", ["engine_url", "host"])
def test_a_clickhouse_that_is_away(where: str) -> None:
    """The address that did not answer, and the settings that hold it."""
    port = free_port()
    settings = (
        ClickHouse(host="127.0.0.1", port=port)
        if where == "host"
        else ClickHouse(engine_url=f"http://127.0.0.1:{port}")
    )
    finding = checks.check_clickhouse(settings)
    assert f"127.0.0.1:{port} did not answer" in finding.found
    assert "see clickhouse.host and clickhouse.port, and start it" == finding.remedy


def test_a_clickhouse_server_before_init_and_with_a_wrong_user(clickhouse_server: Server) -> None:
    """The database that is missing is init's matter, the user a matter of settings."""
    settings = replace(clickhouse_server.settings, database="not_made_yet")
    finding = checks.check_clickhouse(settings)
    assert ("not_made_yet has no tables yet", "run `headrace init`") == (finding.found, finding.remedy)
    refused = checks.check_clickhouse(replace(clickhouse_server.settings, user="nobody-of-the-test"))
    assert refused.found.startswith("ClickHouse error ")
    assert "see clickhouse.user, clickhouse.password and its rights" == refused.remedy


def test_apache_kafka_after_init(fresh_kafka: str) -> None:
    """It reports every setting, defaults too, and stamps records by itself: all is well there, too."""
    kafka = Kafka(bootstrap_servers=fresh_kafka, partitions=2)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    assert {} == failed(kafka, clock=True)
