"""``headrace topics``: the topics of the contract on the broker."""

from collections.abc import Sequence

import click
import orjson
from kafka.errors import KafkaError
from msgspec import to_builtins

from schemas.topics import Topic
from streams.admin import NoBrokerError, open_admin
from streams.adoption.inputs import expected_topics
from streams.commands.init import init_topics, listed
from streams.commands.inputs import command_inputs
from streams.commands.table import table
from streams.settings import Kafka, Settings
from streams.topics import TopicState, topic_states

CREATE_EPILOG = """\b
Examples:
  headrace topics create
  headrace --set kafka.partitions=32 --set kafka.replication_factor=3 topics create --json
"""
DESCRIBE_EPILOG = """\b
Examples:
  headrace topics describe
  headrace topics describe --json | jq '.topics.views.config'
"""
COLUMNS = ("topic", "direction", "partitions", "expected", "out of sync", "cleanup", "in order")

json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")


@click.group()
def topics() -> None:
    """Create the topics of the contract, or see them as they are; `headrace lag` says who is behind."""


@topics.command(epilog=CREATE_EPILOG)
@json_option
@click.pass_obj
def create(settings: Settings, as_json: bool) -> None:
    """Create the topics that are missing; what exists is kept. `headrace init` does it, too."""
    made = init_topics(settings)
    if as_json:
        click.echo(orjson.dumps(to_builtins(made)))
        return
    click.echo(f"Topics created: {listed(made.created)}; kept: {listed(made.kept)}")


@topics.command(epilog=DESCRIBE_EPILOG)
@json_option
@click.pass_obj
def describe(settings: Settings, as_json: bool) -> None:
    """Show each topic: which way it goes, its partitions, and whether a worker can use it as it is.

    With --json also key, content and configuration. A partition is out of sync that lacks a replica or a
    leader.
    """
    used = expected_topics(command_inputs(settings))
    states = {state.name: state for state in _states(settings.kafka, used)}
    if as_json:
        report = {
            topic.name: to_builtins(states[topic.name])
            | {"direction": topic.direction, "key": topic.key, "description": topic.description}
            for topic in used
        }
        click.echo(orjson.dumps({"topics": report}))
        return
    rows = []
    for topic in used:
        state = states[topic.name]
        cleanup = state.config.get("cleanup.policy")
        counts = state.partitions, state.expected_partitions, state.out_of_sync
        rows.append((topic.name, topic.direction, *counts, cleanup, "; ".join(state.faults) or "yes"))
    click.echo(table(COLUMNS, rows))


def _states(kafka: Kafka, topics: Sequence[Topic]) -> list[TopicState]:
    try:
        with open_admin(kafka) as admin:
            return topic_states(admin, kafka, topics)
    except NoBrokerError as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(
            f"The broker at {kafka.bootstrap_servers} did not say: {error}; see `headrace check`"
        ) from None
