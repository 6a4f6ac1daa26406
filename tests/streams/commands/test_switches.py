"""``headrace pause`` and ``headrace resume``."""

import time

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import create_topics


def headrace(servers: str, *arguments: str) -> Result:
    """Run a command against a broker."""
    return CliRunner().invoke(main, ["--set", f"kafka.bootstrap_servers={servers}", *arguments])


@pytest.fixture
def servers(fresh_broker: str) -> str:
    """A broker with the topics."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=1)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    return fresh_broker


def test_pause_resume_and_the_audit(servers: str) -> None:
    """Each shows what is paused then, since when and by whom; the history has all of it."""
    before_ms = int(time.time() * 1000)
    assert "Nothing is paused\n" == headrace(servers, "pause", "--list").stdout
    said = headrace(servers, "pause", "--reason", "prices are wrong", "--by", "me").stdout
    assert ["paused", "since", "(UTC)", "by", "reason"] == said.splitlines()[0].split()
    assert said.splitlines()[1].startswith("(all)   20")
    assert said.splitlines()[1].endswith("  me  prices are wrong")
    headrace(servers, "pause", "--shop", "outlet", "--shop", "main", "--reason", "audit")
    everything = orjson.loads(headrace(servers, "pause", "--list", "--json").stdout)["paused"]
    assert ["", "main", "outlet"] == [each["shop_id"] for each in everything]
    assert 0 == headrace(servers, "resume", "--reason", "right again").exit_code
    left = orjson.loads(headrace(servers, "resume", "--shop", "main", "--reason", "b", "--json").stdout)
    assert ["outlet"] == [each["shop_id"] for each in left["paused"]]
    assert "@" in left["paused"][0]["by"]
    switches = orjson.loads(headrace(servers, "pause", "--history", "--json").stdout)["switches"]
    assert [("", True), ("outlet", True), ("main", True), ("", False), ("main", False)] == [
        (each["shop_id"], each["paused"]) for each in switches
    ]
    assert before_ms <= switches[0]["ts_ms"] <= switches[-1]["ts_ms"] <= time.time() * 1000
    lines = headrace(servers, "pause", "--history").stdout.splitlines()
    assert ["pause", "(all)", "me", "prices", "are", "wrong"] == lines[1].split()[2:]
    check = headrace(servers, "check", "--no-clock")
    assert "ok    decisions             paused for shop outlet since " in check.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pause"], "Expected one of --reason TEXT (to pause), --list and --history"),
        (["pause", "--reason", "x", "--list"], "Expected one of --reason TEXT"),
        (["pause", "--list", "--shop", "s"], "--shop and --by go with --reason only"),
        (["pause", "--reason", ""], "Expected `str` of length >= 1 - at `$.reason`"),
        (["pause", "--reason", "x", "--shop", ""], "--shop: expected the id of a shop"),
        (["pause", "--reason", "x", "--shop", "s" * 65], "Expected `str` of length <= 64 - at `$.shop_id`"),
        (["resume"], "Missing option '--reason'"),
    ],
)
def test_wrong_use_exits_with_2(arguments: list[str], said: str) -> None:
    """Before any broker is asked; nobody who wants to look pauses a shop by mistake."""
    result = headrace("127.0.0.1:1", *arguments)
    assert 2 == result.exit_code
    assert said in result.stderr


@pytest.mark.parametrize("arguments", [["pause", "--list"], ["resume", "--reason", "x"]])
def test_an_absent_broker_fails_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Exit status 1, the address and what to set."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    result = headrace(servers, *arguments)
    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(f"Error: No Kafka broker answered at {servers} within ")


def test_a_missing_topic_fails_with_one_sentence(fresh_broker: str) -> None:
    """Exit status 1, and the command that makes it."""
    result = headrace(fresh_broker, "pause", "--reason", "x")
    assert (1, "Error: topic `catalog` is not there: run `headrace init` first\n") == (
        result.exit_code,
        result.stderr,
    )
