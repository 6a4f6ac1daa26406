"""``headrace replay``: files of events onto the broker."""

import asyncio
import gzip
import logging
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import click
import msgspec
import orjson

from streams.replay import ReplayError, ReplayReport, in_time_order
from streams.replay import replay as replay_lines
from streams.settings import Settings

STDIN = Path("-")
LINES_PER_UPDATE = 10_000

EPILOG = """\b
Examples:
  headrace replay data/obd.jsonl.gz
  headrace replay data/obd.jsonl.gz data/completejourney.jsonl.gz --json
  zcat events.jsonl.gz | headrace replay - --rate 500 --limit 10000
  headrace replay history.jsonl.gz --skew-s 1e9   (before any worker runs: fastest)
"""


@click.command(epilog=EPILOG)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Events per second, at most.")
@click.option(
    "--limit", type=click.IntRange(1), help="Stop after so many events; catalogue entries do not count."
)
@click.option(
    "--skew-s",
    type=click.FloatRange(0),
    help="Event time by which lines of different topics may pass each other (default: half of "
    "processing.lateness_s).",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def replay(
    settings: Settings,
    files: tuple[Path, ...],
    rate: float | None,
    limit: int | None,
    skew_s: float | None,
    as_json: bool,
) -> None:
    """Send the events in each FILE (JSON Lines, .gz too, `-` is stdin) to their topics.

    Several files, each in time order, are merged by time. Lines that no worker can use are sent too:
    they become dead letters.
    """
    # It logs every attempt to reach the broker; the replay says it once, when it gives up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    size = sum(file.stat().st_size for file in files if file != STDIN)
    with click.progressbar(
        length=size, label="Replaying", file=click.get_text_stream("stderr"), hidden=STDIN in files
    ) as bar:
        sources = [_lines(file, bar.update) for file in files]
        lines = sources[0] if len(sources) == 1 else in_time_order(sources)
        try:
            report = asyncio.run(replay_lines(lines, settings, rate=rate, limit=limit, skew_s=skew_s))
        except ReplayError as error:
            raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _summary(report))


def _lines(file: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The lines of one file; ``advance`` hears how many bytes of it were read since the last time."""
    if file == STDIN:
        yield from sys.stdin.buffer
        return
    seen = 0
    with (
        file.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else nullcontext(raw) as lines,
    ):
        try:
            for number, line in enumerate(lines, 1):
                yield line
                if number % LINES_PER_UPDATE == 0:
                    advance(raw.tell() - seen)
                    seen = raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise click.ClickException(
                f"{file}: expected a whole gzip file; fetch or pack it again"
            ) from None
        advance(file.stat().st_size - seen)


def _summary(report: ReplayReport) -> str:
    sent = sum(report.topics.values())
    topics = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(report.topics.items()))
    return (
        f"Sent {sent:,} records in {report.duration_s:.1f} s ({sent / report.duration_s:,.0f}/s): {topics}; "
        f"{report.unkeyed:,} without a usable key, which become dead letters"
    )
