"""``headrace replay``: files of events onto the broker."""

import asyncio
import logging
from pathlib import Path

import click
import msgspec
import orjson

from streams.commands.lines import STDIN, files_argument, lines_of, size_of
from streams.replay import ReplayError, ReplayReport, in_time_order
from streams.replay import replay as replay_lines
from streams.settings import Settings

EPILOG = """\b
Examples:
  headrace replay data/obd.jsonl.gz
  headrace replay data/obd.jsonl.gz data/completejourney.jsonl.gz --json
  zcat events.jsonl.gz | headrace replay - --rate 500 --limit 10000
  headrace replay history.jsonl.gz --skew-s 1e9   (before any worker runs: fastest)
"""


@click.command(epilog=EPILOG)
@files_argument
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
    they become dead letters. This is for logs with a past: what belongs together in time stays together.
    For events of now there is `headrace send`, which checks them first.
    """
    # It logs every attempt to reach the broker; the replay says it once, when it gives up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with click.progressbar(
        length=size_of(files),
        label="Replaying",
        file=click.get_text_stream("stderr"),
        hidden=STDIN in files,
    ) as bar:
        sources = [lines_of(file, bar.update) for file in files]
        lines = sources[0] if len(sources) == 1 else in_time_order(sources)
        try:
            report = asyncio.run(replay_lines(lines, settings, rate=rate, limit=limit, skew_s=skew_s))
        except ReplayError as error:
            raise click.ClickException(str(error)) from None
    click.echo(orjson.dumps(msgspec.to_builtins(report)) if as_json else _summary(report))


def _summary(report: ReplayReport) -> str:
    sent = sum(report.topics.values())
    topics = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(report.topics.items()))
    return (
        f"Sent {sent:,} records in {report.duration_s:.1f} s ({sent / report.duration_s:,.0f}/s): {topics}; "
        f"{report.unkeyed:,} without a usable key, which become dead letters"
    )
