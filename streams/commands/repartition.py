"""``headrace repartition``: more partitions, or the state written anew."""

import logging

import click
import orjson
from aiokafka.errors import KafkaError as AsyncKafkaError
from kafka.errors import KafkaError
from msgspec import to_builtins

from streams.admin import NoBrokerError
from streams.app import group_id
from streams.delivery.restore import MissingTopicError
from streams.delivery.transaction import UnansweredError
from streams.repartition import RepartitionError, Report
from streams.repartition import repartition as move
from streams.settings import Settings
from streams.state.changelog import RefusedStateError
from streams.state.versions import LossError

EPILOG = """\b
Examples:
  headrace repartition --partitions 16
  headrace --set state.write_version=1 repartition   (before going back to an older release)

\b
Stop the producers and let the workers read to the end; stop the workers; run this; set kafka.partitions
to the new number; start workers and producers. With N times as many partitions fewest rows move.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    help="Of every per-user topic from now on, at least as many as now (default: as many as now).",
)
@click.option(
    "--drop-unplaced",
    is_flag=True,
    help="Forget rows of users whose Kafka key is nowhere known, instead of refusing.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def repartition(settings: Settings, partitions: int | None, drop_unplaced: bool, as_json: bool) -> None:
    """Move all state to another number of partitions while no worker runs.

    All of it or nothing; what was interrupted may be run again. Rows are written in state.write_version.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with click.progressbar(length=1, label="Placing rows", file=click.get_text_stream("stderr")) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            report = move(settings, group_id(settings, "process"), partitions, drop_unplaced, progress)
        except (
            RepartitionError, RefusedStateError, LossError, NoBrokerError, MissingTopicError, UnansweredError,
        ) as error:  # fmt: skip
            raise click.ClickException(str(error)) from None
        except (KafkaError, AsyncKafkaError, TimeoutError) as error:
            raise click.ClickException(
                f"The broker at {settings.kafka.bootstrap_servers} failed ({type(error).__name__}); "
                "nothing is half done: run it again"
            ) from None
    click.echo(orjson.dumps(to_builtins(report)) if as_json else _summary(report))


def _summary(report: Report) -> str:
    return (
        f"{report.partitions_before} partitions became {report.partitions} in {report.duration_s:.1f} s: "
        f"{report.rows:,} rows, of which {report.moved_rows:,} moved, {report.rewritten_rows:,} were written "
        f"anew and {report.dropped_rows:,} were dropped; set kafka.partitions to {report.partitions}"
    )
