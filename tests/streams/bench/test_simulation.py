"""How fast the synthetic shop is."""

import orjson
from click.testing import CliRunner, Result

from streams.cli import main

SMALL = ("--config", "other", "--exposures", "5000", "--events", "2000")


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "simulate", *arguments])


def test_the_report_has_all_rates() -> None:
    """With --json stdout holds one object, with what was measured and how fast it was."""
    result = simulate(*SMALL, "--json")
    report = orjson.loads(result.stdout)
    assert 0 == result.exit_code
    assert (5000, 2000, "other") == (report["exposures"], report["events"], report["configuration"])
    rates = [report[name] for name in report if name.endswith("_per_cpu_s")]
    assert 3 == len(rates)
    assert min(rates) > 0


def test_the_lines_name_what_was_measured() -> None:
    """Three lines, each with a rate a second and a CPU second."""
    lines = simulate(*SMALL).stdout.splitlines()
    assert 3 == len(lines)
    assert all("/s, " in line and line.endswith("a CPU second") for line in lines)


def test_an_unknown_configuration_exits_with_2() -> None:
    """As for the simulation itself."""
    assert 2 == simulate("--config", "absent").exit_code
