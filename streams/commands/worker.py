"""``headrace worker``: run."""

import logging
import os
import sys

import click

from streams import memory
from streams.app import new_worker
from streams.delivery.restore import MissingTopicError
from streams.settings import Role, Settings
from streams.state.changelog import RefusedStateError
from streams.state.versions import LossError

ROLES: tuple[Role, ...] = ("process", "learn", "sink")
LIBRARIES = {
    "aiokafka": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "kafka": logging.ERROR,
}
"""What they say below that is noise: kafka-python warns of each member whose assignor is not its own."""
FOR_OPERATORS = (RefusedStateError, LossError, MissingTopicError)
"""What only an operator can mend: the sentence says all there is to know, and a traceback nothing."""


class WithoutTraceback(logging.Filter):
    """Lets pass what is logged, without the traceback of what is for operators."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], FOR_OPERATORS):
            record.exc_info = None
        return True


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
    logging.basicConfig(
        level=log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name, quietest in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(quietest, logging.getLevelName(log_level)))
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithoutTraceback())
    memory.tune()
    made = new_worker(settings, chosen)
    try:
        made.execute_from_commandline()
    except SystemExit as ended:
        if isinstance(made.crash_reason, FOR_OPERATORS):
            click.echo(f"Error: {made.crash_reason}", err=True)
        # All is committed or given up by now. A thread that still waits for a broker must not hold us up.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
