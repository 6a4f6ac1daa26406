"""Exposures and clicks of the state as Python's own numbers.

To read one field of numpy's row takes longer than to unpack the whole row, and a join reads a dozen.
"""

from typing import NamedTuple

import numpy as np

from streams.state.pool import Pool


class Shown(NamedTuple):
    """A row of ``streams.state.rows.EXPOSURE``."""

    key: int
    ts_ms: int
    user: int
    offset: int
    request_offset: int
    request_slot: int
    clicked: int
    shown: int
    is_ad: int
    learnable: int
    buckets: bytes
    origin: int
    request_origin: int


class Clicked(NamedTuple):
    """A row of ``streams.state.rows.CLICK``."""

    key: int
    ts_ms: int
    user: int
    offset: int
    exposure_offset: int
    request_offset: int
    request_slot: int
    is_ad: int
    shown: int
    learnable: int
    converted: int
    buckets: bytes
    origin: int
    exposure_origin: int
    request_origin: int
    held_until_ms: int


def shown(exposures: Pool, key: int) -> Shown | None:
    """The exposure of a key; None if there is none."""
    fields = exposures.fields(key)
    return None if fields is None else Shown._make(fields)


def clicked(clicks: Pool, key: int) -> Clicked | None:
    """The click of a key; None if there is none."""
    fields = clicks.fields(key)
    return None if fields is None else Clicked._make(fields)


def clicked_of(row: np.void) -> Clicked:
    """A click's row; its ``buckets`` are left out."""
    return Clicked._make(row.item())._replace(buckets=b"")
