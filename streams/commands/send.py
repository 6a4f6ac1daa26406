"""``headrace send``: events onto the broker right away, checked first."""

import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn
from uuid import uuid4

import click
import msgspec
import orjson
from kafka.errors import KafkaError

from streams.admin import NoBrokerError
from streams.commands.lines import STDIN, files_argument, lines_of, size_of
from streams.send import Fault, Numbered, SendError, SendReport, faults, numbered
from streams.send import send as send_records
from streams.settings import Settings

MAX_SHOWN = 20
"""Faults that are named; the rest are counted."""

EPILOG = """\b
Examples:
  headrace send view.json
  headrace send catalog.jsonl events.jsonl.gz --json
  echo '{"type":"item","item_id":"i-9","category":"shoes"}' | headrace send -
  headrace send events.jsonl --dry-run
  tail -f events.jsonl | headrace send - --unchecked
"""


@click.command(epilog=EPILOG)
@files_argument
@click.option(
    "--unchecked",
    is_flag=True,
    help="Send each line as it comes; what no worker can use becomes a dead letter.",
)
@click.option("--dry-run", is_flag=True, help="Only check.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def send(settings: Settings, files: tuple[Path, ...], unchecked: bool, dry_run: bool, as_json: bool) -> None:
    """Send the events and catalogue entries in each FILE to their topics, now.

    FILE is one JSON object or JSON Lines (.gz too, `-` is stdin). All of it is held against the contract
    first: if a line breaks it, nothing is sent, and each such line is named with the reason.

    This is what a shop's own client does: idempotent, acks=all, keyed by user. It does not mind the order of
    events on different topics. For a log with a past use `headrace replay`, which keeps click and exposure
    within the lateness horizon, merges files by time and can be paced.
    """
    if unchecked and dry_run:
        raise click.UsageError("--dry-run only checks, and --unchecked does not check: choose one")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # said once, when it gives up
    if unchecked:
        _report(_send(settings, files), as_json)
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as scratch_dir:
        kept = [_kept(file, Path(scratch_dir)) for file in files]
        checked = _check(settings, files, kept)
        if checked.faults:
            _refuse(checked, as_json)
        _report(
            SendReport(checked.topics, 0.0) if dry_run else _send(settings, files, kept), as_json, dry_run
        )


class Checked(NamedTuple):
    """What a check has found: records by topic, and those that break the contract."""

    topics: dict[str, int]
    faults: list[Fault]


def _kept(file: Path, scratch_dir: Path) -> Path:
    """The file, or a copy of what can be read only once: it is read for the check, and again to be sent."""
    if file.is_file():
        return file
    copy = scratch_dir / f"{uuid4()}{file.suffix}"
    with (
        copy.open("wb") as target,
        nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb") as source,
    ):
        shutil.copyfileobj(source, target)
    return copy


def _check(settings: Settings, files: Sequence[Path], kept: Sequence[Path]) -> Checked:
    topics: Counter[str] = Counter()

    def counted(records: Iterable[Numbered]) -> Iterator[Numbered]:
        for each in records:
            topics[each.record.topic] += 1
            yield each

    now_ms = int(time.time() * 1000)
    with _records("Checking", files, kept) as records:
        found = list(faults(counted(records), settings, now_ms))
    return Checked(dict(topics), found)


def _send(settings: Settings, files: Sequence[Path], kept: Sequence[Path] | None = None) -> SendReport:
    try:
        with _records("Sending", files, kept or files) as records:
            return send_records(records, settings)
    except (NoBrokerError, SendError) as error:
        raise click.ClickException(str(error)) from None
    except KafkaError as error:
        servers = settings.kafka.bootstrap_servers
        raise click.ClickException(
            f"The broker at {servers} failed: {error!r}; see `headrace check`"
        ) from None


@contextmanager
def _records(label: str, files: Sequence[Path], kept: Sequence[Path]) -> Iterator[Iterator[Numbered]]:
    """The records of all files, one after the other, with a progress bar; ``kept`` is what to read."""
    with click.progressbar(
        length=size_of(kept), label=label, file=click.get_text_stream("stderr"), hidden=STDIN in kept
    ) as bar:
        yield chain.from_iterable(
            numbered("stdin" if file == STDIN else str(file), lines_of(path, bar.update))
            for file, path in zip(files, kept, strict=True)
        )


def _refuse(checked: Checked, as_json: bool) -> NoReturn:
    found = checked.faults
    if as_json:
        click.echo(orjson.dumps({"topics": {}, "faults": msgspec.to_builtins(found)}))
    else:
        for fault in found[:MAX_SHOWN]:
            click.echo(f"{fault.file}, line {fault.line}: {fault.reason}", err=True)
        if len(found) > MAX_SHOWN:
            click.echo(f"and {len(found) - MAX_SHOWN:,} more; --json names them all", err=True)
    raise click.ClickException(
        f"{len(found):,} of {sum(checked.topics.values()):,} records break the contract, and nothing was "
        "sent; mend them, or send all as they are with --unchecked"
    )


def _report(report: SendReport, as_json: bool, dry_run: bool = False) -> None:
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(report) | {"faults": [], "dry_run": dry_run}))
        return
    sent = sum(report.topics.values())
    topics = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(report.topics.items())) or "none"
    if dry_run:
        click.echo(f"Would send {sent:,} records, all in order: {topics}")
    else:
        click.echo(f"Sent {sent:,} records in {report.duration_s:.1f} s: {topics}")
