"""Which record a line of JSON becomes: its topic, key and time; the value is the line as it is."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_args

import msgspec
import numpy as np
from msgspec import Struct
from numba import njit

from schemas.bounds import MAX_ID_LENGTH, MAX_TS_MS, MIN_TS_MS
from schemas.catalog import Entry, decode_entry, entry_key
from schemas.topics import CATALOG, CLICKS, PURCHASES, VIEWS

EVENT_TOPICS = {
    "view": VIEWS.name,
    "exposure": VIEWS.name,
    "click": CLICKS.name,
    "purchase": PURCHASES.name,
    "refund": PURCHASES.name,
}
ENTRY_TYPES = frozenset(str(struct.__struct_config__.tag) for struct in get_args(Entry))
MAX_RECORD_BYTES = 1_000_000
"""Of key and value: brokers take batches of 1 MiB unless told otherwise, and a batch has its own fields."""
KNOWN = 0x80000000
"""The bit by which a ``partition_hash`` differs from one that is not known."""


class Record(NamedTuple):
    """A line on its way to the broker."""

    topic: str
    key: bytes | None
    """None where the line says no usable one; the worker dead-letters such an event."""
    value: bytes
    ts_ms: int | None
    """Event time; None for catalogue entries and where the line says no usable one."""


def route(lines: Iterable[bytes]) -> Iterator[Record]:
    """The record of each line; blank lines are none.

    An event goes to the topic of its ``type`` under its ``user_id``, and a catalogue entry to
    `catalog`. What is neither (no JSON, an unknown type, an entry that breaks the contract and so has no
    key to compact by) goes to `views` without a key, where a worker dead-letters it.

    >>> [record.topic for record in route([b'{"type":"click","user_id":"u1"}', b"?"])]
    ['clicks', 'views']
    """
    for line in lines:
        value = line.rstrip(b"\r\n")
        if value and not value.isspace():
            yield _record(value)


def partition_of(key: bytes | None, partitions: int) -> int:
    """Kafka's default partition of a key; 0 for none, so that a run repeats.

    >>> partition_of(b"u1", 8)
    0
    """
    return 0 if key is None else (_murmur2(key) & 0x7FFFFFFF) % partitions


def partition_hash(user_id: str) -> int:
    """What of a user's key decides the partition, whatever their number: 31 bits of a hash, and ``KNOWN``.

    >>> (partition_hash("u1") & ~KNOWN) % 8 == partition_of(b"u1", 8)
    True
    """
    return int(_murmur2(user_id.encode())) | KNOWN


class _Head(Struct):
    """The fields that decide where a line goes, with neutral values for what is missing."""

    type: str = ""
    user_id: str = ""
    ts_ms: int = 0


_decode_head = msgspec.json.Decoder(_Head).decode


@njit(cache=True)
def _murmur2(key: bytes) -> int:
    """Kafka's hash of a key (``org.apache.kafka.common.utils.Utils.murmur2``): Appleby's MurmurHash2."""
    factor, words = np.uint32(0x5BD1E995), len(key) // 4
    state = np.uint32(0x9747B28C) ^ np.uint32(len(key))
    for start in range(0, 4 * words, 4):
        word = np.uint32(0)
        for i in range(4):
            word |= np.uint32(key[start + i]) << np.uint32(8 * i)
        word = np.uint32(word * factor)
        word = np.uint32((word ^ (word >> np.uint32(24))) * factor)
        state = np.uint32(state * factor) ^ word
    if len(key) % 4:
        for i in range(4 * words, len(key)):
            state ^= np.uint32(key[i]) << np.uint32(8 * (i % 4))
        state = np.uint32(state * factor)
    state = np.uint32((state ^ (state >> np.uint32(13))) * factor)
    return int(state ^ (state >> np.uint32(15)))


def _record(value: bytes) -> Record:
    try:
        head = _decode_head(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head = _salvage(value)
    topic = EVENT_TOPICS.get(head.type)
    if topic is None:
        return _entry(value) if head.type in ENTRY_TYPES else Record(VIEWS.name, None, value, None)
    key = head.user_id.encode() if 0 < len(head.user_id) <= MAX_ID_LENGTH else None
    return Record(topic, key, value, head.ts_ms if MIN_TS_MS <= head.ts_ms <= MAX_TS_MS else None)


def _salvage(value: bytes) -> _Head:
    """Those fields of a line that have the expected type, where another has not."""
    try:
        fields: Any = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Head()
    if not isinstance(fields, dict):
        return _Head()
    types = {"type": str, "user_id": str, "ts_ms": int}
    return _Head(**{name: fields[name] for name, kind in types.items() if type(fields.get(name)) is kind})


def _entry(value: bytes) -> Record:
    try:
        return Record(CATALOG.name, entry_key(decode_entry(value)).encode(), value, None)
    except msgspec.ValidationError:
        return Record(VIEWS.name, None, value, None)
