"""Test beds by hand: ``python -m streams.embedded kafka`` and ``python -m streams.embedded clickhouse``."""

import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import click

from streams.embedded.clickhouse import Server, clickhouse
from streams.embedded.kafka import Cluster, kafka
from streams.embedded.process import Process, ProcessError

Bed = TypeVar("Bed")

PORT = click.option("--port", type=click.IntRange(1, 65535), help="TCP port (default: a free one).")
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Where data, settings and logs are kept (default: a directory that is removed at the end).",
)


@click.group()
def main() -> None:
    """Run a server to try things on, until Ctrl-C or SIGTERM; its address goes to stdout once it serves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))


@main.command("kafka")
@click.option("--nodes", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Cluster size.")
@PORT
@DATA_DIR
def run_kafka(nodes: str, port: int | None, data_dir: Path | None) -> None:
    """Apache Kafka, one or three nodes; with three, --port is the first one's."""

    def announce(cluster: Cluster) -> tuple[str, Iterable[Process]]:
        return cluster.bootstrap_servers, cluster.nodes

    _run(lambda directory: kafka(directory, int(nodes), port), data_dir, announce)


@main.command("clickhouse")
@PORT
@DATA_DIR
def run_clickhouse(port: int | None, data_dir: Path | None) -> None:
    """The ClickHouse server that is installed here; native protocol."""

    def announce(server: Server) -> tuple[str, Iterable[Process]]:
        return f"{server.settings.host}:{server.settings.port}", [server]

    _run(lambda directory: clickhouse(directory, port), data_dir, announce)


def _run(
    bed: Callable[[Path], AbstractContextManager[Bed]],
    data_dir: Path | None,
    announce: Callable[[Bed], tuple[str, Iterable[Process]]],
) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch:
        try:
            with bed(data_dir or Path(scratch)) as running:
                address, processes = announce(running)
                for process in processes:
                    click.echo(f"{process.name}: pid {process.pid}, {process.log_path}", err=True)
                click.echo(address)
                threading.Event().wait()
        except ProcessError as error:
            raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
