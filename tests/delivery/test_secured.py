"""Over TLS, by password or certificate, with no right but those that deploy/README.md asks for."""

import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from conftest import entered_kafka
from delivery.bed import TIMEOUT_S, bed
from delivery.secured import SHOP, SHOP_PASSWORD, Secured, secured_kafka
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from msgspec.structs import replace

from streams.admin import open_admin
from streams.cli import main
from streams.connection import connection_options
from streams.settings import ClickHouse, Kafka, Settings, child_environment
from streams.sinks.engine import EngineStore

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("secured")]  # one node for all
README = (Path(__file__).parents[2] / "deploy/README.md").read_text()
VIEW = {
    "type": "view", "event_id": "e1", "user_id": "u1", "ts_ms": 1_748_851_200_000, "page": "home",
    "slots": [{"slot_id": "home-top", "kind": "ad", "position": 1}],
}  # fmt: skip


def acls() -> list[ACL]:
    """What the page's commands would make."""
    made = []
    for line in re.findall(r"^kafka-acls\.sh --add (.*)$", README, re.MULTILINE):
        words = shlex.split(line)
        options = list(zip(words[::2], words[1::2], strict=True))
        (principal,) = [value for name, value in options if name == "--allow-principal"]
        prefixed = ("--resource-pattern-type", "prefixed") in options
        pattern = ACLResourcePatternType.PREFIXED if prefixed else ACLResourcePatternType.LITERAL
        operations = [value for name, value in options if name == "--operation"]
        resources = [
            (kind, value)
            for name, value in options
            if (kind := getattr(ResourceType, name.strip("-").replace("-", "_").upper(), None))
        ]
        assert operations
        assert resources
        made += [
            ACL(
                principal,
                "*",
                ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
                ACLPermissionType.ALLOW,
                ResourcePattern(kind, value, pattern),
            )
            for operation in operations
            for kind, value in resources
        ]
    return made


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The connections of Headrace's user; it has the rights that the page asks for."""
    with entered_kafka(secured_kafka(tmp_path_factory.mktemp("secured"))) as made:
        with open_admin(made.administrator) as admin:
            assert [] == admin.create_acls(acls())["failed"]
        yield made


@pytest.fixture
def secured(listeners: Secured) -> Kafka:
    """By user and password."""
    return listeners.by_password


def headrace(settings: Settings, *arguments: str) -> Result:
    """Run a command with these settings."""
    return CliRunner().invoke(main, arguments, env=child_environment(settings))


def test_the_rights_that_the_page_asks_for_suffice(secured: Kafka, engine: str, tmp_path: Path) -> None:
    """From `init` over a shop's event to the decision that the shop reads, and what operators do."""
    settings = Settings(kafka=secured, clickhouse=ClickHouse(engine_url=engine, database="secured"))
    for command in (["init"], ["check"]):
        result = headrace(settings, *command)
        assert 0 == result.exit_code, result.output
    shop = connection_options(replace(secured, sasl_username=SHOP, sasl_password=SHOP_PASSWORD))
    with (
        bed(settings, tmp_path, expires_sessions=True) as made,
        closing(EngineStore(engine, "secured")) as store,
    ):
        worker = made.start("-m", "streams", "worker")
        producer = KafkaProducer(**shop)
        sent = producer.send("views", key=b"u1", value=orjson.dumps(VIEW)).get(10)
        producer.close()
        consumer = KafkaConsumer(
            "decisions", **shop, group_id="shop", auto_offset_reset="earliest",
            consumer_timeout_ms=TIMEOUT_S * 1000,
        )  # fmt: skip
        decision = orjson.loads(next(consumer).value)
        consumer.close()
        assert f"views-{sent.partition}-{sent.offset}-0" == decision["decision_id"]
        made.wait_for(lambda: worker.generation("headrace-learn") > 0, worker)
        made.wait_for(lambda: [(1,)] == store.query("SELECT count() FROM decisions").rows, worker)
        worker.terminate()
    (tmp_path / "view.json").write_bytes(orjson.dumps(VIEW))
    for command in (
        ["pause", "--reason", "a test"], ["resume", "--reason", "a test"], ["lag"], ["profile", "u1"],
        ["send", str(tmp_path / "view.json")], ["replay", str(tmp_path / "view.json")],
        ["dead-letters", "list"], ["dead-letters", "replay"],
    ):  # fmt: skip
        result = headrace(settings, *command)
        assert 0 == result.exit_code, result.output


def test_a_certificate_is_enough(listeners: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where brokers ask for one, it names the user: topics are made, and a worker joins both groups."""
    settings = Settings(kafka=listeners.by_certificate)
    result = headrace(settings, "init")
    assert 0 == result.exit_code, result.output
    with bed(settings, tmp_path, expires_sessions=True) as made:
        worker = made.start()
        made.wait_for(lambda: all(map(worker.generation, made.groups)), worker)
        worker.terminate()
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.5)
    refused = headrace(Settings(kafka=replace(listeners.by_certificate, ssl_cert_file="")), "init")
    assert (1, "") == (refused.exit_code, refused.stdout)
    (said,) = refused.stderr.splitlines()
    assert "kafka.ssl_cert_file" in said


@pytest.mark.parametrize("command", ["init", "worker"])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"sasl_password": "wrong"},
            "does not accept user headrace with the password that is set, by SCRAM-SHA-512: see "
            "kafka.sasl_username, sasl_password and sasl_mechanism",
        ),
        (
            {"ssl_ca_file": ""},
            "is not trusted (self-signed certificate in certificate chain): see kafka.ssl_ca_file, and "
            "whether bootstrap_servers has the name that is in the certificate",
        ),
        (
            {"security_protocol": "PLAINTEXT", "sasl_username": "", "sasl_password": "", "ssl_ca_file": ""},
            "but not for PLAINTEXT: see kafka.security_protocol and, where it asks for our certificate, "
            "kafka.ssl_cert_file",
        ),
    ],
)
def test_a_connection_that_is_refused(
    secured: Kafka, monkeypatch: pytest.MonkeyPatch, command: str, wrong: dict[str, str], sentence: str
) -> None:
    """Exit status 1 and one sentence with the way out; the password is not in it."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.5)
    result = headrace(Settings(kafka=replace(secured, **wrong)), command)
    assert (1, "") == (result.exit_code, result.stdout)
    (said,) = result.stderr.splitlines()
    assert said.startswith("Error: ")
    assert said.endswith(sentence)
