"""The rows of a partition's state and how they are written to the changelog.

A changelog record has the key ``<kind byte><63-bit key>`` and the value ``<version byte><row><checksum>``;
a record without a value deletes the row. All numbers are little-endian.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.features import CONTEXT, FEATURES
from models.hashing import mix
from models.profiles import PROFILE

VERSION = 1
"""Of the layout of every row below; raise it when one changes."""

COUNTERS = (
    "events", "views", "exposures", "clicks", "ad_clicks", "purchases", "refunds", "duplicates", "late",
    "dead_letters", "slots", "decisions", "unmatched_exposures", "unmatched_clicks", "overflowed",
)  # fmt: skip
"""What a partition counts, exactly once an event."""

META = np.dtype(
    [
        ("key", "i8"),
        ("stream_ms", "i8"),
        ("offsets", "i8", (3,)),  # next offset to read of views, clicks, purchases
        ("counters", "i8", (len(COUNTERS),)),
    ]
)

REQUEST = np.dtype(
    [
        ("key", "i8"),  # of the decision's identity
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("context", "u4", (len(CONTEXT),)),
    ],
    align=True,
)
"""A decision that was asked for and whose exposure may come: what was known when it was made."""

EXPOSURE = np.dtype(
    [
        ("key", "i8"),  # of the user with the decision's identity, or with the foreign exposure's event_id
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("request_offset", "i8"),  # of our decision; -1 for another system's choice
        ("request_slot", "i4"),
        ("clicked", "u4"),
        ("shown", "i8"),  # stable key of the ad or promotion
        ("is_ad", "u4"),
        ("learnable", "u4"),
        ("buckets", "u4", (len(FEATURES),)),
    ],
    align=True,
)
"""An exposure whose click may come."""

CLICK = np.dtype(
    [
        ("key", "i8"),  # as in EXPOSURE
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("exposure_offset", "i8"),  # -1 until the exposure has come
        ("request_offset", "i8"),
        ("request_slot", "i4"),
        ("is_ad", "u4"),
        ("shown", "i8"),
        ("learnable", "u4"),
        ("converted", "u4"),
        ("buckets", "u4", (len(FEATURES),)),
    ],
    align=True,
)
"""A click whose exposure (out of order) or whose order may come."""

PURCHASE = np.dtype(
    [
        ("key", "i8"),  # of the order
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("revenue_micros", "i8"),
        ("shop_id", "U64"),
        ("user_id", "U64"),
        ("order_id", "U64"),
    ],
    align=True,
)
"""An order that waits out the lateness horizon, so that every click that can earn it has come."""

EVENT_ID = np.dtype([("key", "i8"), ("ts_ms", "i8")])
"""An event id that was seen; many of them make one changelog record."""

KINDS = {
    b"M": META,
    b"P": PROFILE,
    b"R": REQUEST,
    b"E": EXPOSURE,
    b"C": CLICK,
    b"O": PURCHASE,
    b"I": EVENT_ID,
}

Rows = npt.NDArray[Any]


class ChangelogError(ValueError):
    """A changelog record was written by another version, or is damaged."""


def encode_key(kind: bytes, key: int) -> bytes:
    """Changelog key of a row."""
    return kind + key.to_bytes(8, "little")


def encode_rows(rows: Rows) -> list[bytes]:
    """Changelog values of rows, one each."""
    framed = np.zeros(len(rows), _framed(rows.dtype))
    framed["version"] = VERSION
    framed["row"] = rows
    framed["checksum"] = _checksums(_stored(framed))
    whole, size = framed.tobytes(), framed.itemsize
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def encode_block(rows: Rows) -> bytes:
    """Changelog value of many small rows together."""
    return b"".join(encode_rows(rows))


def decode_rows(kind: bytes, values: Iterable[bytes]) -> Rows:
    """Rows of many changelog values of one kind, or of blocks.

    Raises ``ChangelogError`` where a value has another version, another size or a wrong checksum.
    """
    dtype = KINDS[kind]
    framed_dtype = _framed(dtype)
    size = framed_dtype.itemsize
    values = list(values)
    for value in values:
        if not value or len(value) % size:
            raise ChangelogError(
                f"changelog rows of kind {kind!r}: expected multiples of {size} bytes, got {len(value)}"
            )
    framed = np.frombuffer(b"".join(values), framed_dtype)
    if (framed["version"] != VERSION).any():
        other = framed["version"][framed["version"] != VERSION][0]
        raise ChangelogError(f"changelog rows of kind {kind!r}: expected version {VERSION}, got {other}")
    if (framed["checksum"] != _checksums(_stored(framed))).any():
        raise ChangelogError(f"changelog rows of kind {kind!r}: a checksum does not match its row")
    return np.ascontiguousarray(framed["row"])


def _framed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype([("version", "u1"), ("row", dtype), ("checksum", "u4")])


def _stored(framed: Rows) -> npt.NDArray[np.uint8]:
    """The bytes of each row as they are stored: a copy of a row by numpy need not keep its padding."""
    whole = framed.view(np.uint8).reshape(len(framed), framed.dtype.itemsize)
    return np.ascontiguousarray(whole[:, 1:-4])


@njit(cache=True)
def _checksums(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """One checksum a row: its 8-byte words, mixed in order; every row's size is a multiple of 8."""
    out = np.empty(len(rows), np.uint32)
    for i in range(len(rows)):
        state = np.uint64(rows.shape[1])
        words = rows[i].view(np.uint64)
        for j in range(len(words)):
            state = mix(state ^ words[j])
        out[i] = np.uint32(state & np.uint64(0xFFFFFFFF))
    return out
