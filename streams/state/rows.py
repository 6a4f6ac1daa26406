"""The rows of a partition's state and how they are written to the changelog.

A changelog record has the key ``<kind byte><63-bit key>`` and the value ``<version byte><row><checksum>``;
a record without a value deletes the row. All numbers are little-endian. Rows of older versions are read as
``streams.state.versions`` says.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from models.features import CONTEXT, FEATURES
from models.hashing import mix
from models.profiles import PROFILE
from streams.state.versions import OLDER, downgrade, upgrade

COUNTERS = (
    "events", "views", "exposures", "clicks", "ad_clicks", "purchases", "refunds", "duplicates", "late",
    "dead_letters", "slots", "decisions", "unmatched_exposures", "unmatched_clicks", "overflowed",
    "unmatched_refunds", "contextual", "claims", "transfers", "merges", "invalid_impossible_timing",
    "invalid_rate", "invalid_no_exposure", "invalid_no_decision", "invalid_repeated", "invalid_no_page_view",
)  # fmt: skip
"""What a partition counts, exactly once an event."""

CHECKED_AT_ONCE = 512
"""Rows whose checksums are made together: of profiles 220 kB, which a core's cache holds."""

NOBODY = 0
"""In place of a user's key, in rows of whoever has not agreed to a profile."""
NO_OFFSET = -1
"""Of a partner that has not come; of a request: another system had chosen."""

