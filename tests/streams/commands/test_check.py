"""``headrace check``."""

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.admin import open_admin
from streams.cli import main
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import create_topics


def check(servers: str, *arguments: str) -> Result:
    """Run the command against a broker."""
    return CliRunner().invoke(main, ["--set", f"kafka.bootstrap_servers={servers}", "check", *arguments])


def test_all_is_well(fresh_broker: str) -> None:
    """Exit status 0, and every line begins with ok."""
    kafka = Kafka(bootstrap_servers=fresh_broker)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    result = check(fresh_broker)
    assert 0 == result.exit_code
    assert {"ok"} == {line.split()[0] for line in result.stdout.splitlines()}
    assert 18 == len(result.stdout.splitlines())


def test_each_line_says_what_to_do(fresh_broker: str) -> None:
    """Exit status 1 if anything is not ok."""
    result = check(fresh_broker, "--no-clock")
    assert 1 == result.exit_code
    assert "FAIL  topic views           does not exist -> run `headrace init`" in result.stdout.splitlines()
    assert "Error: 11 of 15 checks are not ok; each says what to do\n" == result.stderr


def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object on stdout, also where something is not ok."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    result = check(f"127.0.0.1:{free_port()}", "--json")
    report = orjson.loads(result.stdout)
    assert (1, False) == (result.exit_code, report["ok"])
    assert {"settings": True, "versions": True, "broker": False, "clickhouse": True} == {
        each["name"]: each["ok"] for each in report["checks"]
    }
