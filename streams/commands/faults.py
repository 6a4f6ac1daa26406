"""``headrace bench faults``: nothing lost and nothing counted twice, whatever is killed when."""

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec
import orjson

from streams.embedded.process import ProcessError

if TYPE_CHECKING:
    from streams.bench.faults.report import Report

EPILOG = """\b
Examples:
  headrace bench faults --minutes 10 --seed 1
  headrace bench faults --seed 2 --json > faults-2.json
  headrace bench faults --embedded --events 60000 --faults 5
"""


@click.command(epilog=EPILOG)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True,
    help="Wall time after which the runs must be through.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the events and of the faults.")
@click.option(
    "--nodes", type=click.Choice(["1", "3"]), default="3", show_default=True, help="Of Apache Kafka."
)
@click.option("--embedded", is_flag=True, help="On the embedded broker instead, which stays whole.")
@click.option(
    "--events",
    type=click.IntRange(10_000),
    default=300_000,
    show_default=True,
    help="Of each of the two runs.",
)
@click.option(
    "--faults",
    "fault_count",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Of both runs together.",
)
@click.option("--workers", type=click.IntRange(1, 8), default=3, show_default=True, help="Worker processes.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path),
    help="Keep logs and the brokers' data in this directory.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
def faults(
    minutes: float, seed: int, nodes: str, embedded: bool, events: int, fault_count: int, workers: int,
    keep: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Kill, freeze and cut off a job at random moments; exit 1 unless it comes out as if nothing had been.

    Two runs over the standard mix, with duplicates, disorder and bytes that are no events. Strict: all of it
    lies on the brokers before the workers start. Paced: it comes meanwhile, with purchases up to an hour of
    event time late. What they leave is held against the pure processor over the same topics, and what
    ClickHouse (the embedded engine, where it is installed) has of it against the topics.
    """
    from streams.admin import NoBrokerError
    from streams.bench.faults.report import Plan, run_all
    from streams.bench.faults.run import TimeIsUpError
    from streams.lag import StalledError
    from streams.sinks.store import StoreError

    signal.signal(signal.SIGTERM, _exit)
    for client in ("aiokafka", "kafka"):  # they tell of every fault at length
        logging.getLogger(client).setLevel(logging.CRITICAL)
    plan = Plan(seed, minutes, 1 if embedded else int(nodes), embedded, events, fault_count, workers)
    with click.progressbar(
        length=max(1, fault_count), label="Faults", file=click.get_text_stream("stderr")
    ) as bar:
        try:
            report = run_all(plan, keep, lambda: bar.update(1))
        except (ProcessError, TimeIsUpError, StalledError, NoBrokerError, StoreError) as error:
            raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _text(report))
    if not report.passed:
        raise click.ClickException("the job did not come to what the processor comes to: see the report")


def _exit(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that what runs is stopped on the way."""
    sys.exit(128 + number)


def _text(report: "Report") -> str:
    lines = [
        f"{run.name}: {run.disturbances.events:,} events in {run.seconds:.0f} s, {len(run.injected)} faults, "
        f"{run.workers_started} workers started"
        for run in report.runs
    ]
    lines += [f"{kind}: {count}" for kind, count in report.faults.items()]
    lines += [f"{kind}: left out ({reason})" for kind, reason in report.faults_left_out.items()]
    figures = msgspec.to_builtins(report)
    lines += [f"{name}: {value:,}" for name, value in figures.items() if type(value) is int]
    lines.append(f"learner_weights_equal: {report.learner_weights_equal}")
    return "\n".join(lines)
