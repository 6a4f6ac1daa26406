"""``headrace send``."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer
from msgspec.json import encode
from traffic import T0_MS, click, purchase, view

from schemas.catalog import Item
from schemas.topics import CATALOG, CLICKS, PURCHASES, VIEWS
from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.routing import partition_of
from streams.settings import Kafka
from streams.topics import create_topics

ITEM = encode(Item("i1"))
VIEW, CLICK, ORDER = (
    encode(each) for each in (view(T0_MS, "u1"), click(T0_MS, "u2", kind="item"), purchase(T0_MS))
)
BROKEN = b'{"type":"view","user_id":"user-of-the-test"}'
ALL = {"catalog": 1, "views": 1, "clicks": 1, "purchases": 1}


def send(servers: str, *arguments: str, stdin: bytes = b"") -> Result:
    """Run the command against a broker."""
    options = ["--set", f"kafka.bootstrap_servers={servers}", "send"]
    return CliRunner().invoke(main, [*options, *arguments], input=stdin)


@pytest.fixture
def servers(fresh_broker: str) -> str:
    """A broker with the topics, two partitions each."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=2)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    return fresh_broker


def records(servers: str) -> list[tuple[Any, ...]]:
    """What is on the topics of a shop."""
    consumer = KafkaConsumer(
        VIEWS.name, CLICKS.name, PURCHASES.name, CATALOG.name,
        bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=1000,
    )  # fmt: skip
    found = [(each.topic, each.partition, each.key, each.value) for each in consumer]
    consumer.close()
    return found


def test_events_and_entries_reach_their_topics(servers: str, tmp_path: Path) -> None:
    """As the bytes they are, keyed by user, where any client of Kafka would put them."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"\n".join([ITEM, VIEW, CLICK])))
    result = send(servers, str(tmp_path / "a.jsonl.gz"), "-", "--json", stdin=ORDER)
    report = orjson.loads(result.stdout)
    assert (0, ALL, []) == (result.exit_code, report["topics"], report["faults"])
    assert sorted(
        [
            ("catalog", 0, b"item:main:i1", ITEM),
            ("views", partition_of(b"u1", 2), b"u1", VIEW),
            ("clicks", partition_of(b"u2", 2), b"u2", CLICK),
            ("purchases", partition_of(b"u1", 2), b"u1", ORDER),
        ]
    ) == sorted(records(servers))


def test_nothing_is_sent_where_a_line_is_broken(servers: str, tmp_path: Path) -> None:
    """Exit status 1 and the line with its reason, without what it holds; --unchecked sends it anyway."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(VIEW + b"\n" + BROKEN + b"\n")
    result = send(servers, str(path))
    assert (1, "") == (result.exit_code, result.stdout)
    said = result.stderr.splitlines()
    assert f"{path}, line 2: Object missing required field `event_id`" in said
    assert said[-1].startswith("Error: 1 of 2 records break the contract, and nothing was sent; ")
    assert "user-of-the-test" not in result.stderr
    assert [
        {"file": str(path), "line": 2, "reason": "Object missing required field `event_id`"}
    ] == orjson.loads(send(servers, str(path), "--json").stdout)["faults"]
    assert 0 == send(servers, "-", "--dry-run", stdin=VIEW).exit_code
    assert [] == records(servers)
    assert "Sent 2 records in " in send(servers, "-", "--unchecked", stdin=path.read_bytes()).stdout
    assert {VIEW, BROKEN} == {record[3] for record in records(servers)}


def test_many_faults_are_counted() -> None:
    """Twenty are named."""
    result = send("127.0.0.1:1", "-", stdin=b"?\n" * 23)
    assert 20 == result.stderr.count("JSON is malformed")
    assert "and 3 more; --json names them all" in result.stderr.splitlines()


def test_a_dry_run_needs_no_broker() -> None:
    """It says what would be sent."""
    result = send("127.0.0.1:1", "-", "--dry-run", stdin=VIEW + b"\n" + CLICK)
    assert (0, "Would send 2 records, all in order: 1 to clicks, 1 to views\n") == (
        result.exit_code,
        result.stdout,
    )


@pytest.mark.parametrize("arguments", [[], ["absent.jsonl"], ["-", "--dry-run", "--unchecked"]])
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    """No file, a missing one, and a check that is none."""
    assert 2 == send("127.0.0.1:1", *arguments).exit_code


def test_an_absent_broker_fails_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1, the address and what to set."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    result = send(servers, "-", stdin=VIEW)
    assert 1 == result.exit_code
    assert result.stderr.splitlines()[-1].startswith(f"Error: No Kafka broker answered at {servers} within ")


def test_topics_that_are_missing(fresh_broker: str) -> None:
    """Exit status 1, and the command that makes them; none is made by sending."""
    result = send(fresh_broker, "-", stdin=VIEW)
    assert 1 == result.exit_code
    assert result.stderr.endswith("views, clicks, purchases, catalog: create it with `headrace init`\n")
