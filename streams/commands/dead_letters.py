"""``headrace dead-letters``: what could not be used, and sending it again after a fix."""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
import msgspec
import orjson
from aiokafka.errors import KafkaError

from schemas.topics import INPUTS
from streams.admin import NoBrokerError, open_admin
from streams.commands.table import table, utc
from streams.dead_letters import Progress, Selection, find, summarize
from streams.dead_letters import replay as send_again
from streams.delivery.restore import MissingTopicError
from streams.settings import Settings

Answer = TypeVar("Answer")

LIST_EPILOG = """\b
Examples:
  headrace dead-letters list
  headrace dead-letters list --topic clicks
  headrace dead-letters list --json | jq '.kinds[0].reason'
"""
SHOW_EPILOG = """\b
Examples:
  headrace dead-letters show 3 17
  headrace dead-letters show 3 17 --raw
"""
REPLAY_EPILOG = """\b
Examples:
  headrace dead-letters replay --dry-run
  headrace dead-letters replay --topic purchases --reason "rate"
"""

topic_option = click.option(
    "--topic", type=click.Choice([topic.name for topic in INPUTS]), default=None, help="Of this topic only."
)
reason_option = click.option(
    "--reason", metavar="TEXT", default="", help="With this text in the reason only."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")


@click.group()
def dead_letters() -> None:
    """See the events that could not be used, and send them again after a fix."""
    # It logs every attempt to reach the broker; the command says it once, when it gives up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@dead_letters.command("list", epilog=LIST_EPILOG)
@topic_option
@reason_option
@json_option
@click.pass_obj
def list_(settings: Settings, topic: str | None, reason: str, as_json: bool) -> None:
    """Count dead letters by topic and reason, newest first.

    PARTITION and OFFSET are those of the newest one on `dead-letters`, for `show`.
    """
    selection = Selection(topic or "", reason)
    kinds = _run(settings, lambda progress: summarize(settings, selection, progress))
    if as_json:
        click.echo(orjson.dumps({"kinds": msgspec.to_builtins(kinds)}))
        return
    rows = [
        (
            each.events,
            each.topic,
            utc(each.newest_ms),
            each.newest_partition,
            each.newest_offset,
            each.reason,
        )
        for each in kinds
    ]
    if not rows:
        click.echo("There are no such dead letters")
        return
    click.echo(table(["events", "topic", "newest (UTC)", "partition", "offset", "reason"], rows))


@dead_letters.command(epilog=SHOW_EPILOG)
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@click.option("--raw", is_flag=True, help="The bytes of the event, too, which may hold personal data.")
@json_option
@click.pass_obj
def show(settings: Settings, partition: int, offset: int, raw: bool, as_json: bool) -> None:
    """Show one dead letter, at PARTITION and OFFSET of `dead-letters`."""
    located = _run(settings, lambda _: find(settings, partition, offset))
    if located is None:
        raise click.ClickException(
            f"dead-letters has no letter at partition {partition}, offset {offset}: "
            "`headrace dead-letters list` shows where they lie"
        )
    letter = located.letter
    report: dict[str, Any] = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "ts_ms": letter.ts_ms,
        "reason": letter.reason,
        "bytes": len(letter.raw),
    }
    if as_json:
        content = {"raw": base64.b64encode(letter.raw).decode()} if raw else {}
        click.echo(orjson.dumps(report | content))
        return
    for name, value in (report | {"ts_ms": f"{letter.ts_ms} ({utc(letter.ts_ms)} UTC)"}).items():
        click.echo(f"{name:<10} {value}")
    if raw:
        click.echo(letter.raw)


@dead_letters.command(epilog=REPLAY_EPILOG)
@topic_option
@reason_option
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@json_option
@click.pass_obj
def replay(settings: Settings, topic: str | None, reason: str, dry_run: bool, as_json: bool) -> None:
    """Send the events of dead letters to their topics again, byte for byte.

    For after a fix: a rate in the catalogue, a release with a wider contract. What would be refused again
    for its content is not sent. An event has no second effect while its event_id is remembered
    (processing.duplicate_horizon_s, from the event's time); beyond that, do not replay it twice.
    """
    selection, now_ms = Selection(topic or "", reason), int(time.time() * 1000)
    report = _run(
        settings, lambda progress: send_again(settings, selection, now_ms, progress, dry_run=dry_run)
    )
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report) | {"dry_run": dry_run}))
        return
    sent = ", ".join(f"{count:,} to {name}" for name, count in sorted(report.sent.items())) or "none"
    click.echo(f"{'Would send' if dry_run else 'Sent'} of {report.selected:,} dead letters: {sent}")
    if report.repeated:
        click.echo(f"Not sent, the same event again: {report.repeated:,}")
    for still, count in sorted(report.still_refused.items()):
        click.echo(f"Not sent, refused as before: {count:,}: {still}")


def _run(settings: Settings, task: Callable[[Progress], Coroutine[Any, Any, Answer]]) -> Answer:
    """The result of a task that reads dead letters; what it cannot do is one sentence of click's."""
    servers = settings.kafka.bootstrap_servers
    with click.progressbar(
        length=1, label="Reading dead letters", file=click.get_text_stream("stderr")
    ) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            with open_admin(settings.kafka):  # says within seconds that nobody is there
                return asyncio.run(task(progress))
        except (NoBrokerError, MissingTopicError) as error:
            raise click.ClickException(str(error)) from None
        except (KafkaError, TimeoutError) as error:
            raise click.ClickException(
                f"The broker at {servers} failed: {error!r}; see `headrace check`, then run this again"
            ) from None
