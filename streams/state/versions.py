"""Layouts that rows of state once had, and how they become the newer ones and back.

The changelog has one version, which rises when the layout of any kind of row changes; a row carries the
version that introduced its kind's layout. To change a layout: move its dtype here, say how its rows become
the new ones (and back, for a roll-back), give the kind the new version in ``streams.state.rows``, and add
a row of the old version to the tests.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]
Migration = Callable[[Rows, np.dtype[Any]], Rows]
"""Rows of one layout and the dtype of the layout beside it -> those rows in that layout."""


class LossError(ValueError):
    """A row cannot be written in an older layout without losing what it says."""


class Older(NamedTuple):
    """A layout that has been replaced."""

    version: int
    dtype: np.dtype[Any]
    upgrade: Migration
    """To the next newer layout of the kind."""
    downgrade: Migration
    """From the next newer layout of the kind; raises ``LossError``."""


def carry(rows: Rows, dtype: np.dtype[Any]) -> Rows:
    """Rows in another layout: fields of the same name as they are, new ones zero, others left out.

    Of an array (the counters) as many elements as both have.
    """
    carried = np.zeros(len(rows), dtype)
    for name in set(rows.dtype.names or ()).intersection(dtype.names or ()):
        if dtype[name].shape == rows.dtype[name].shape:
            carried[name] = rows[name]
        else:
            count = min(dtype[name].shape[0], rows.dtype[name].shape[0])
            carried[name][:, :count] = rows[name][:, :count]
    return carried


def carry_if_zero(*fields: str) -> Migration:
    """``carry`` that refuses to leave out one of these fields where it says something."""

    def carry_whole(rows: Rows, dtype: np.dtype[Any]) -> Rows:
        for field in fields:
            lost = np.count_nonzero(rows[field])
            if lost:
                raise LossError(
                    f"{lost} rows of state say something in `{field}` that version "
                    "`state.write_version` has no room for: set it higher"
                )
        return carry(rows, dtype)

    return carry_whole


_META_1 = np.dtype([("key", "i8"), ("stream_ms", "i8"), ("offsets", "i8", (3,)), ("counters", "i8", (15,))])

_META_2 = np.dtype(
    [
        ("key", "i8"),
        ("stream_ms", "i8"),
        ("offsets", "i8", (3,)),
        ("partitions", "i8"),
        ("counters", "i8", (16,)),
    ]
)

_EXPOSURE_1 = np.dtype(
    [
        ("key", "i8"),
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("request_offset", "i8"),
        ("request_slot", "i4"),
        ("clicked", "u4"),
        ("shown", "i8"),
        ("is_ad", "u4"),
        ("learnable", "u4"),
        ("buckets", "u4", (35,)),
    ],
    align=True,
)

_CLICK_1 = np.dtype(
    [
        ("key", "i8"),
        ("ts_ms", "i8"),
        ("user", "i8"),
        ("offset", "i8"),
        ("exposure_offset", "i8"),
        ("request_offset", "i8"),
        ("request_slot", "i4"),
        ("is_ad", "u4"),
        ("shown", "i8"),
        ("learnable", "u4"),
        ("converted", "u4"),
        ("buckets", "u4", (35,)),
    ],
    align=True,
)

_PURCHASE_1 = np.dtype(
    [
        ("key", "i8"),
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

OLDER: dict[bytes, tuple[Older, ...]] = {
    # The number of partitions is not known of a changelog that never said it, and an older release asks not.
    b"M": (Older(1, _META_1, carry, carry), Older(2, _META_2, carry, carry)),
    # Before `headrace repartition` no row came from another partition.
    b"E": (Older(1, _EXPOSURE_1, carry, carry_if_zero("origin", "request_origin")),),
    b"C": (Older(1, _CLICK_1, carry, carry_if_zero("origin", "exposure_origin", "request_origin")),),
    b"O": (Older(1, _PURCHASE_1, carry, carry_if_zero("origin")),),
}
"""By kind, oldest first; a kind that is not here has had one layout."""


def upgrade(kind: bytes, version: int, rows: Rows, newest: np.dtype[Any]) -> Rows:
    """Rows of an older version in the newest layout of their kind."""
    steps = [older for older in OLDER.get(kind, ()) if older.version >= version]
    dtypes = [*(step.dtype for step in steps), newest]
    for step, dtype in zip(steps, dtypes[1:], strict=True):
        rows = step.upgrade(rows, dtype)
    return rows


def downgrade(kind: bytes, version: int, rows: Rows) -> Rows:
    """Rows of the newest layout in the layout of an older version; raises ``LossError``."""
    for step in reversed([older for older in OLDER.get(kind, ()) if older.version >= version]):
        rows = step.downgrade(rows, step.dtype)
    return rows
