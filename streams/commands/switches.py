"""``headrace pause`` and ``headrace resume``: the kill switch for decisions."""

import asyncio
import getpass
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

import click
import msgspec
import orjson
from aiokafka.errors import KafkaError

from schemas.catalog import Switch, decode_entry
from streams.admin import NoBrokerError, open_admin
from streams.commands.table import table, utc
from streams.delivery.restore import MissingTopicError
from streams.settings import Kafka, Settings
from streams.switches import Pause, history, paused, throw

Answer = TypeVar("Answer")

PAUSE_EPILOG = """\b
Examples:
  headrace pause --reason "prices are wrong, ticket 4711"
  headrace pause --shop outlet --shop main --reason "audit" --by "the shop's manager"
  headrace pause --list
  headrace pause --history --json | jq '.switches[-1]'
"""
RESUME_EPILOG = """\b
Examples:
  headrace resume --reason "prices are right again"
  headrace resume --shop outlet --reason "audit is over"
"""
ALL = "(all)"

shop_option = click.option(
    "--shop",
    "shops",
    multiple=True,
    metavar="SHOP_ID",
    help="This shop only; may be repeated (default: all).",
)
by_option = click.option("--by", metavar="NAME", help="Who it is, for the audit (default: user@host).")
json_option = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")


@click.command(epilog=PAUSE_EPILOG)
@shop_option
@click.option("--reason", metavar="TEXT", help="Why, for the audit; expected to pause anything.")
@by_option
@click.option("--list", "listed", is_flag=True, help="Change nothing; show what is paused.")
@click.option("--history", "audit", is_flag=True, help="Change nothing; show every switching there has been.")
@json_option
@click.pass_obj
def pause(
    settings: Settings,
    shops: tuple[str, ...],
    reason: str | None,
    by: str | None,
    listed: bool,
    audit: bool,
    as_json: bool,
) -> None:
    """Pause the decisions of all shops, or of some, on every worker at once; then show what is paused.

    Page views still get an answer: nothing is chosen, by policy `paused-1`. Profiles, labels and learning go
    on. A page view that waits in Kafka is decided as it stands when its turn comes, whenever it was sent.
    """
    if (reason is not None) + listed + audit != 1:
        raise click.UsageError("Expected one of --reason TEXT (to pause), --list and --history")
    if (listed or audit) and (shops or by):
        raise click.UsageError("--shop and --by go with --reason only")
    if audit:
        _report_history(_run(settings.kafka, lambda: history(settings.kafka)), as_json)
    elif listed:
        _report(paused(_run(settings.kafka, lambda: history(settings.kafka))), as_json)
    else:
        assert reason is not None
        _switch(settings.kafka, shops, True, reason, by, as_json)


@click.command(epilog=RESUME_EPILOG)
@shop_option
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the audit.")
@by_option
@json_option
@click.pass_obj
def resume(settings: Settings, shops: tuple[str, ...], reason: str, by: str | None, as_json: bool) -> None:
    """Let decisions be made again, on every worker at once; then show what is still paused.

    Without --shop it takes back a pause of all shops; a shop that was paused by its name stays so until it is
    resumed by its name. `headrace pause --history` shows who paused and resumed what, when and why.
    """
    _switch(settings.kafka, shops, False, reason, by, as_json)


def _switch(
    kafka: Kafka, shops: Sequence[str], stop: bool, reason: str, by: str | None, as_json: bool
) -> None:
    if "" in shops:
        raise click.UsageError(
            "--shop: expected the id of a shop, got nothing; without --shop it is all of them"
        )
    now_ms, who = int(time.time() * 1000), _whoami() if by is None else by
    switches = [_checked(Switch(str(uuid4()), stop, who, reason, now_ms, shop)) for shop in shops or [""]]

    async def throw_and_look() -> list[Pause]:
        await throw(kafka, switches)
        return paused(await history(kafka))

    _report(_run(kafka, throw_and_look), as_json)


def _checked(switch: Switch) -> Switch:
    try:
        decode_entry(msgspec.json.encode(switch))
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None
    return switch


def _whoami() -> str:
    name = "unknown"
    with suppress(OSError, KeyError):  # a container's user may have no name
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


def _run(kafka: Kafka, task: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """The result of a task that talks to the broker; what it cannot do is one sentence of click's."""
    # It logs every attempt to reach the broker; the command says it once, when it gives up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with open_admin(kafka):  # says within seconds that nobody is there
            return asyncio.run(task())
    except (NoBrokerError, MissingTopicError) as error:
        raise click.ClickException(str(error)) from None
    except (KafkaError, TimeoutError) as error:
        raise click.ClickException(
            f"The broker at {kafka.bootstrap_servers} failed: {error!r}; see `headrace check`, and "
            "`headrace pause --list` for what is paused"
        ) from None


def _report(pauses: Sequence[Pause], as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"paused": msgspec.to_builtins(pauses)}))
    elif pauses:
        rows = [(each.shop_id or ALL, utc(each.since_ms), each.by, each.reason) for each in pauses]
        click.echo(table(["paused", "since (UTC)", "by", "reason"], rows))
    else:
        click.echo("Nothing is paused")


def _report_history(switches: Sequence[Switch], as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps({"switches": msgspec.to_builtins(switches)}))
    elif switches:
        rows = [
            (
                utc(each.ts_ms),
                "pause" if each.paused else "resume",
                each.shop_id or ALL,
                each.by,
                each.reason,
            )
            for each in switches
        ]
        click.echo(table(["when (UTC)", "what", "shop", "by", "reason"], rows))
    else:
        click.echo("Nothing was ever paused")
