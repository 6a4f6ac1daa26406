"""``headrace worker``: run."""

import logging
import os
import sys

import click

from streams import memory
from streams.app import new_worker
from streams.settings import Role, Settings

ROLES: tuple[Role, ...] = ("process", "learn", "sink")
LIBRARIES = {
    "aiokafka": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "kafka": logging.ERROR,
}
"""What they say below that is noise: kafka-python warns of each member whose assignor is not its own."""


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
    memory.tune()
    try:
        new_worker(settings, chosen).execute_from_commandline()
    except SystemExit as ended:
        # All is committed or given up by now. A thread that still waits for a broker must not hold us up.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)
