"""``headrace profile``: what is known of one user."""

from collections.abc import Iterator
from typing import Any

import click
import orjson
from aiokafka.errors import KafkaError

from models.profiles import describe
from streams.commands.reachable import reachable
from streams.commands.table import table
from streams.delivery.restore import MissingTopicError
from streams.settings import Settings
from streams.state.lookup import find_profile
from streams.state.rows import ChangelogError

EPILOG = """\b
Examples:
  headrace profile u-17
  headrace profile 1035 --shop completejourney --json
"""


@click.command(epilog=EPILOG)
@click.argument("user_id")
@click.option("--shop", "shop_id", default="main", show_default=True, help="The shop of the user.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def profile(settings: Settings, user_id: str, shop_id: str, as_json: bool) -> None:
    """Show a user's rolling profile as of its last checkpoint.

    It is read from the state's changelog: a worker need not run.
    """
    with reachable(settings) as kafka:
        try:
            row = find_profile(kafka, shop_id, user_id)
        except (MissingTopicError, ChangelogError) as error:
            raise click.ClickException(str(error)) from None
        except KafkaError as error:
            raise click.ClickException(
                f"No Kafka broker answered at {kafka.bootstrap_servers} ({type(error).__name__}): start one, "
                "run `headrace demo --serve`, or set kafka.bootstrap_servers"
            ) from None
    if row is None:
        raise click.ClickException(f"There is no profile of that user in shop {shop_id} (yet)")
    known = describe(row)
    click.echo(orjson.dumps(known) if as_json else table(["what", "value"], list(_lines(known))))


def _lines(known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in known.items():
        if isinstance(value, dict):
            for kind, by_half_life in value.items():
                shown = "  ".join(f"{life} {amount:.3f}" for life, amount in by_half_life.items())
                yield f"{name} {kind}", shown
        elif isinstance(value, list):
            yield name, " ".join(f"{amount:.2f}" for amount in value)
        else:
            yield name, f"{value:.4f}" if isinstance(value, float) else value
