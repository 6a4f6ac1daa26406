"""``headrace bench faults``."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.bench.faults import report as bench
from streams.bench.faults.bed import Bed
from streams.bench.faults.comparison import Comparison
from streams.bench.faults.plan import ONE_NODE_KINDS, STORE_KINDS
from streams.bench.faults.report import Plan, Report
from streams.bench.faults.run import Injected, Run, TimeIsUpError
from streams.bench.faults.store import StoreComparison
from streams.bench.faults.stream import Disturbances
from streams.cli import main

WHOLE = Bed("127.0.0.1:9092", None, None)


def came_to(
    missing: int, store: StoreComparison | None = None
) -> Callable[[Plan, Path | None, Callable[[], None]], Report]:
    """Two runs that lack so many decisions each, and have these stores."""
    comparison = Comparison(2, 1, missing, *(0,) * 9, {})
    disturbances, injected = Disturbances(10_000, 0, 0, 0, 0, 0, 0), [Injected("kill", 1.0, 500)]
    single = Run("strict", 10.0, 1000.0, disturbances, injected, 3, [], [], comparison, store)
    return lambda plan, directory, advance: bench.report(plan, WHOLE, [single, single])


def faults(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "faults", *arguments])


def test_json_is_one_object_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--json`` stdout holds the sums of both runs, the faults by kind and why others are left out."""
    monkeypatch.setattr(bench, "run_all", came_to(missing=0))
    result = faults("--json", "--seed", "7", "--nodes", "1")
    figures = orjson.loads(result.stdout)
    assert 0 == result.exit_code
    assert (0, 4, 2) == tuple(
        figures[name] for name in ("missing_decisions", "raw_copies", "conflicting_copies")
    )
    assert ({"kill": 2}, True, 7) == (figures["faults"], figures["passed"], figures["plan"]["seed"])
    assert set(ONE_NODE_KINDS) & figures["faults_left_out"].keys()


def test_a_mismatch_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """One missing decision is exit 1, after the report."""
    monkeypatch.setattr(bench, "run_all", came_to(missing=1))
    result = faults()
    assert 1 == result.exit_code
    assert "missing_decisions: 2" in result.stdout
    assert "the job did not come to what the processor comes to" in result.stderr


def test_a_row_that_is_missing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """ClickHouse belongs to what must come out: one row that it lacks is exit 1, with all of its figures."""
    monkeypatch.setattr(bench, "run_all", came_to(missing=0, store=StoreComparison(5_000, 1, 0, {})))
    result = faults()
    assert 1 == result.exit_code
    for line in ("store_rows: 10,000", "store_missing_rows: 2", "store_other_rows: 0"):
        assert line in result.stdout.splitlines()


def test_without_a_store_there_are_no_figures_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at is null and not 0, and the faults that are left out say why."""
    monkeypatch.setattr(bench, "run_all", came_to(missing=0))
    figures = orjson.loads(faults("--json").stdout)
    assert figures["store_missing_rows"] is None
    assert set(STORE_KINDS) <= figures["faults_left_out"].keys()
    assert "store_missing_rows" not in faults().stdout


def test_time_that_is_up_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults that are still to come when the minutes are over have not been survived."""

    def late(plan: Plan, directory: Path | None, advance: Callable[[], None]) -> Report:
        raise TimeIsUpError("the time was up after 5 events and 0 faults")

    monkeypatch.setattr(bench, "run_all", late)
    result = faults("--minutes", "1")
    assert (1, "") == (result.exit_code, result.stdout)
    assert "the time was up after 5 events and 0 faults" in result.stderr
