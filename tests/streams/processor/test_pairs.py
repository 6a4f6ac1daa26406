"""Rows of the state as Python's own numbers."""

from hypothesis import given
from hypothesis import strategies as st

from streams.processor.pairs import Clicked, Shown, clicked, clicked_of, shown
from streams.state.pool import Pool
from streams.state.rows import CLICK, EXPOSURE

INTEGERS = st.integers(-(2**63), 2**63 - 1)


def test_fields_are_those_of_the_rows() -> None:
    """Their order, too, by which rows are packed."""
    assert EXPOSURE.names == Shown._fields
    assert CLICK.names == Clicked._fields


@given(INTEGERS, INTEGERS, st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
def test_a_row_is_read_as_it_was_written(offset: int, user: int, learnable: int, origin: int) -> None:
    """By key, and from numpy's own view of it, whose buckets are left out."""
    clicks = Pool(b"C", CLICK, 8)
    clicks.put(1, 2, user, offset, -1, -1, 3, True, 4, learnable, 5, b"abcd", origin, 6, 7, 8)
    read = clicked(clicks, 1)
    assert read is not None
    assert (1, 2, user, offset, -1, -1, 3, 1, 4, learnable, 5) == read[:11]
    assert (origin, 6, 7, 8) == read[12:]
    assert b"abcd" == read.buckets[:4]
    assert read._replace(buckets=b"") == clicked_of(clicks[1])


def test_what_is_not_there_is_none() -> None:
    """Neither an exposure nor a click."""
    assert shown(Pool(b"E", EXPOSURE, 8), 1) is None
    assert clicked(Pool(b"C", CLICK, 8), 1) is None
