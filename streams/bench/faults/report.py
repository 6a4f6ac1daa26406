"""Both runs of a seed, and what they come to."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from streams.bench.faults.bed import Bed, open_bed
from streams.bench.faults.comparison import Differences
from streams.bench.faults.logins import with_logins
from streams.bench.faults.plan import Fault, Kind, draw_faults
from streams.bench.faults.run import Name, Run, run
from streams.bench.faults.stream import disturb
from streams.bench.mix import generate

RUNS: tuple[Name, ...] = ("strict", "paced")
PARTITIONS = 6
STORE_FIGURES = ("store_rows", "store_missing_rows", "store_other_rows")


class Plan(Struct, frozen=True):
    """What is run."""

    seed: int = 1
    minutes: float = 10.0
    nodes: int = 3
    embedded: bool = False
    events: int = 300_000
    faults: int = 20
    """Of both runs together."""
    workers: int = 3
    events_per_s: float = 4_000.0
    """Of the paced run."""


class Report(Differences, frozen=True):
    """What came out of both runs together."""

    store_rows: int | None
    """In ClickHouse, of both runs; None where there was no store."""
    store_missing_rows: int | None
    store_other_rows: int | None
    """Both must be 0."""
    learner_weights_equal: bool
    faults: dict[Kind, int]
    faults_left_out: Mapping[Kind, str]
    passed: bool
    plan: Plan
    runs: list[Run]


def run_all(plan: Plan, directory: Path | None, advance: Callable[[], None]) -> Report:
    """Both runs on one bed. ``directory`` keeps logs and data; by default they are removed.

    Raises what ``open_bed`` and ``run`` raise.
    """
    deadline_s = time.monotonic() + 60.0 * plan.minutes
    with tempfile.TemporaryDirectory(prefix="headrace-faults-") as scratch:
        place = directory or Path(scratch)
        with open_bed(place / "bed", plan.nodes, plan.embedded, with_store=True) as bed:
            counts = (plan.faults // 2, plan.faults - plan.faults // 2)
            drawn = draw_faults(plan.seed, counts, bed.kinds)
            runs = [
                _run(plan, name, faults, bed, place, deadline_s, advance)
                for name, faults in zip(RUNS, drawn, strict=True)
            ]
            return report(plan, bed, runs)


def _run(
    plan: Plan,
    name: Name,
    faults: list[Fault],
    bed: Bed,
    directory: Path,
    deadline_s: float,
    advance: Callable[[], None],
) -> Run:
    mix = with_logins(generate(plan.events, plan.seed, PARTITIONS), plan.seed, PARTITIONS)
    stream = disturb(mix, plan.seed, skewed=name == "paced")
    return run(name, stream, faults, bed, plan.workers, plan.events_per_s, directory, deadline_s, advance)


def report(plan: Plan, bed: Bed, runs: list[Run]) -> Report:
    """The sums over both runs."""
    totals = {
        name: sum(getattr(each.comparison, name) for each in runs) for name in Differences.__struct_fields__
    }
    stores = [each.store for each in runs if each.store is not None]
    of_stores = {name: sum(getattr(each, name) for each in stores) for name in STORE_FIGURES if stores}
    faults: dict[Kind, int] = {}
    for each in runs:
        for injected in each.injected:
            faults[injected.kind] = faults.get(injected.kind, 0) + 1
    return Report(
        **totals,
        store_rows=of_stores.get("store_rows"),
        store_missing_rows=of_stores.get("store_missing_rows"),
        store_other_rows=of_stores.get("store_other_rows"),
        learner_weights_equal=not any(each.learner_differences for each in runs),
        faults=faults,
        faults_left_out=bed.left_out,
        passed=all(each.passed for each in runs),
        plan=plan,
        runs=runs,
    )
