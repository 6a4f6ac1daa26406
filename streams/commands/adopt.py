"""``headrace adopt``: another system's topics, mapped to the contract."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson
from aiokafka.errors import KafkaError, ProducerFenced
from msgspec import to_builtins

from streams.adoption.bridge import BridgeReport
from streams.adoption.bridge import bridge as carry_over
from streams.adoption.inputs import fed_by
from streams.adoption.mapping import Mapping, MappingError, load
from streams.adoption.sampling import Sampled, SampleError, sample_file, sample_topic
from streams.adoption.trial import TopicReport, try_on
from streams.commands.table import table
from streams.delivery.restore import MissingTopicError
from streams.settings import Settings

RECORDS = 5_000
SHOWN_UNMAPPED = 20
"""Paths without use that the text shows; --json has more."""

PROPOSE_EPILOG = """\b
Examples:
  headrace adopt propose web-events
  headrace adopt propose web-events --records 20000 --out mapping.toml --json
  headrace adopt propose web-events --file sample.jsonl.gz
"""
CHECK_EPILOG = """\b
Examples:
  headrace adopt check --mapping mapping.toml
  headrace adopt check --mapping mapping.toml web-events --file sample.jsonl
  headrace adopt check --mapping mapping.toml --json | jq '.topics[].dead_letters'
"""
BRIDGE_EPILOG = """\b
Examples:
  headrace adopt bridge --mapping mapping.toml
  headrace adopt bridge --mapping mapping.toml --once --json
"""

json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
records_option = click.option(
    "--records", type=click.IntRange(1), default=RECORDS, show_default=True, help="Of a topic, at most."
)
file_option = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Look at the JSON Lines of this file (.gz too) instead of asking the broker.",
)
mapping_option = click.option(
    "--mapping",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The mapping, as a person has reviewed it.",
)


@click.group()
def adopt() -> None:
    """Plug in a Kafka that exists: propose a mapping of its topics to the contract, and try it.

    Then `headrace --set adoption.mapping=FILE worker` reads them, in shadow until adoption.shadow=false.
    """


@adopt.command(epilog=PROPOSE_EPILOG)
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@file_option
@records_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("mapping.toml"),
    show_default=True,
    help="Where the proposal goes.",
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@json_option
@click.pass_obj
def propose(
    settings: Settings,
    topics: tuple[str, ...],
    file: Path | None,
    records: int,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Sample each TOPIC, write a proposed mapping as TOML, and report what it makes of the sample.

    Every line of it says why; what is uncertain is commented out, to be decided by a person.
    """
    try:
        from streams.adoption.inference import propose as infer
        from streams.adoption.proposal import to_mapping, to_toml
    except ModuleNotFoundError as error:
        raise click.ClickException(f"A proposal needs {error.name}: pip install 'headrace[adopt]'") from None
    if out.exists() and not force:
        raise click.UsageError(
            f"--out {out}: the file exists; it may have been reviewed (--force writes over it)"
        )
    samples = _samples(settings, topics, file, records)
    proposals = [infer(name, _objects(sample)) for name, sample in samples.items()]
    try:
        out.write_text(to_toml(proposals))
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from None
    mapping = to_mapping(proposals)
    reports = try_on(mapping if mapping is not None else Mapping(()), samples)
    to_decide = {
        proposal.name: [
            {"event": rule.event, "when": rule.when, "records": rule.records, "to_decide": rule.to_decide}
            for rule in proposal.rules
            if rule.to_decide
        ]
        for proposal in proposals
    }
    if as_json:
        click.echo(
            orjson.dumps(
                {
                    "mapping": str(out),
                    "topics": [_built(report) for report in reports],
                    "to_decide": to_decide,
                },
                default=to_builtins,
            )
        )
        return
    for report in reports:
        click.echo(_text(report))
    undecided = sum(map(len, to_decide.values()))
    click.echo(
        f"Wrote {out}: read it, decide what is commented out ({undecided} kinds of records wait for that), "
        f"then `headrace adopt check --mapping {out}`"
    )


@adopt.command(epilog=CHECK_EPILOG)
@click.argument("topics", nargs=-1, metavar="[TOPIC...]")
@mapping_option
@file_option
@records_option
@json_option
@click.pass_obj
def check(
    settings: Settings, topics: tuple[str, ...], path: Path, file: Path | None, records: int, as_json: bool
) -> None:
    """Apply a mapping to a sample of its topics: what is mapped, what is not, what would be dead letters."""
    mapping = _load(path)
    known = [topic.name for topic in mapping.topics]
    if unknown := set(topics).difference(known):
        raise click.UsageError(
            f"The mapping has no topic {', '.join(sorted(unknown))}; it has {', '.join(known)}"
        )
    reports = try_on(mapping, _samples(settings, topics or tuple(known), file, records))
    if as_json:
        click.echo(orjson.dumps({"mapping": str(path), "topics": [_built(report) for report in reports]}))
        return
    for report in reports:
        click.echo(_text(report))
    shared = [
        topic for topic in mapping.topics for other in mapping.topics
        if topic is not other and set(fed_by(topic)) & set(fed_by(other))
    ]  # fmt: skip
    if shared:
        click.echo(
            f"{' and '.join(topic.name for topic in shared)} feed the same topic of the contract: a worker "
            "cannot read them as they are, `headrace adopt bridge` can"
        )


