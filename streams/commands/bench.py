"""``headrace bench``: what Headrace can do on this machine."""

import signal
import sys
from statistics import median
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec
import orjson

from streams.bench.systems import SYSTEMS, Plan
from streams.commands.bench_adopt import adopt
from streams.commands.bench_broken import broken
from streams.commands.bench_invalid import invalid
from streams.commands.bench_labels import cold_start, delays
from streams.commands.bench_learners import learners, quality, truth
from streams.commands.bench_learning import calibration, drift, poison, promotion
from streams.commands.faults import faults
from streams.commands.recovery import memory, recovery
from streams.commands.simulation import simulate

if TYPE_CHECKING:
    from streams.bench.throughput import Report

DEFAULT = Plan()

EPILOG = """\b
Examples:
  headrace bench throughput
  headrace bench throughput --json --repetitions 5
  headrace bench throughput --kafka
  headrace bench throughput --only headrace --events 100000 --repetitions 1
"""


@click.group()
def bench() -> None:
    """Measure Headrace on this machine."""


for command in (
    adopt, broken, calibration, cold_start, delays, drift, faults, invalid, learners, memory, poison,
    promotion, quality, recovery, simulate, truth,
):  # fmt: skip
    bench.add_command(command)


@bench.command(epilog=EPILOG)
@click.option(
    "--events",
    type=click.IntRange(10_000),
    default=DEFAULT.events,
    show_default=True,
    help="Events of a run.",
)
@click.option(
    "--plain-faust-events",
    type=click.IntRange(1000),
    default=DEFAULT.plain_faust_events,
    show_default=True,
    help="Events of a run of plain Faust, which is slow.",
)
@click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=DEFAULT.repetitions,
    show_default=True,
    help="Runs of each system.",
)
@click.option("--seed", type=int, default=DEFAULT.seed, show_default=True, help="Of the events.")
@click.option(
    "--only",
    type=click.Choice(SYSTEMS),
    multiple=True,
    help="Measure only this system; may be repeated.",
)
@click.option("--kafka", is_flag=True, help="Over one node of Apache Kafka (Java, Maven, a source checkout).")
@click.option("--keep-going", is_flag=True, help="Go on with the other runs where one fails.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def throughput(
    events: int,
    plain_faust_events: int,
    repetitions: int,
    seed: int,
    only: tuple[str, ...],
    kafka: bool,
    keep_going: bool,
    as_json: bool,
) -> None:
    """Events per second of the standard mix, next to plain Faust and to a bare pass-through.

    Each run has a broker of its own, the embedded one unless --kafka is given, loaded beforehand with the
    same events. Headrace runs with its shipped settings but for three windows, which are shortened so that
    labels fall due within the run; your own settings are not used. What comes before the first commit is
    not measured.
    """
    try:
        from streams.bench.throughput import BenchError, run
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The benchmark needs {error.name}: pip install 'headrace[bench,embedded]'"
        ) from None
    signal.signal(signal.SIGTERM, _exit)
    plan = Plan(
        systems=tuple(system for system in SYSTEMS if not only or system in only),
        events=events,
        plain_faust_events=plain_faust_events,
        repetitions=repetitions,
        seed=seed,
        kafka=kafka,
    )
    with click.progressbar(
        length=repetitions * len(plan.systems), label="Measuring", file=click.get_text_stream("stderr")
    ) as bar:
        try:
            report = run(plan, lambda: bar.update(1), keep_going)
        except BenchError as error:
            raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _table(report))
    if report.failures:
        raise click.ClickException("; ".join(report.failures))


def _exit(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that what runs is stopped on the way."""
    sys.exit(128 + number)


def _table(report: "Report") -> str:
    lines = [f"{'system':12} {'events/s':>10} {'worker us/event':>16} {'broker us/event':>16}   single runs"]
    for system, runs in report.runs.items():
        if runs:
            rate = median(run.events_per_s for run in runs)
            worker_us = median(run.worker_cpu_us_per_event for run in runs)
            broker_us = median(run.broker_cpu_us_per_event for run in runs)
            single = ", ".join(f"{run.events_per_s:,.0f}" for run in runs)
            lines.append(f"{system:12} {rate:>10,.0f} {worker_us:>16.1f} {broker_us:>16.1f}   {single}")
    learned_after_s = [run.learned_after_s for run in report.runs.get("headrace", ()) if run.learned_after_s]
    if learned_after_s:
        lines.append(f"headrace's learner was through {median(learned_after_s):.1f} s after the last event")
    for name, ratio in (
        ("plain Faust", report.headrace_to_plain_faust),
        ("the pass-through", report.headrace_to_passthrough),
    ):
        if ratio is not None:
            lines.append(f"headrace / {name}: {ratio:.2f}")
    return "\n".join([*lines, f"Python {report.python}, {report.cores} cores, {report.machine}"])
