"""``headrace bench``."""

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.bench.measure import Measurement
from streams.bench.mix import Mix
from streams.bench.systems import Plan, System
from streams.cli import main

throughput = pytest.importorskip("streams.bench.throughput", reason="the extra `bench` is not installed")

RATES = {"headrace": 60_000.0, "plain_faust": 3000.0, "passthrough": 240_000.0}


def measured(system: System, plan: Plan, mix: Mix) -> Measurement:
    """A run that took no time and went well."""
    return Measurement(
        events=9000,
        duration_s=9000 / RATES[system],
        worker_cpu_s=0.09,
        broker_cpu_s=0.018,
        events_per_s=RATES[system],
        worker_cpu_us_per_event=10.0,
        broker_cpu_us_per_event=2.0,
    )


def failed(system: System, plan: Plan, mix: Mix) -> Measurement:
    """A run that failed."""
    raise throughput.BenchError("no progress for 120 s")


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "throughput", "--events", "10000", *arguments])


def test_json_is_one_object_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--json`` stdout holds the figures, the ratios and every single run, and nothing else."""
    monkeypatch.setattr(throughput, "run_once", measured)
    result = bench("--json")
    report = orjson.loads(result.stdout)
    assert 0 == result.exit_code
    assert (60_000.0, 3000.0, 240_000.0, 20.0, 0.25) == (
        report["headrace_events_per_s"],
        report["plain_faust_events_per_s"],
        report["passthrough_events_per_s"],
        report["headrace_to_plain_faust"],
        report["headrace_to_passthrough"],
    )
    assert {"headrace": 3, "plain_faust": 3, "passthrough": 3} == {
        system: len(runs) for system, runs in report["runs"].items()
    }


def test_the_table_shows_figures_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``--json`` a table has the medians, the CPU an event and the two ratios."""
    monkeypatch.setattr(throughput, "run_once", measured)
    lines = [line.split() for line in bench("--repetitions", "1").stdout.splitlines()]
    assert ["headrace", "60,000", "10.0", "2.0", "60,000"] in lines
    assert ["headrace", "/", "plain", "Faust:", "20.00"] in lines
    assert ["headrace", "/", "the", "pass-through:", "0.25"] in lines


def test_only_leaves_out_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--only`` the other systems are not run and have no figure."""
    monkeypatch.setattr(throughput, "run_once", measured)
    report = orjson.loads(bench("--only", "passthrough", "--json").stdout)
    assert ["passthrough"] == list(report["runs"])
    assert None is report["headrace_events_per_s"]


def test_a_failed_run_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 1, stdout is empty, and stderr says which run failed and how."""
    monkeypatch.setattr(throughput, "run_once", failed)
    result = bench("--json")
    assert (1, "") == (result.exit_code, result.stdout)
    assert "headrace, repetition 1: no progress for 120 s" in result.stderr


def test_keep_going_reports_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--keep-going`` the report comes all the same, lists every failure, and the exit status is 1."""
    monkeypatch.setattr(throughput, "run_once", failed)
    result = bench("--json", "--keep-going", "--repetitions", "1")
    assert 1 == result.exit_code
    assert 3 == len(orjson.loads(result.stdout)["failures"])


def test_too_few_events_are_a_usage_error() -> None:
    """A run too short to be measured is refused with exit status 2."""
    assert 2 == CliRunner().invoke(main, ["bench", "throughput", "--events", "5"]).exit_code
