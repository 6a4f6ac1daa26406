"""``headrace version``."""

import platform
from importlib.metadata import version as installed_version

import orjson
from click.testing import CliRunner

from streams.cli import main


def test_it_says_what_runs_here() -> None:
    """Headrace, Python, and the packages that matter, in one object."""
    report = orjson.loads(CliRunner().invoke(main, ["version", "--json"]).stdout)
    assert (installed_version("headrace"), platform.python_version()) == (
        report["headrace"],
        report["python"],
    )
    assert installed_version("aiokafka") == report["packages"]["aiokafka"]
    assert installed_version("msgspec") == report["packages"]["msgspec"]


def test_it_can_be_read() -> None:
    """A line each, Headrace first."""
    lines = CliRunner().invoke(main, ["version"]).stdout.splitlines()
    assert ["headrace", installed_version("headrace")] == lines[0].split()
    assert ["river", installed_version("river")] in [line.split() for line in lines]
