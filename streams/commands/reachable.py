"""The broker that a command reads what workers have left on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec.structs import replace

from streams.embedded.broker import answers, broker
from streams.embedded.process import ProcessError
from streams.settings import Kafka, Settings


@contextmanager
def reachable(settings: Settings) -> Iterator[Kafka]:
    """The broker that is set; where none answers, that of the last demo."""
    kafka, data_dir = settings.kafka, Path(settings.embedded.data_dir)
    if (
        kafka.encrypted
        or answers(kafka.bootstrap_servers.split(",")[0])
        or not (data_dir / "broker").is_dir()
    ):
        yield kafka
        return
    address = data_dir / "broker.url"
    if address.is_file():
        servers = address.read_text().strip()
        if answers(servers):
            yield replace(kafka, bootstrap_servers=servers)
            return
    try:
        with broker(data_dir / "broker") as servers:
            yield replace(kafka, bootstrap_servers=servers)
    except ProcessError as error:
        raise click.ClickException(str(error)) from None
