"""``headrace simulate``: a synthetic shop whose truth is known."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args, get_type_hints

import click
import msgspec
import orjson
from msgspec import Struct

from streams.data.jsonl import Writer
from streams.delivery.restore import MissingTopicError
from streams.replay import ReplayError
from streams.settings import Settings
from streams.simulate.closed_loop import ClosedLoop
from streams.simulate.configuration import NAMES, Configuration, ConfigurationError, Drift, changed, load
from streams.simulate.day import Calendar
from streams.simulate.effects import UserTruths, shop_truth
from streams.simulate.live import LiveReport, live
from streams.simulate.log import log
from streams.simulate.shop import Shop
from streams.simulate.truth import Truth

HOUR_S, DAY_S = 3_600, 86_400
WARM_UP_SESSIONS = 3
"""Mean lengths of a session, after which next to none is left of those that would have begun before."""
EVENTS_PER_UPDATE = 5_000
DEFAULT_EVENTS = 100_000
DRIFTS = get_args(get_type_hints(Drift)["kind"])

EPILOG = """\b
Examples:
  headrace simulate --events 200000 --output shop.jsonl.gz --truth truth.jsonl.gz
  headrace simulate --events 50000 --seed 7 --config other --drift abrupt --bots 0.02 --output shop.jsonl
  headrace simulate --live --rate 50 --duration-s 60 --truth truth.jsonl
  headrace simulate --live --speed 60 --duration-s 300 --json
"""


class LogReport(Struct, frozen=True):
    """What was written."""

    path: str
    counts: dict[str, int]
    """Records by their ``type``."""
    truth_counts: dict[str, int]
    first_ms: int
    last_ms: int
    """Event time of the first and the last event."""
    duration_s: float
    """The shop's making included."""
    events_per_s: float