META = np.dtype(
    [
        ("key", "i8"),  # identity of the input topics; 0: the contract's. There is one such row
        ("stream_ms", "i8"),
        ("offsets", "i8", (3,)),  # next offset to read of views, clicks, purchases
        ("partitions", "i8"),  # of the input topics when it was written; 0: not known
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

# An origin says which partition an offset is of: 0 this one, or else its number + 1. Only `headrace
# repartition` moves rows to another partition, and names are made of partition and offset for ever.

EXPOSURE = np.dtype(
    [
        ("key", "i8"),  # of the user with the decision's identity, or with the foreign exposure's event_id
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("request_offset", "i8"),  # of our decision; -1 for another system's choice
        ("request_slot", "i4"),
        ("clicked", "u4"),  # times that this has changed: odd is clicked, above 1 a click was credited
        ("shown", "i8"),  # stable key of the ad or promotion
        ("is_ad", "u4"),
        ("learnable", "u4"),
        ("buckets", "u4", (len(FEATURES),)),
        ("origin", "u2"),  # of the exposure
        ("request_origin", "u2"),
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
        ("converted", "u4"),  # orders that it earned and that are not wholly paid back
        ("buckets", "u4", (len(FEATURES),)),
        ("origin", "u2"),  # of the click
        ("exposure_origin", "u2"),
        ("request_origin", "u2"),
        ("held_until_ms", "i8"),  # for refunds of those orders
    ],
    align=True,
)
"""A click whose exposure (out of order) or whose order may come."""

PURCHASE = np.dtype(
    [
        ("key", "i8"),  # of the user with the order's id
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("revenue_micros", "i8"),
        ("shop_id", "U64"),
        ("user_id", "U64"),
        ("order_id", "U64"),
        ("origin", "u2"),
        ("settled", "u4"),
        ("click", "i8"),  # key of the one that earned it; until it is settled, whose verdict it waits for
        ("refunded_micros", "i8"),
    ],
    align=True,
)
"""An order that waits until every click that can have earned it has come, and then for refunds."""

REFUND = np.dtype(
    [
        ("key", "i8"),  # of the user with the event's id
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("order", "i8"),  # key of the order
        ("amount_micros", "i8"),
        ("origin", "u2"),
    ],
    align=True,
)
"""A refund that waits out the lateness horizon, so that its order has come and is settled."""

LINK = np.dtype(
    [
        ("key", "i8"),  # of the user with the anonymous id
        ("ts_ms", "i8"),  # of the login that asked for what was known of it
        ("user", "i8"),
    ]
)
"""A login that need not ask again for a while."""

READ = np.dtype([("key", "i8"), ("offset", "i8")])
"""Next offset to read of `headrace-identities`; there is one such row, with key 0."""

CLICKER = np.dtype(
    [
        ("key", "i8"),  # of the user with the pane
        ("ts_ms", "i8"),  # beginning of the pane
        ("user", "i8"),
        ("clicks", "i8"),  # on ads and promotions
        ("shop_id", "U64"),
        ("user_id", "U64"),
    ],
    align=True,
)
"""How often a user has clicked within a pane of time, half a window of `validity`, until it is judged."""

REPEAT = np.dtype(
    [
        ("key", "i8"),  # of the user with the event's id
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("click", "i8"),  # key of the click that is in its place
        ("origin", "u2"),
    ],
    align=True,
)
"""A click on what the user has clicked already, until there is a verdict on that click."""

EVENT_ID = np.dtype([("key", "i8"), ("ts_ms", "i8")])
"""An event id that was seen; many of them make one changelog record."""


class Kind(NamedTuple):
    """A kind of row."""

    name: str
    """In the plural, for messages."""
    dtype: np.dtype[Any]
    version: int
    """The changelog's version that brought this layout."""


KINDS = {
    b"M": Kind("positions", META, 3),
    b"P": Kind("profiles", PROFILE, 1),
    b"R": Kind("requests", REQUEST, 1),
    b"E": Kind("exposures", EXPOSURE, 2),
    b"C": Kind("clicks", CLICK, 2),
    b"O": Kind("orders", PURCHASE, 2),
    b"F": Kind("refunds", REFUND, 2),
    b"L": Kind("links", LINK, 3),
    b"T": Kind("identity positions", READ, 3),
    b"W": Kind("clickers", CLICKER, 3),
    b"D": Kind("repeated clicks", REPEAT, 3),
    b"I": Kind("event ids", EVENT_ID, 1),
}
NEWEST_VERSION = max(kind.version for kind in KINDS.values())
"""Of the changelog: what ``state.write_version`` is by default."""
_VERSION_OF = {kind.dtype: kind.version for kind in KINDS.values()}

Rows = npt.NDArray[Any]
Record = tuple[bytes, bytes | None]
"""Key and value of a changelog record."""


class ChangelogError(ValueError):
    """A changelog record was written by a newer release, or is damaged."""

    def __init__(self, reason: str, value: bytes | memoryview) -> None:
        super().__init__(reason)
        self.value = value
        """Of the record."""


def encode_key(kind: bytes, key: int) -> bytes:
    """Changelog key of a row."""
    return kind + key.to_bytes(8, "little")


META_KEY = encode_key(b"M", 0)
"""Of a partition's one row of positions and counters."""


READ_KEY = encode_key(b"T", 0)
"""Of a partition's one row of how far it has read `headrace-identities`."""


def encode_rows(rows: Rows) -> list[bytes]:
    """Changelog values of rows in the newest layout of their kind, one each."""
    return _encode(rows, _VERSION_OF[rows.dtype])


def encode_block(rows: Rows) -> bytes:
    """Changelog value of many small rows together."""
    return _framed_rows(rows, _VERSION_OF[rows.dtype]).tobytes()


def decode_rows(kind: bytes, values: Iterable[bytes | memoryview]) -> Rows:
    """Rows of many changelog values of one kind, or of blocks, in the kind's newest layout.

    Raises ``ChangelogError`` where a value has a newer version, a wrong size or a wrong checksum.
    """
    values = list(values)
    versions = {bytes(value[:1]) for value in values}
    if len(versions) == 1:
        return _decode(kind, values)
    parts, places = [np.zeros(0, KINDS[kind].dtype)], [np.zeros(0, np.int64)]
    for version in versions:
        indices = [index for index, value in enumerate(values) if bytes(value[:1]) == version]
        of_version = [values[index] for index in indices]
        parts.append(_decode(kind, of_version))
        size = len(b"".join(of_version)) // len(parts[-1])
        places.append(np.repeat(indices, [len(value) // size for value in of_version]))
    return np.concatenate(parts)[np.argsort(np.concatenate(places), kind="stable")]


def in_version(records: Iterable[Record], version: int) -> list[Record]:
    """Changelog records of the newest layouts in those of an older version, which its release can read.

    Raises ``LossError`` where they have no room for what a row says.
    """
    kept = list(records)
    for kind, (_, _, newest) in KINDS.items():
        older = layout_version(kind, version)
        places = [i for i, (key, value) in enumerate(kept) if key[:1] == kind and value is not None]
        if older == newest or not places:
            continue
        rows = decode_rows(kind, [value for i in places if (value := kept[i][1]) is not None])
        values = _encode(downgrade(kind, older, rows), older)
        for place, value in zip(places, values, strict=True):
            kept[place] = kept[place][0], value
    return kept


def layout_version(kind: bytes, version: int) -> int:
    """The version that rows of a kind carry in a changelog of some version; a kind's first if it is newer."""
    versions = [KINDS[kind].version, *(older.version for older in OLDER.get(kind, ()))]
    return max((each for each in versions if each <= version), default=min(versions))


def _framed_rows(rows: Rows, version: int) -> Rows:
    framed = np.zeros(len(rows), _framed(rows.dtype))
    framed["version"] = version
    framed["row"] = rows
    framed["checksum"] = _checksums(framed, version)
    return framed


def _encode(rows: Rows, version: int) -> list[bytes]:
    framed = _framed_rows(rows, version)
    whole, size = framed.tobytes(), framed.itemsize
    return [whole[i : i + size] for i in range(0, len(whole), size)]


def _decode(kind: bytes, values: Sequence[bytes | memoryview]) -> Rows:
    """Rows of values that have one version."""
    name, newest_dtype, newest = KINDS[kind]
    version = values[0][0] if values[0] else 0
    layouts = {older.version: older.dtype for older in OLDER.get(kind, ())} | {newest: newest_dtype}
    if version > newest:
        raise ChangelogError(
            f"{name}: expected version {newest} or older, got {version} of a newer release: run that one; "
            "to go back to this release, stop all workers and let the newer one write all rows anew by "
            f"`headrace --set state.write_version={NEWEST_VERSION} repartition`",
            values[0],
        )
    framed_dtype = _framed(layouts.get(version, newest_dtype))
    size = framed_dtype.itemsize
    for value in values:
        if not value or len(value) % size:
            raise ChangelogError(
                f"{name}: expected multiples of {size} bytes, got {len(value)}: the record is damaged", value
            )
    framed = np.frombuffer(values[0] if len(values) == 1 else b"".join(values), framed_dtype)
    wrong = framed["version"] != version
    wrong |= framed["checksum"] != _checksums(framed, version)
    if version not in layouts or wrong.any():
        ends = np.cumsum([len(value) // size for value in values])
        value = values[int(np.searchsorted(ends, np.argmax(wrong), side="right"))]
        raise ChangelogError(f"{name}: the checksum does not match the row: the record is damaged", value)
    return upgrade(kind, version, np.ascontiguousarray(framed["row"]), newest_dtype)


def _framed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype([("version", "u1"), ("row", dtype), ("checksum", "u4")])


def _checksums(framed: Rows, version: int) -> npt.NDArray[np.uint32]:
    """One checksum a row, of its bytes as they are stored, from version 2 on of its version, too.

    By bytes, because a copy of a row by numpy need not keep its padding; a few rows at a time, because a copy
    of all would cost as much as the checksums.
    """
    whole = framed.view(np.uint8).reshape(len(framed), framed.dtype.itemsize)
    seed = framed.dtype["row"].itemsize + (version << 32 if version > 1 else 0)
    out = np.empty(len(framed), np.uint32)
    for start in range(0, len(framed), CHECKED_AT_ONCE):
        stored = np.ascontiguousarray(whole[start : start + CHECKED_AT_ONCE, 1:-4])
        _mix_rows(stored.view(np.uint64), seed, out[start:])
    return out


@njit(cache=True)
def _mix_rows(words: npt.NDArray[np.uint64], seed: int, out: npt.NDArray[np.uint32]) -> None:
    """Of each row its words, mixed in order; four rows side by side, so that none waits for its last word."""
    rows, size = words.shape
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        a = b = c = d = np.uint64(seed)
        for j in range(size):
            a = mix(a ^ words[i, j])
            b = mix(b ^ words[i + 1, j])
            c = mix(c ^ words[i + 2, j])
            d = mix(d ^ words[i + 3, j])
        out[i], out[i + 1], out[i + 2], out[i + 3] = np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)
    for i in range(whole, rows):
        a = np.uint64(seed)
        for j in range(size):
            a = mix(a ^ words[i, j])
        out[i] = np.uint32(a)
