"""``headrace settings``: what is set, and where it comes from."""

import click
import msgspec
import orjson

from streams.cli import SOURCES
from streams.commands.table import table
from streams.setting import DEFAULT, describe
from streams.settings import Settings

COLUMNS = ("setting", "value", "unit", "default", "source", "type")

EPILOG = """\b
Examples:
  headrace settings
  headrace --config headrace.toml settings --changed
  headrace settings --json | jq '.["kafka.partitions"]'
"""


@click.command(epilog=EPILOG)
@click.option("--changed", is_flag=True, help="Only those that do not come from the default.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_context
def settings(ctx: click.Context, changed: bool, as_json: bool) -> None:
    """Show every setting with its value, unit, default, source and type; secrets are masked.

    With --json also its environment variable and its meaning.
    """
    loaded = ctx.find_object(Settings)
    assert loaded is not None
    found = [each for each in describe(loaded, ctx.meta[SOURCES]) if not changed or each.source != DEFAULT]
    if as_json:
        click.echo(orjson.dumps({each.name: msgspec.to_builtins(each) for each in found}))
        return
    rows = [(each.name, each.value, each.unit, each.default, each.source, each.type) for each in found]
    click.echo(table(COLUMNS, rows))
