"""The closed loop over Kafka: the catalogue and what users do go out, decisions come in."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

import numpy as np
from aiokafka import TopicPartition
from msgspec import Struct
from msgspec.json import Encoder

from schemas.catalog import Entry
from schemas.events import Event, View
from schemas.topics import DECISIONS
from streams.delivery.restore import open_reader, partition_numbers
from streams.replay import Sender, open_sender
from streams.routing import route
from streams.settings import Settings
from streams.simulate.closed_loop import ClosedLoop, decode_decided
from streams.simulate.shop import Shop

TURN_S = 0.02
"""Wait for decisions before what is due is sent."""
MAX_DECISIONS = 2_000
"""Of one turn."""
MAX_WAITING = 100_000
"""Views whose wait is measured at a time."""

_encode = Encoder().encode


class LiveReport(Struct, frozen=True):
    """What happened between the shop and whoever decided."""

    topics: dict[str, int]
    """Records that were sent and confirmed, by topic."""
    requests: dict[str, int]
    """See ``ClosedLoop.counts``."""
    not_yet: int
    """Events that had still to follow from decisions when it ended: clicks and orders take their time."""
    answer_ms_median: float | None
    answer_ms_p99: float | None
    """Wall time from a view's confirmation to its decision; None without decisions."""
    duration_s: float
    events_per_s: float


async def live(
    shop: Shop,
    loop: ClosedLoop,
    settings: Settings,
    speed: float,
    duration_s: float | None,
    progress: Callable[[float], object] = lambda seconds: None,
) -> LiveReport:
    """Run until ``duration_s`` of wall time have passed, or SIGINT or SIGTERM comes.

    Event time begins at the loop's and runs ``speed`` times as fast as the clock. ``progress`` hears
    the seconds that have passed.

    Raises:
        ReplayError, MissingTopicError: The broker is away, refused a batch, or lacks a topic.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waits = _Waits()
    async with open_sender(settings) as sender, _decisions(settings) as reader:
        await _send(sender, shop.catalog())
        entries = sender.counts.total()
        started_s = time.monotonic()
        passed_s = 0.0
        while not stop.is_set() and (duration_s is None or passed_s < duration_s):
            passed_s = time.monotonic() - started_s
            now_ms = loop.from_ms + int(passed_s * speed * 1000)
            events = loop.due(now_ms)
            await _send(sender, events)
            waits.asked(events)
            polled = await reader.getmany(timeout_ms=int(TURN_S * 1000), max_records=MAX_DECISIONS)
            decisions = [decode_decided(record.value) for record in chain(*polled.values())]
            waits.answered(decision.event_id for decision in decisions)
            # What was read during this turn was known only now.
            passed_s = time.monotonic() - started_s
            loop.decide(decisions, loop.from_ms + int(passed_s * speed * 1000))
            progress(passed_s)
    return LiveReport(
        topics=dict(sender.counts),
        requests=dict(loop.counts),
        not_yet=loop.pending,
        answer_ms_median=waits.quantile_ms(0.5),
        answer_ms_p99=waits.quantile_ms(0.99),
        duration_s=passed_s,
        events_per_s=(sender.counts.total() - entries) / passed_s,
    )


class _Waits:
    """How long views wait for their first decision."""

    def __init__(self) -> None:
        self._asked_s: dict[str, float] = {}
        self._waits_s: list[float] = []

    def asked(self, events: Iterable[Event]) -> None:
        """These are with the broker now."""
        now_s = time.monotonic()
        for event in events:
            if isinstance(event, View) and event.slots:
                self._asked_s[event.event_id] = now_s
        while len(self._asked_s) > MAX_WAITING:  # those whom nobody answers
            self._asked_s.pop(next(iter(self._asked_s)))

    def answered(self, event_ids: Iterable[str]) -> None:
        """Decisions on these views have come."""
        now_s = time.monotonic()
        for event_id in event_ids:
            asked_s = self._asked_s.pop(event_id, None)
            if asked_s is not None:
                self._waits_s.append(now_s - asked_s)

    def quantile_ms(self, share: float) -> float | None:
        """Of the waits that ended."""
        return round(1000 * float(np.quantile(self._waits_s, share)), 1) if self._waits_s else None


@asynccontextmanager
async def _decisions(settings: Settings) -> AsyncIterator[Any]:
    """A reader of all decisions from now on."""
    async with open_reader(settings.kafka) as reader:
        partitions = [
            TopicPartition(DECISIONS.name, number)
            for number in await partition_numbers(reader, DECISIONS.name)
        ]
        reader.assign(partitions)
        await reader.seek_to_end(*partitions)
        for partition in partitions:
            await reader.position(partition)
        yield reader


async def _send(sender: Sender, records: Iterable[Entry | Event]) -> None:
    for record in route(map(_encode, records)):
        await sender.send(record)
    await sender.confirm()
