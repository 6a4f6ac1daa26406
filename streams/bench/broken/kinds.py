"""The kinds of broken records: each is refused by the contract, whatever came before it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

STRANGER = "stranger"
"""The user of all broken records: nobody else's profile may be touched by one that slips through."""
TS_MS = 1_748_851_200_000

VIEW: dict[str, Any] = {
    "type": "view", "event_id": "b1", "user_id": STRANGER, "ts_ms": TS_MS, "page": "home", "shop_id": "main",
    "session_id": "s1", "item_id": "i1", "category": "shoes", "price_micros": 1, "device": "phone",
    "country": "DE", "segments": ["new"], "slots": [{"slot_id": "top", "kind": "ad", "position": 1}],
}  # fmt: skip
EXPOSURE: dict[str, Any] = {
    "type": "exposure", "event_id": "b2", "user_id": STRANGER, "ts_ms": TS_MS, "shop_id": "main",
    "session_id": "s1", "ad_id": "a1", "propensity": 0.5, "slot_id": "top", "position": 1, "page": "home",
    "category": "shoes", "device": "phone", "country": "DE", "segments": ["new"],
}  # fmt: skip
CLICK: dict[str, Any] = {
    "type": "click", "event_id": "b3", "user_id": STRANGER, "ts_ms": TS_MS, "kind": "ad", "shop_id": "main",
    "session_id": "s1", "exposure_id": "b2", "ad_id": "a1", "item_id": "i1", "category": "shoes",
    "price_micros": 1,
}  # fmt: skip
PURCHASE: dict[str, Any] = {
    "type": "purchase", "event_id": "b4", "user_id": STRANGER, "ts_ms": TS_MS, "order_id": "o1",
    "amount_micros": 5, "shop_id": "main", "session_id": "s1", "currency": "EUR", "coupon_id": "c1",
    "discount_micros": 1,
    "lines": [{"item_id": "i1", "quantity": 1, "unit_price_micros": 5, "category": "shoes"}],
}  # fmt: skip
REFUND: dict[str, Any] = {
    "type": "refund", "event_id": "b5", "user_id": STRANGER, "ts_ms": TS_MS, "order_id": "o1",
    "amount_micros": 5, "shop_id": "main", "currency": "EUR",
}  # fmt: skip

TEMPLATES: dict[str, tuple[int, dict[str, Any]]] = {
    "view": (0, VIEW),
    "exposure": (0, EXPOSURE),
    "click": (1, CLICK),
    "purchase": (2, PURCHASE),
    "refund": (2, REFUND),
}
"""By type: the place of its topic in ``schemas.topics.INPUTS``, and an event that is in order."""

REQUIRED = {
    "view": ("type", "event_id", "user_id", "ts_ms", "page"),
    "exposure": ("type", "event_id", "user_id", "ts_ms", "ad_id", "propensity"),
    "click": ("event_id", "user_id", "ts_ms", "kind", "exposure_id"),
    "purchase": ("type", "event_id", "user_id", "ts_ms", "order_id", "amount_micros", "lines"),
    "refund": ("type", "event_id", "user_id", "ts_ms", "order_id", "amount_micros"),
}
"""What each type cannot do without; a topic of one type needs no ``type``."""

LONG = 65
HUGE = 10_000_000
DEEP = 100_000

