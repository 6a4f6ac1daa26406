"""``headrace lag``: how far each role is behind."""

from typing import Any

import click
import orjson
from kafka.errors import KafkaError

from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, IDENTITIES, MODEL, OUTCOMES, Topic
from streams.admin import NoBrokerError, open_admin
from streams.commands.inputs import command_inputs
from streams.lag import behind
from streams.settings import Role, Settings

WRITTEN_FOR: dict[Role, tuple[Topic, ...]] = {
    "learn": (EXAMPLES,),
    "sink": (DECISIONS, OUTCOMES, DEAD_LETTERS, MODEL),
}
"""What Headrace writes and reads again, by the role that does."""

EPILOG = """\b
Examples:
  headrace lag
  headrace lag --json | jq '.process.views'
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def lag(settings: Settings, as_json: bool) -> None:
    """Show how many offsets each role has still to work through, by topic.

    A transaction's end takes an offset, too: a role that has nothing left to do may show one or two a
    partition.
    """
    report = _ask(settings)
    if as_json:
        click.echo(orjson.dumps(report))
        return
    click.echo(f"{'role':<10}{'topic':<20}{'behind':>14}{'partitions behind':>20}")
    for role, topics in report.items():
        for topic, found in topics.items():
            click.echo(f"{role:<10}{topic:<20}{found['behind']:>14,}{found['partitions_behind']:>20}")


def _ask(settings: Settings) -> dict[str, dict[str, Any]]:
    kafka = settings.kafka
    topics_of_role: dict[Role, tuple[Topic, ...]] = {
        "process": (*command_inputs(settings).read, IDENTITIES),
        **WRITTEN_FOR,
    }
    try:
        with open_admin(kafka) as admin:
            return {
                role: behind(admin, f"{kafka.group_id}-{role}", topics)
                for role, topics in topics_of_role.items()
            }
    except NoBrokerError as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(
            f"The broker at {kafka.bootstrap_servers} did not say: {error} (has `headrace init` been run?)"
        ) from None