@click.command(epilog=EPILOG)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option(
    "--config",
    "name",
    default="base",
    show_default=True,
    metavar="|".join((*NAMES, "FILE.toml")),
    help="What the shop is like.",
)
@click.option("--drift", type=click.Choice(DRIFTS), help="How tastes change (default: the configuration's).")
@click.option(
    "--bots", type=click.FloatRange(0, 1), metavar="SHARE", help="Of the sessions that are no people's."
)
@click.option(
    "--events",
    type=click.IntRange(1),
    help=f"Of the log; catalogue entries do not count.  [default: {DEFAULT_EVENTS:,}]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a log here, JSON Lines (.gz too), for `headrace replay`.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the true probabilities and effects here, JSON Lines (.gz too).",
)
@click.option("--live", "is_live", is_flag=True, help="Send to the broker and react to the decisions on it.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="VIEWS_PER_S",
    help="Live: page views a second of wall time, the run's mean; exposures, clicks and orders come on top "
    "(default: the configuration's sessions, by the time of day).",
)
@click.option("--duration-s", type=click.FloatRange(0, min_open=True), help="Live: stop after so long.")
@click.option(
    "--speed",
    type=click.FloatRange(1),
    default=1.0,
    show_default=True,
    help="Live: event time a second of wall time; it ends at the present.",
)
@click.option(
    "--patience-s",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Live: wall time after which a request shows nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object on stdout.")
@click.pass_obj
def simulate(
    settings: Settings,
    seed: int,
    name: str,
    drift: str | None,
    bots: float | None,
    events: int | None,
    output: Path | None,
    truth: Path | None,
    is_live: bool,
    rate: float | None,
    duration_s: float | None,
    speed: float,
    patience_s: float,
    as_json: bool,
) -> None:
    """A synthetic shop whose truth is known: write its log, or let it react to Headrace.

    Users have latent tastes; ads, positions, delays and promotions work on them as
    streams/simulate/README.md says. Without --live a log is written in which the shop's own policy chose;
    the same seed, configuration and numpy give the same bytes. With --live it sends the catalogue and page
    views that ask, and its users answer to the decisions, until --duration-s or Ctrl-C.
    """
    _check_usage(is_live, output, events, rate, duration_s, speed)
    started_s = time.monotonic()
    try:
        configuration = changed(load(name), drift, bots)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    try:
        if output is None:
            reacted = _react(settings, configuration, seed, truth, rate, duration_s, speed, patience_s)
            report, summary = msgspec.to_builtins(reacted), _live_summary(reacted)
        else:
            shop = Shop(configuration, seed)
            written = _write(shop, events or DEFAULT_EVENTS, output, truth, started_s)
            report, summary = msgspec.to_builtins(written), _log_summary(written)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; choose another FILE") from None
    click.echo(orjson.dumps(report) if as_json else summary)


def _check_usage(
    is_live: bool, output: Path | None, events: int | None, rate: float | None, duration_s: float | None,
    speed: float,
) -> None:  # fmt: skip
    if is_live and (output or events):
        raise click.UsageError("--output and --events are of a log; with --live expected neither")
    if not is_live and output is None:
        raise click.UsageError("Expected --output FILE, or --live")
    if not is_live and (rate or duration_s or speed != 1):
        raise click.UsageError("--rate, --duration-s and --speed are of --live")
    if speed > 1 and duration_s is None:
        raise click.UsageError(
            "--speed needs --duration-s: event time ends at the present, and begins before"
        )


def _write(shop: Shop, events: int, output: Path, truth: Path | None, started_s: float) -> LogReport:
    users = UserTruths(shop)
    first_ms = last_ms = 0
    with (
        Writer(output) as writer,
        _truth_writer(truth, shop) as truths,
        click.progressbar(length=events, label="Simulating", file=click.get_text_stream("stderr")) as bar,
    ):
        for entry in shop.catalog():
            writer.write(entry)
        for number, (event, told) in enumerate(log(shop, events, with_truth=truths is not None), 1):
            writer.write(event)
            first_ms, last_ms = first_ms or event.ts_ms, event.ts_ms
            if truths is not None:
                for record in (users.take(event.user_id), told):
                    if record is not None:
                        truths.write(record)
            if number % EVENTS_PER_UPDATE == 0 or number == events:
                bar.update(number - bar.pos)
    truth_counts = dict(truths.counts) if truths is not None else {}
    duration_s = time.monotonic() - started_s
    return LogReport(
        str(output), dict(writer.counts), truth_counts, first_ms, last_ms, duration_s, events / duration_s
    )


def _paced(configuration: Configuration, rate: float, start_ms: int, end_ms: int) -> Configuration:
    """As many sessions a day as give a rate of page views, per second of event time, between two times."""
    calendar = Calendar(configuration.day)
    even_days = calendar.even_days(end_ms) - calendar.even_days(start_ms)
    sessions = rate * (end_ms - start_ms) / 1000 / even_days / configuration.pages.views_per_session
    shop = msgspec.structs.replace(configuration.shop, sessions_per_day=sessions)
    return msgspec.structs.replace(configuration, shop=shop)


def _react(
    settings: Settings, configuration: Configuration, seed: int, truth: Path | None, rate: float | None,
    duration_s: float | None, speed: float, patience_s: float,
) -> LiveReport:  # fmt: skip
    # They log every attempt to reach the broker; the command says it once, when it gives up.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    now_ms = int(time.time() * 1000)
    start_ms = now_ms - int((speed - 1) * (duration_s or 0) * 1000)
    if rate is not None:
        end_ms = start_ms + int(speed * (duration_s or HOUR_S) * 1000)
        configuration = _paced(configuration, rate / speed, start_ms, end_ms)
    # Sessions that are under way at the start have begun before it.
    session_s = configuration.pages.views_per_session * configuration.pages.think_s
    shop = Shop(configuration, seed, start_ms - int(WARM_UP_SESSIONS * session_s * 1000))
    with (
        _truth_writer(truth, shop) as truths,
        click.progressbar(
            length=int(duration_s or 0), label="Simulating", file=click.get_text_stream("stderr"),
            hidden=duration_s is None,
        ) as bar,
    ):  # fmt: skip
        # A second run of a seed on the same broker must not send event ids that are known.
        tell = truths.write if truths is not None else None
        loop = ClosedLoop(
            shop, int(patience_s * speed * 1000), tag=f"{now_ms:x}-", tell=tell, from_ms=start_ms
        )
        try:
            return asyncio.run(
                live(
                    shop,
                    loop,
                    settings,
                    speed,
                    duration_s,
                    lambda passed_s: bar.update(int(passed_s) - bar.pos),
                )
            )
        except (ReplayError, MissingTopicError) as error:
            raise click.ClickException(str(error)) from None


@contextmanager
def _truth_writer(path: Path | None, shop: Shop) -> Iterator[Writer | None]:
    """A writer of truth, its head written; None where nobody wants it."""
    if path is None:
        yield None
        return
    with Writer(path, Truth) as writer:
        writer.write(shop_truth(shop))
        yield writer


def _log_summary(report: LogReport) -> str:
    counts = ", ".join(f"{kind} {count:,}" for kind, count in report.counts.items())
    days = (report.last_ms - report.first_ms) / (DAY_S * 1000)
    return (
        f"Wrote {report.path}: {counts}; {days:.2f} days of event time in {report.duration_s:.1f} s "
        f"({report.events_per_s:,.0f} events/s)"
    )


def _live_summary(report: LiveReport) -> str:
    topics = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(report.topics.items()))
    requests = ", ".join(f"{count:,} {what}" for what, count in sorted(report.requests.items()))
    waits = (
        "no decision came"
        if report.answer_ms_median is None
        else f"decisions after {report.answer_ms_median:g} ms (median), {report.answer_ms_p99:g} ms (99%)"
    )
    return (
        f"Sent {topics} in {report.duration_s:.1f} s ({report.events_per_s:,.0f} events/s); "
        f"requests: {requests or 'none'}; {waits}; {report.not_yet:,} events had still to follow"
    )