@adopt.command(epilog=BRIDGE_EPILOG)
@mapping_option
@click.option("--once", is_flag=True, help="End when all that is there now has been carried over.")
@json_option
@click.pass_obj
def bridge(settings: Settings, path: Path, once: bool, as_json: bool) -> None:
    """Carry events over to `views`, `clicks` and `purchases`, keyed by the user, each exactly once.

    For topics with another key, or that feed the same topic of the contract; workers then run without
    adoption.mapping. One bridge runs at a time: a second one takes over from the first.
    """
    mapping = _load(path)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kafka = settings.kafka
    try:
        report = asyncio.run(_bridge(settings, mapping, once))
    except MissingTopicError as error:
        raise click.ClickException(str(error)) from None
    except ProducerFenced:
        raise click.ClickException("Another bridge has taken over; nothing is carried over twice") from None
    except (KafkaError, TimeoutError) as error:
        raise click.ClickException(
            f"The broker at {kafka.bootstrap_servers} failed ({type(error).__name__}): start the bridge "
            "again, it goes on from what is committed"
        ) from None
    if as_json:
        click.echo(orjson.dumps(to_builtins(report)))
        return
    sent = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(report.sent.items())) or "none"
    click.echo(
        f"Read {report.records:,} records: {sent}; {report.ignored:,} ignored, "
        f"{report.dead_letters:,} to dead-letters"
    )


async def _bridge(settings: Settings, mapping: Mapping, once: bool) -> BridgeReport:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    said = 0

    def progress(records: int) -> None:
        nonlocal said
        if records - said >= 10 * RECORDS:
            said = records
            click.echo(f"{records:,} records carried over", err=True)

    return await carry_over(settings, mapping, stop, progress, once=once)


def _load(path: Path) -> Mapping:
    try:
        return load(path)
    except MappingError as error:
        raise click.UsageError(f"--mapping: {error}") from None


def _samples(
    settings: Settings, topics: Sequence[str], file: Path | None, records: int
) -> dict[str, list[Sampled]]:
    if file is not None and len(topics) != 1:
        raise click.UsageError(f"--file holds the records of one TOPIC, got {', '.join(topics)}")
    # It logs every attempt to reach the broker; we say it once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with click.progressbar(
        length=records * len(topics), label="Sampling", file=click.get_text_stream("stderr")
    ) as bar:
        advance: Callable[[int], Any] = bar.update
        try:
            if file is not None:
                return {topics[0]: sample_file(file, records, advance)}
            return asyncio.run(_sample_topics(settings, topics, records, advance))
        except SampleError as error:
            raise click.ClickException(str(error)) from None
        except (KafkaError, TimeoutError) as error:
            raise click.ClickException(
                f"The broker at {settings.kafka.bootstrap_servers} did not answer ({type(error).__name__}): "
                "start one, or set kafka.bootstrap_servers; --file looks at a file instead"
            ) from None


async def _sample_topics(
    settings: Settings, topics: Sequence[str], records: int, advance: Callable[[int], Any]
) -> dict[str, list[Sampled]]:
    return {topic: await sample_topic(settings.kafka, topic, records, advance) for topic in topics}


def _objects(sample: Sequence[Sampled]) -> list[dict[str, Any]]:
    """The records that are JSON objects."""
    found = []
    for record in sample:
        try:
            decoded = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            continue
        if isinstance(decoded, dict):
            found.append(decoded)
    return found


def _built(report: TopicReport) -> dict[str, Any]:
    built = to_builtins(report)
    assert isinstance(built, dict)
    return built | {"mapped_share": report.mapped_share}


def _text(report: TopicReport) -> str:
    total, mapped = report.sampled, sum(report.mapped.values())
    dead = sum(report.dead_letters.values())
    rows: list[tuple[str, str, int]] = [
        ("mapped", kind, count) for kind, count in sorted(report.mapped.items())
    ]
    rows.append(("ignored", "by the mapping", report.ignored))
    rows += [("dead letter", reason, count) for reason, count in report.dead_letters.items()]
    lines = [
        f"{report.topic}: of {total:,} records {mapped / total:.1%} mapped, "
        f"{report.ignored / total:.1%} ignored, {dead / total:.1%} would be dead letters",
        table(["", "what", "records"], rows),
    ]
    if report.unknown:
        shown = ", ".join(f"{word} ({count:,})" for word, count in report.unknown.items())
        lines.append(f"Kinds that no rule is for: {shown}")
    if report.unmapped:
        paths = list(report.unmapped.items())
        shown = ", ".join(f"{path} ({share:.0%})" for path, share in paths[:SHOWN_UNMAPPED])
        more = f" and {len(paths) - SHOWN_UNMAPPED} more" if len(paths) > SHOWN_UNMAPPED else ""
        lines.append(f"Unmapped fields: {shown}{more}")
    if report.scattered_users:
        lines.append(
            f"{report.scattered_users:,} of {report.users:,} users have events in several partitions: the "
            "topic is not keyed by the user, so no worker can read it as it is; `headrace adopt bridge` can"
        )
    return "\n".join(lines)
