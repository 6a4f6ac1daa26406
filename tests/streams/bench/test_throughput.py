import pytest

pytest.importorskip("psutil", reason="the extra `bench` is not installed")

from streams.bench import throughput
from streams.bench.measure import Measurement
from streams.bench.mix import Mix
from streams.bench.systems import Plan, System
from streams.bench.throughput import BenchError, report, run


def at_rate(events_per_s: float) -> Measurement:
    return Measurement(
        events=1000,
        duration_s=1000 / events_per_s,
        worker_cpu_s=0.1,
        broker_cpu_s=0.1,
        events_per_s=events_per_s,
        worker_cpu_us_per_event=100.0,
        broker_cpu_us_per_event=100.0,
    )


def test_ratios_are_those_of_the_medians() -> None:
    """One slow and one fast repetition move neither the figures nor the ratios."""
    runs = {
        "headrace": [at_rate(50_000.0), at_rate(1.0), at_rate(90_000.0)],
        "plain_faust": [at_rate(2500.0), at_rate(9000.0), at_rate(100.0)],
        "passthrough": [at_rate(200_000.0), at_rate(1.0), at_rate(10**6)],
    }
    made = report(Plan(), runs, [])
    assert (50_000.0, 2500.0, 200_000.0) == (
        made.headrace_events_per_s,
        made.plain_faust_events_per_s,
        made.passthrough_events_per_s,
    )
    assert (20.0, 0.25) == (made.headrace_to_plain_faust, made.headrace_to_passthrough)


def test_what_was_not_measured_has_no_figure() -> None:
    """A system that was left out or failed every time has neither a figure nor a ratio."""
    made = report(Plan(), {"headrace": [at_rate(50_000.0)], "plain_faust": []}, ["plain_faust: it failed"])
    assert (50_000.0, None, None) == (
        made.headrace_events_per_s,
        made.plain_faust_events_per_s,
        made.passthrough_events_per_s,
    )
    assert (None, None) == (made.headrace_to_plain_faust, made.headrace_to_passthrough)


@pytest.mark.usefixtures("broker")  # skips where there is none
def test_the_peers_do_the_whole_job() -> None:
    """Plain Faust and the pass-through come to the end of the stream and decide what was asked for."""
    plan = Plan(systems=("plain_faust", "passthrough"), events=20_000, plain_faust_events=2000, repetitions=1)
    made = run(plan, advance=lambda: None)
    measured = {system: runs[0].events for system, runs in made.runs.items()}
    assert [] == made.failures
    assert {"plain_faust", "passthrough"} == {system for system, events in measured.items() if events > 0}
    assert measured["plain_faust"] < 2000
    assert measured["passthrough"] < 20_000


class FailingRun:
    """A run that fails on its second call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, system: System, plan: Plan, mix: Mix) -> Measurement:
        self.calls += 1
        if self.calls == 2:
            raise BenchError("no progress")
        return at_rate(100.0)


PLAN = Plan(systems=("passthrough", "headrace"), events=10, repetitions=2)


def test_a_failed_run_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure says which system failed in which repetition, and nothing is run after it."""
    failing = FailingRun()
    monkeypatch.setattr(throughput, "run_once", failing)
    with pytest.raises(BenchError, match="headrace, repetition 1: no progress"):
        run(PLAN, advance=lambda: None)
    assert 2 == failing.calls


def test_keep_going_reports_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``keep_going`` the other runs are measured and the failure stands in the report."""
    monkeypatch.setattr(throughput, "run_once", FailingRun())
    made = run(PLAN, advance=lambda: None, keep_going=True)
    assert ["headrace, repetition 1: no progress"] == made.failures
    assert {"passthrough": 2, "headrace": 1} == {system: len(runs) for system, runs in made.runs.items()}
