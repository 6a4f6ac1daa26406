"""``headrace query``: a named query or SQL, as a table or as JSON."""

import re

import click
import orjson

from streams import queries
from streams.adoption.inputs import CONTRACT
from streams.commands.inputs import command_inputs
from streams.commands.store import command_store
from streams.commands.table import table
from streams.settings import Settings

EPILOG = """\b
Examples:
  headrace query --list
  headrace query ctr_by_ad
  headrace query "SELECT policy, count() FROM unique_decisions GROUP BY policy"
  headrace query funnel --json
"""


@click.command(epilog=EPILOG)
@click.argument("text", metavar="NAME|SQL", required=False)
@click.option("--list", "listed", is_flag=True, help="Show the named queries and what they answer.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def query(settings: Settings, text: str | None, listed: bool, as_json: bool) -> None:
    """Ask ClickHouse, or the embedded engine after a demo.

    The tables `decisions`, `outcomes`, `dead_letters` and `model_...` may hold a record more than
    once; `unique_decisions` and so on hold it once.
    """
    named = queries.load()
    if listed:
        if text:
            raise click.UsageError(f"--list takes no query, got {text!r}")
        summaries = {name: one.summary for name, one in named.items()}
        click.echo(
            orjson.dumps(summaries) if as_json else table(["name", "answers"], list(summaries.items()))
        )
        return
    if not text:
        raise click.UsageError("Expected the name of a query, or SQL; --list shows the names")
    if re.fullmatch(r"\w+", text) and text not in named:
        raise click.UsageError(f"There is no query {text!r}; known are {', '.join(named)}")
    if (inputs := command_inputs(settings)) is not CONTRACT and settings.adoption.shadow:
        click.echo(
            f"adoption.shadow is on: decisions go to the topic {inputs.decisions} and are not in ClickHouse",
            err=True,
        )
    with command_store(settings) as store:
        result = store.query(named[text].sql if text in named else text)
    if as_json:
        click.echo(orjson.dumps({"columns": result.columns, "rows": result.rows}, default=str))
    elif result.columns:
        click.echo(table(result.columns, result.rows))