WRONG_TYPES: dict[type, tuple[Any, ...]] = {
    str: (None, 1, True, [], {}, "x" * LONG),
    int: (None, "1", 1.5, True, [], {}, -1, 10**30),
    float: (None, "0.5", [], -0.5, 0.0, 1.5),
    list: (None, "x", 1, {}, [None], [1]),
}
WRONG_TIMES = (0, 1, TS_MS // 1000, 4_102_444_800_001, "2025-06-02T08:00:00Z")
WRONG_VALUES: dict[str, tuple[Any, ...]] = {
    "type": ("", "unknown", "VIEW"),
    "event_id": ("",),
    "user_id": ("",),
    "shop_id": ("",),
    "order_id": ("",),
    "page": ("", "Home", "landing"),
    "kind": ("", "banner"),
    "currency": ("eur", "EURO", "€", "E1R"),
    "position": (1001,),
    "segments": (["a"] * 5, ["x" * LONG]),
    "slots": (
        [{"slot_id": "top"}] * 17, [{}], [{"slot_id": ""}], [{"slot_id": "top", "kind": "video"}],
        [{"slot_id": "top", "position": -1}],
    ),
    "lines": (
        [], [{"item_id": "i1", "quantity": 1, "unit_price_micros": 5}] * 1001,
        *([PURCHASE["lines"][0] | {name: value}] for name, value in (
            ("item_id", ""), ("item_id", None), ("quantity", 0), ("quantity", -1), ("quantity", 1.5),
            ("unit_price_micros", -5), ("unit_price_micros", "5"), ("unit_price_micros", 10**16),
            ("category", 7),
        )),
    ),
}  # fmt: skip


class Kind(NamedTuple):
    """One kind of broken record."""

    name: str
    topic: int
    """Place in ``schemas.topics.INPUTS``."""
    value: bytes


def kinds() -> Iterator[Kind]:
    """All of them, in a fixed order.

    >>> len(list(kinds())) > 400
    True
    """
    for event, (topic, template) in TEMPLATES.items():
        for name, value in _broken_fields(event, template):
            yield Kind(f"{event}: {name}", topic, value)
        for name, value in _broken_bytes(orjson.dumps(template)):
            yield Kind(f"{event}: {name}", topic, value)
    for event, (topic, template) in TEMPLATES.items():
        for other, (other_topic, _) in TEMPLATES.items():
            if topic != other_topic:
                yield Kind(f"{event} on the topic of {other}", other_topic, orjson.dumps(template))
    both, neither = EXPOSURE | {"promotion_id": "p1"}, CLICK | {"exposure_id": ""}
    yield Kind("exposure: of an ad and of a promotion", 0, orjson.dumps(both))
    yield Kind("click: on nothing that was shown", 1, orjson.dumps(neither))


def _broken_fields(event: str, template: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for field in REQUIRED[event]:
        yield f"no {field}", orjson.dumps({name: template[name] for name in template if name != field})
    for field, right in template.items():
        if field == "type" and event == "click":
            continue  # one type, which needs no name
        wrong = WRONG_TYPES[type(right)] + WRONG_VALUES.get(field, ())
        if field == "ts_ms":
            wrong += WRONG_TIMES
        for value in wrong:
            if field == "propensity" and value is None:
                continue  # says the same as nothing: no propensity
            yield f"{field} = {_shown(value)}", _dumps(template, field, value)
        yield f"{field} = NaN", _raw(template, field, b"NaN")
        yield f"{field} = Infinity", _raw(template, field, b"Infinity")
        yield f"{field} = 1e999", _raw(template, field, b"1e999")


def _broken_bytes(value: bytes) -> Iterator[tuple[str, bytes]]:
    for eighth in range(8):
        yield f"cut at {eighth}/8", value[: len(value) * eighth // 8]
    yield "without its end", value[:-1]
    yield "blanks", b"   "
    yield "null", b"null"
    yield "an array of it", b"[" + value + b"]"
    yield "a text of it", orjson.dumps(value.decode())
    yield "twice", value + value
    yield "with something behind it", value + b"x"
    yield "with a comment", b"/* shop */" + value
    yield "in single quotes", value.replace(b'"', b"'")
    yield "with a byte order mark", b"\xef\xbb\xbf" + value
    yield "in UTF-16", value.decode().encode("utf-16")
    yield "with a NUL before it", b"\x00" + value
    yield "not UTF-8", value.replace(STRANGER.encode(), b"\xff\xfe")
    yield "with half a surrogate", value.replace(STRANGER.encode(), b"\\ud800")
    yield "with a broken escape", value.replace(STRANGER.encode(), b"\\x41")
    yield "with a line break in a text", value.replace(STRANGER.encode(), b"a\nb")
    yield "compressed", b"\x1f\x8b\x08\x00" + value
    yield "nested deeply", b'{"type":' + b"[" * DEEP + b"]" * DEEP + b"}"
    yield "nested deeply in what is unknown", value[:-1] + b',"more":' + b"[" * DEEP + b"]" * DEEP + b"}"
    yield "10 MB of text", value.replace(STRANGER.encode(), b"x" * HUGE)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 2 * LONG else f"{shown[:LONG]}... ({len(value)})"


def _dumps(template: dict[str, Any], field: str, value: Any) -> bytes:
    if isinstance(value, int) and abs(value) >= 2**64:
        return _raw(template, field, str(value).encode())
    return orjson.dumps(template | {field: value})


def _raw(template: dict[str, Any], field: str, value: bytes) -> bytes:
    return orjson.dumps(template | {field: "\x01"}).replace(b'"\\u0001"', value)
