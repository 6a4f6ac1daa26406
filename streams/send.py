"""Sending: events and catalogue entries onto their topics right away, as a shop's own client would.

It is kafka-python that sends, with the settings that a shop should use: idempotent, acknowledged by every
replica in sync, keyed by the user. Nothing waits for event time; for logs with a past there is ``replay``.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError
from msgspec import Struct

from schemas.catalog import decode_entry
from schemas.topics import CATALOG, INPUTS
from streams.admin import open_admin
from streams.connection import connection_options
from streams.processor.arrival import decode
from streams.routing import MAX_RECORD_BYTES, Record, route
from streams.settings import Settings

TOPIC_NUMBERS = {topic.name: number for number, topic in enumerate(INPUTS)}
MAX_UNCONFIRMED = 10_000
"""Records that may wait for the broker's confirmation: then the oldest is waited for."""


class SendError(Exception):
    """The broker lacks a topic or refused a record, or a record is too large for it."""


class Numbered(NamedTuple):
    """A record and the line that it came from."""

    file: str
    line: int
    """Counted from 1."""
    record: Record


class Fault(Struct, frozen=True):
    """Why no worker could use a line."""

    file: str
    line: int
    reason: str
    """In the words of the dead letter that it would become; it quotes nothing of an event."""


class SendReport(Struct, frozen=True):
    """What was sent and confirmed."""

    topics: dict[str, int]
    """Records by topic."""
    duration_s: float


def numbered(file: str, lines: Iterable[bytes]) -> Iterator[Numbered]:
    """The records of JSON Lines, or the one of a JSON object that is written over several lines.

    >>> [(each.line, each.record.topic) for each in numbered("-", [b'{"type": ', b'"click"}'])]
    [(1, 'clicks')]
    """
    for number, line in enumerate(_joined(iter(lines)), 1):
        for record in route([line]):
            yield Numbered(file, number, record)


def faults(records: Iterable[Numbered], settings: Settings, now_ms: int) -> Iterator[Fault]:
    """The records that would become dead letters if the broker got them at ``now_ms``."""
    max_ahead_ms = int(settings.processing.max_ahead_s * 1000)
    for file, line, record in records:
        reason = _reason(record, now_ms, max_ahead_ms)
        if reason:
            yield Fault(file, line, reason)


def send(records: Iterable[Numbered], settings: Settings) -> SendReport:
    """Send every record to its topic; returns when the broker has confirmed all.

    A catalogue entry is confirmed before any later event is sent, and the other way round. What failed may be
    sent again: an event has no second effect while its ``event_id`` is remembered.

    Raises:
        SendError: A topic is missing, or a record was refused, or not confirmed in time.
        NoBrokerError: Nobody answered.
    """
    started_s, kafka = time.monotonic(), settings.kafka
    with open_admin(kafka) as admin:
        present = set(admin.list_topics())
    missing = [topic for topic in (*TOPIC_NUMBERS, CATALOG.name) if topic not in present]
    if missing:
        raise SendError(f"The broker has no topic {', '.join(missing)}: create it with `headrace init`")
    timeout_ms = int(kafka.request_timeout_s * 1000)
    producer = KafkaProducer(
        **connection_options(kafka),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        request_timeout_ms=timeout_ms,
        delivery_timeout_ms=timeout_ms,
        max_block_ms=timeout_ms,
    )
    sender = _Sender(producer, kafka.request_timeout_s)
    entries_last = False
    try:
        for each in records:
            is_entry = each.record.topic == CATALOG.name
            if is_entry != entries_last:
                sender.confirm()
                entries_last = is_entry
            sender.send(each)
        sender.confirm()
    finally:
        producer.close(timeout=kafka.request_timeout_s)
    return SendReport(dict(sender.confirmed), time.monotonic() - started_s)


class _Sender:
    """Records on their way, oldest first, and what has arrived."""

    def __init__(self, producer: Any, timeout_s: float) -> None:
        self.confirmed: Counter[str] = Counter()
        self._producer = producer
        self._timeout_s = timeout_s
        self._waiting: deque[tuple[Numbered, Any]] = deque()

    def send(self, numbered: Numbered) -> None:
        record = numbered.record
        try:
            future = self._producer.send(
                record.topic, key=record.key, value=record.value, timestamp_ms=record.ts_ms
            )
        except KafkaError as error:
            raise self._failed(numbered, error) from None
        self._waiting.append((numbered, future))
        if len(self._waiting) > MAX_UNCONFIRMED:
            self._confirm_oldest()

    def confirm(self) -> None:
        """Return when the broker has everything that was sent."""
        while self._waiting:
            self._confirm_oldest()

    def _confirm_oldest(self) -> None:
        numbered, future = self._waiting.popleft()
        try:
            future.get(self._timeout_s)
        except KafkaError as error:
            raise self._failed(numbered, error) from None
        self.confirmed[numbered.record.topic] += 1

    def _failed(self, numbered: Numbered, error: KafkaError) -> SendError:
        if isinstance(error, MessageSizeTooLargeError):
            why, advice = "is larger than the broker takes", "take it out, and send the rest again"
        else:
            why, advice = f"was not confirmed ({type(error).__name__})", "send all of it again"
        return SendError(
            f"{numbered.file}, line {numbered.line} {why}; {self._arrived()} confirmed before. Events that "
            f"arrived have no second effect: {advice}"
        )

    def _arrived(self) -> str:
        count = self.confirmed.total()
        return "1 record was" if count == 1 else f"{count:,} records were"


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines; where the first only begins a JSON value that all of them are: that, as one line."""
    start: list[bytes] = []
    for line in lines:
        start.append(line)
        if not line.isspace():
            break
    if start and _is_truncated(start[-1]):
        size = len(start[-1])
        for line in lines:
            start.append(line)
            size += len(line)
            if size > MAX_RECORD_BYTES:
                break
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # lines, the first one broken
            start = [msgspec.json.format(b"".join(start), indent=-1)]
    yield from chain(start, lines)


def _is_truncated(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def _reason(record: Record, now_ms: int, max_ahead_ms: int) -> str:
    size = len(record.value) + len(record.key or b"")
    if size > MAX_RECORD_BYTES:
        return f"Expected at most {MAX_RECORD_BYTES} bytes, got {size}"
    if record.topic == CATALOG.name:
        return ""
    if record.key is None:
        try:
            decode_entry(record.value)
        except msgspec.ValidationError as error:
            if "`$.type`" not in str(error):  # an entry, or nothing that has a type
                return str(error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # said by the decoder of events, too
    return decode(TOPIC_NUMBERS[record.topic], 0, 0, now_ms, record.value, max_ahead_ms).reason
