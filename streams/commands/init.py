"""``headrace init``: the topics and the ClickHouse tables."""

from contextlib import closing

import click
import orjson
from kafka.errors import KafkaError

from schemas.topics import TOPICS
from streams.admin import NoBrokerError, open_admin
from streams.adoption.inputs import shadow_topics
from streams.commands.inputs import command_inputs
from streams.settings import ClickHouse, Settings
from streams.sinks import migrations
from streams.sinks.store import StoreError, UncertainError, open_store
from streams.topics import TopicError, Topics, create_topics

EPILOG = """\b
Examples:
  headrace init
  headrace --set kafka.partitions=32 --set kafka.replication_factor=3 init
  HEADRACE_CLICKHOUSE_HOST=clickhouse headrace init --json
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def init(settings: Settings, as_json: bool) -> None:
    """Create the Kafka topics and the ClickHouse tables.

    What exists is kept, so it may be run at every start. Without clickhouse.host and
    clickhouse.engine_url the tables are skipped.
    """
    topics = init_topics(settings)
    applied = _init_tables(settings.clickhouse)
    if as_json:
        report = {"topics": {"created": topics.created, "kept": topics.kept}, "migrations": applied}
        click.echo(orjson.dumps(report))
        return
    click.echo(f"Topics created: {listed(topics.created)}; kept: {listed(topics.kept)}")
    if applied is None:
        click.echo("ClickHouse skipped: neither clickhouse.host nor clickhouse.engine_url is set")
    else:
        click.echo(f"Migrations applied to {settings.clickhouse.database}: {listed(applied)}")


def init_topics(settings: Settings) -> Topics:
    """Create the topics; what the broker cannot do is one sentence of click's."""
    kafka = settings.kafka
    topics = (*TOPICS, *shadow_topics(command_inputs(settings)))
    try:
        with open_admin(kafka) as admin:
            return create_topics(admin, kafka, topics)
    except (NoBrokerError, TopicError) as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        raise click.ClickException(f"The broker at {kafka.bootstrap_servers} failed: {error}") from None


def _init_tables(clickhouse: ClickHouse) -> list[str] | None:
    """Names of the migrations applied now; None where no store is set."""
    if not clickhouse.host and not clickhouse.engine_url:
        return None
    try:
        with closing(open_store(clickhouse)) as store:
            return migrations.apply(store, clickhouse.database)
    except UncertainError as error:
        raise click.ClickException(f"{error}: start it, or set clickhouse.host and clickhouse.port") from None
    except (StoreError, migrations.MigrationError) as error:
        raise click.ClickException(str(error)) from None


def listed(names: list[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) or "none"
