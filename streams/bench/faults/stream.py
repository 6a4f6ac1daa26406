"""The standard mix in bad weather: twice, late, out of order, and with bytes that are no events."""

import re
from collections.abc import Mapping
from random import Random

from msgspec import Struct
from msgspec.json import encode

from schemas.events import Purchase, Refund, decode_purchase
from schemas.topics import CLICKS, PURCHASES, VIEWS
from streams.bench.mix import Mix, Record

DUPLICATE_SHARE, OUT_OF_ORDER_SHARE, POISON_SHARE = 0.02, 0.05, 0.001
REFUND_SHARE = 0.1
"""Of the purchases; half of them are paid back in part, which the standard mix leaves out."""
REFUNDED_AFTER_MS = 120_000
SHIFT_MS = 8_000
"""An event comes so much too late, at most; all runs have a longer lateness horizon."""
COPIED_AFTER_MS = 60_000
CHUNKS_A_PARTITION, CHUNK = 2, 100
"""Stretches that a producer sends a second time, as one does that was restarted and knows of no first."""
SKEW_MS = 3_600_000

POISON = (
    b"", b"{", b"\xff\x00", b"null", b'"view"', b"[" * 2000, b'{"type":"view"}', b'{"type":"unheard-of"}',
    b'{"event_id":1,"user_id":"u1","ts_ms":0}',
    b'{"type":"view","event_id":"e1","user_id":"u1","ts_ms":"yesterday","page":"home"}',
    b'{"type":"view","event_id":"' + b"e" * 2000 + b'","user_id":"u1","ts_ms":1748851200000,"page":"home"}',
    b'{"type":"purchase","event_id":"e1","user_id":"u1","ts_ms":1748851200000,"order_id":"o1",'
    b'"amount_micros":NaN,"lines":[]}',
)  # fmt: skip

_DECISION_ID = re.compile(rb'"decision_id":"views-(\d+)-(\d+)-')


class Disturbances(Struct, frozen=True):
    """What was done to the stream."""

    events: int
    """Records in all, with what was added."""
    duplicates: int
    resent: int
    """Duplicates too: records in chunks that came twice."""
    out_of_order: int
    poison: int
    skewed_purchases: int
    refunds: int


class Stream(Struct, frozen=True):
    """A disturbed mix, in the order in which it is to lie on each partition."""

    mix: Mix
    """The third field of its records is when they come."""
    disturbances: Disturbances


def disturb(mix: Mix, seed: int, skewed: bool) -> Stream:
    """Disturb a mix; the same arguments give the same bytes.

    With ``skewed`` the purchases of each partition come some time too late, up to an hour of event time, but
    in their order: of two orders beyond the lateness horizon the first to come is the click's conversion.
    Exposures and clicks name the decisions that will be made: offsets that move are followed.
    """
    random = Random(seed)
    counts = dict.fromkeys(Disturbances.__struct_fields__, 0)
    records: dict[tuple[str, int], list[Record]] = {}
    moved: dict[int, dict[int, int]] = {}
    for (topic, partition), rows in sorted(mix.records.items()):
        lag_ms = random.randrange(SKEW_MS) if skewed and topic == PURCHASES.name else 0
        counts["skewed_purchases"] += len(rows) if lag_ms else 0
        ordered = _resend(random, _scatter(random, topic, rows, lag_ms, counts), counts)
        records[topic, partition] = [record for _, record in ordered]
        if topic == VIEWS.name:
            first: dict[int, int] = {}
            for offset, (place, _) in enumerate(ordered):
                first.setdefault(place, offset)
            moved[partition] = first
    for (topic, _), rows in records.items():
        if topic in (VIEWS.name, CLICKS.name):
            rows[:] = [(key, _renamed(value, moved), comes_ms) for key, value, comes_ms in rows]
    counts["events"] = sum(map(len, records.values()))
    return Stream(Mix(mix.catalog, records), Disturbances(**counts))


Placed = list[tuple[int, Record]]
"""Records with their place in the mix, or ``NEW``."""
NEW = -1


def _scatter(random: Random, topic: str, rows: list[Record], lag_ms: int, counts: dict[str, int]) -> Placed:
    """Shift some, copy some, add refunds and poison; in the order in which they come."""
    placed: Placed = []
    for place, (key, value, ts_ms) in enumerate(rows):
        comes_ms = ts_ms + lag_ms
        if random.random() < OUT_OF_ORDER_SHARE and not lag_ms:
            comes_ms += random.randrange(SHIFT_MS)
            counts["out_of_order"] += 1
        placed.append((place, (key, value, comes_ms)))
        if topic == PURCHASES.name and random.random() < REFUND_SHARE:
            after_ms = random.randrange(REFUNDED_AFTER_MS)
            refund = _refund(value, ts_ms + after_ms, random.choice((1, 2)))
            placed.append((NEW, (key, refund, comes_ms + after_ms)))
            counts["refunds"] += 1
        if random.random() < DUPLICATE_SHARE:
            placed.append((place, (key, value, comes_ms + random.randrange(COPIED_AFTER_MS))))
            counts["duplicates"] += 1
        if random.random() < POISON_SHARE:
            placed.append((NEW, (key, random.choice(POISON), comes_ms)))
            counts["poison"] += 1
    return sorted(placed, key=lambda each: each[1][2])


def _refund(value: bytes, ts_ms: int, part: int) -> bytes:
    """A refund of an order, or of one ``part`` of it."""
    order = decode_purchase(value)
    assert isinstance(order, Purchase)
    return encode(
        Refund(
            event_id=f"r-{order.event_id}",
            user_id=order.user_id,
            ts_ms=ts_ms,
            order_id=order.order_id,
            amount_micros=order.amount_micros // part,
            currency=order.currency,
        )
    )


def _resend(random: Random, placed: Placed, counts: dict[str, int]) -> Placed:
    """Repeat some stretches right behind themselves."""
    for _ in range(CHUNKS_A_PARTITION):
        start = random.randrange(len(placed))
        chunk = placed[start : start + CHUNK]
        comes_ms = chunk[-1][1][2]
        again = [(place, (key, value, comes_ms)) for place, (key, value, _) in chunk]
        placed[start + len(chunk) : start + len(chunk)] = again
        counts["resent"] += len(chunk)
    return placed


def _renamed(value: bytes, moved: Mapping[int, Mapping[int, int]]) -> bytes:
    def renamed(found: re.Match[bytes]) -> bytes:
        partition, place = int(found[1]), int(found[2])
        return b'"decision_id":"views-%d-%d-' % (partition, moved[partition][place])

    return _DECISION_ID.sub(renamed, value)
