"""``headrace worker``: run."""

import logging
import os
import sys
import tempfile
from collections.abc import Sequence

import click
from aiokafka.errors import KafkaError as ClientError
from kafka.errors import KafkaError

from streams import logs, memory
from streams.admin import NoBrokerError
from streams.adoption.keying import KeyingError, check_keys
from streams.adoption.mapping import MappingError
from streams.app import new_worker
from streams.delivery.restore import MissingTopicError
from streams.preflight import NotReadyError, preflight
from streams.rehearsal import rehearse
from streams.settings import Role, Settings
from streams.state.changelog import RefusedStateError
from streams.state.versions import LossError

logger = logging.getLogger(__name__)

ROLES: tuple[Role, ...] = ("process", "learn", "sink")
FOR_OPERATORS = (NoBrokerError, MissingTopicError, RefusedStateError, LossError)
"""What only an operator can mend: the sentence says all there is to know, and a traceback nothing."""


@click.command(
    epilog="""\b
Examples:
  headrace worker
  headrace --set kafka.bootstrap_servers=broker:9092 worker --roles process
"""
)
@click.option(
    "--roles",
    default=",".join(ROLES),
    show_default=True,
    help="What this process does: process (events to decisions), learn (one writer), sink (ClickHouse).",
)
@click.option(
    "--log-level", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING"])
)
@click.pass_obj
def worker(settings: Settings, roles: str, log_level: str) -> None:
    """Process events until stopped by SIGTERM or Ctrl-C; several workers share the partitions."""
    chosen = [role for role in ROLES if role in roles.split(",")]
    unknown = set(roles.split(",")).difference(ROLES)
    if unknown or not chosen:
        raise click.UsageError(f"--roles {roles}: expected some of {', '.join(ROLES)}")
    if "sink" in chosen and not (settings.clickhouse.host or settings.clickhouse.engine_url):
        chosen.remove("sink")
    lacking = _preflight(settings, chosen)
    last_error = logs.start(log_level, *FOR_OPERATORS)
    for sentence in lacking:
        logger.warning(sentence)
    rehearse(settings, chosen)
    memory.tune()
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch_dir:
        made = new_worker(settings, chosen, scratch_dir)
        try:
            made.execute_from_commandline()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    if status and (error := made.crash_reason or last_error.error):
        click.echo(f"Error: {_reason(error)}", err=True)
    # All is committed or given up by now. A thread that still waits for a broker must not hold us up.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _preflight(settings: Settings, roles: Sequence[Role]) -> list[str]:
    with logs.silent("kafka", "aiokafka"):  # of each attempt; what is wrong is said once, below
        try:
            lacking = preflight(settings, roles)
            if settings.adoption.mapping and "process" in roles:
                check_keys(settings)
            return lacking
        except MappingError as error:
            raise click.UsageError(f"adoption.mapping: {error}") from None
        except (*FOR_OPERATORS, NotReadyError, KeyingError) as error:
            raise click.ClickException(str(error)) from None
        except (KafkaError, ClientError) as error:
            raise click.ClickException(
                f"The broker at {settings.kafka.bootstrap_servers} failed: {error!r}; see `headrace check`"
            ) from None


def _reason(error: BaseException) -> str:
    """Why it ended, in the last line of the log."""
    return str(error) if isinstance(error, FOR_OPERATORS) else f"{type(error).__name__}: {error}"
