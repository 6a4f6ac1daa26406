"""Memory with far more users than a worker may remember: it must not grow once the cap is reached."""

from collections.abc import Callable

import psutil
from msgspec import Struct

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.events import View
from streams import memory
from streams.bench.mix import EVENTS_PER_S, START_MS
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor
from streams.settings import Settings, State

PARTITIONS = 8
CHECKPOINT_EVENTS = 20_000
"""Between two checkpoints of all partitions: what a worker processes in about a second."""
SAMPLES = 200
SETTLED = 1.5
"""Times the cap: from there on the pools are full, the known event ids too, and nothing may grow."""


class Sample(Struct, frozen=True):
    """Where it stood."""

    users: int
    """That have been seen."""
    profiles: int
    """That are kept."""
    rss_bytes: int


class Report(Struct, frozen=True):
    """How memory went."""

    users: int
    cap: int
    rss_at_cap_bytes: int
    """Highest until ``SETTLED`` times the cap."""
    rss_at_end_bytes: int
    highest_rss_after_bytes: int
    overflowed: int
    """Profiles that made room."""
    samples: list[Sample]


def run(users: int, cap: int, advance: Callable[[int], None]) -> Report:
    """A page view of each of ``users`` distinct users through the processor of eight partitions.

    Together they may keep ``cap`` profiles. Changes are drained as checkpoints do. ``advance`` is called
    with the users since the last call.
    """
    memory.tune()
    settings = Settings(state=State(max_profiles=cap // PARTITIONS))
    weights, catalog = ServingWeights("ctr", settings.learning.bits), Catalog(settings.learning.bits)
    processors = [Processor(partition, settings, catalog, weights) for partition in range(PARTITIONS)]
    process = psutil.Process()
    samples: list[Sample] = []
    every = max(CHECKPOINT_EVENTS, users // SAMPLES)
    for first in range(0, users, CHECKPOINT_EVENTS):
        last = min(users, first + CHECKPOINT_EVENTS)
        for partition, processor in enumerate(processors):
            processor.process(
                _arrival(number, partition) for number in range(first + partition, last, PARTITIONS)
            )
            processor.state.drain()
        if last // every > first // every or last == users:
            kept = sum(len(processor.state.profiles) for processor in processors)
            samples.append(Sample(last, kept, process.memory_info().rss))
        advance(last - first)
    before = [sample.rss_bytes for sample in samples if sample.users <= SETTLED * cap]
    after = [sample.rss_bytes for sample in samples if sample.users > SETTLED * cap]
    return Report(
        users=users,
        cap=cap,
        rss_at_cap_bytes=max(before),
        rss_at_end_bytes=samples[-1].rss_bytes,
        highest_rss_after_bytes=max(after, default=max(before)),
        overflowed=sum(processor.state.counters["overflowed"] for processor in processors),
        samples=samples,
    )


def _arrival(number: int, partition: int) -> Arrival:
    event = View(
        event_id=f"v-{number:010d}",
        user_id=f"u{number:09d}",
        ts_ms=START_MS + number * 1000 // EVENTS_PER_S,
        page="home",
    )
    return Arrival(0, partition, number // PARTITIONS, event.ts_ms, b"", event)


WIDTH, HEIGHT, MARGIN = 720, 320, 56
PROFILES_HEIGHT = 1.6
"""Of the picture, in caps: their line runs below that of memory."""


def picture(report: Report) -> str:
    """The report as SVG: memory and profiles kept over the users seen."""
    highest = 1.1 * max(sample.rss_bytes for sample in report.samples)

    def x(users: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * users / report.users

    def line(values: list[float], top: float) -> str:
        return " ".join(
            f"{x(sample.users):.0f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / top:.1f}"
            for sample, value in zip(report.samples, values, strict=True)
        )

    rss = line([sample.rss_bytes for sample in report.samples], highest)
    kept = line([sample.profiles for sample in report.samples], PROFILES_HEIGHT * report.cap)
    ticks = "".join(
        f'<text x="{x(users):.0f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{users / 1e6:g}</text>'
        for users in range(0, report.users + 1, report.users // 5)
    )
    levels = "".join(
        f'<text x="{MARGIN - 8}" y="{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share + 4:.0f}" '
        f'text-anchor="end">{highest * share / 1e6:.0f}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#444">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="#999"/>'
        f'<polyline points="{kept}" fill="none" stroke="#b8c4ce" stroke-width="2"/>'
        f'<polyline points="{rss}" fill="none" stroke="#1f6f8b" stroke-width="2"/>'
        f"{ticks}{levels}"
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">distinct users seen, millions</text>'
        f'<text x="{MARGIN}" y="{MARGIN - 24}" fill="#1f6f8b">resident memory, MB</text>'
        f'<text x="{WIDTH - MARGIN}" y="{MARGIN - 24}" text-anchor="end" fill="#8494a1">'
        f"profiles kept, up to {report.cap:,}</text></svg>\n"
    )
