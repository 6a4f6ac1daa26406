"""``headrace settings``."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.settings import SECTIONS


def settings(*arguments: str, before: tuple[str, ...] = (), **environment: str) -> Result:
    """Run the command with options before it and settings of the environment."""
    variables = {f"HEADRACE_{name.upper()}": value for name, value in environment.items()}
    return CliRunner().invoke(main, [*before, "settings", *arguments], env=variables)


@pytest.fixture
def from_everywhere(tmp_path: Path) -> tuple[str, ...]:
    """Options of the command line that set one setting by a file and one by themselves."""
    path = tmp_path / "headrace.toml"
    path.write_text("[kafka]\npartitions = 4\nreplication_factor = 3\n")
    return ("--config", str(path), "--set", "kafka.replication_factor=2")


def test_every_setting_says_where_it_comes_from(from_everywhere: tuple[str, ...], tmp_path: Path) -> None:
    """Default, file, environment or command line; the later one wins."""
    result = settings("--json", before=from_everywhere, learning_bits="20")
    found = orjson.loads(result.stdout)
    assert [
        f"{section}.{key}" for section in SECTIONS for key in SECTIONS[section].__struct_fields__
    ] == list(found)
    names = ["kafka.group_id", "kafka.partitions", "learning.bits", "kafka.replication_factor"]
    assert [
        ("headrace", "default"),
        (4, str(tmp_path / "headrace.toml")),
        (20, "environment variable HEADRACE_LEARNING_BITS"),
        (2, "the command line"),
    ] == [(found[name]["value"], found[name]["source"]) for name in names]


def test_a_setting_has_type_unit_default_variable_and_meaning() -> None:
    """All that is needed to change it."""
    found = orjson.loads(settings("--json", processing_lateness_s="5").stdout)
    expected = {
        "name": "processing.lateness_s",
        "variable": "HEADRACE_PROCESSING_LATENESS_S",
        "type": "float, above 0",
        "unit": "s",
        "default": 600.0,
        "value": 5.0,
        "source": "environment variable HEADRACE_PROCESSING_LATENESS_S",
        "description": "How much later than its time an event may come and still join.",
    }
    assert expected == found["processing.lateness_s"]


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--changed",)])
def test_a_secret_is_masked(arguments: tuple[str, ...]) -> None:
    """That there is one may be seen, but not which."""
    result = settings(*arguments, clickhouse_password="hunter2")
    assert "***" in result.stdout
    assert "hunter2" not in result.output


def test_a_secret_that_is_not_set_is_empty() -> None:
    """So that a missing password is found."""
    assert "" == orjson.loads(settings("--json").stdout)["clickhouse.password"]["value"]


def test_only_what_was_changed(from_everywhere: tuple[str, ...]) -> None:
    """``--changed`` leaves out the defaults; a header and a line a setting."""
    lines = settings("--changed", before=from_everywhere).stdout.splitlines()
    assert ["setting", "kafka.partitions", "kafka.replication_factor"] == [line.split()[0] for line in lines]


def test_a_setting_that_cannot_be_used_is_wrong_usage() -> None:
    """It is named with its source, before anything is shown."""
    result = settings(learning_bits="x")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "learning.bits = 'x' (from environment variable HEADRACE_LEARNING_BITS): " in result.stderr
