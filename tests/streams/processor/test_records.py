import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import FEATURES
from streams.processor.examples import CTR, EXAMPLE_TEXT, NEGATIVE, learn
from streams.processor.records import (
    CLICKED,
    EVENT,
    EXPOSED,
    FIRST_RECORDS,
    FIRST_TEXT,
    ORDER_NAMES,
    OUTCOME,
    PROFILE_ROW,
    RESERVE,
    UNFOUNDED,
    Records,
    Told,
    followed,
    has_room,
    name,
    tell,
    unfounded,
)
from streams.state.books import COUNT, FOLLOWED, LEARNED, NAMED, REPEATS, SIZE, TEXT, TOLD, new_books
from streams.state.rows import CLICK, NOBODY

KINDS = TOLD, FOLLOWED, LEARNED, NAMED
BUCKETS = np.arange(len(FEATURES), dtype=np.uint32)


def a_click(**numbers):
    """A row of the pool of clicks."""
    row = np.zeros(1, CLICK)
    for field, number in numbers.items():
        row[field] = number
    return row[0]


def test_rows_are_read_as_they_are_laid_out():
    """``Told`` has the fields of the array, in their order."""
    assert OUTCOME.names == Told._fields


def test_outcomes_come_back_in_the_order_in_which_they_were_told():
    """Exposures by the number of their event, all else by a row that says the rest."""
    held = Records(new_books())
    row = a_click(user=5, shown=6, is_ad=1, request_offset=7, request_slot=8, exposure_offset=9)
    row["exposure_origin"], row["request_origin"] = 2, 3
    tell(held.books, EXPOSED, 11, 4)
    followed(held.books, CLICKED, 1, 12, 13, EVENT, 14, row, 15, 16, 0)
    tell(held.books, EXPOSED, 17, 0)
    unfounded(held.books, 2, 18, 19, NOBODY, EVENT, 20, 3)
    told, rows = held.outcomes()
    assert [[EXPOSED, 11, 4], [CLICKED, 0, 0], [EXPOSED, 17, 0], [UNFOUNDED, 1, 3]] == told
    first, second = map(Told._make, rows)
    assert Told(CLICKED, EVENT, 14, 0, 1, 12, 13, 0, 6, 1, 7, 8, 3, 9, 2, 15, 16) == first
    assert (UNFOUNDED, EVENT, 20, 3, 2, 18, 19, 1) == second[:8]
    assert (0, 0) == (second.delay_ms, second.revenue_micros)


def test_rows_that_need_texts_are_named():
    """What, slot and event, in order; and nothing is left once it has been written."""
    held = Records(new_books())
    name(held.books, PROFILE_ROW, 3, 4)
    name(held.books, ORDER_NAMES, 5, 6)
    assert [[PROFILE_ROW, 3, 4], [ORDER_NAMES, 5, 6]] == held.named()
    tell(held.books, EXPOSED, 1, 0)
    held.clear()
    assert ([], ([], []), [], b"") == (held.named(), held.outcomes(), held.examples(), held.text())


@pytest.mark.parametrize("kind", KINDS)
@given(left=st.integers(0, 200), waiting=st.integers(0, 100))
def test_there_is_room_for_an_event_and_all_repeats_that_wait(kind, left, waiting):
    """Of each kind of record, or there is said to be none."""
    held = Records(new_books())
    held.books[kind, COUNT] = held.books[kind, SIZE] - left
    held.books[REPEATS, COUNT] = waiting
    assert (left >= RESERVE + waiting) == has_room(held.books)


@given(st.integers(0, 2 * RESERVE * EXAMPLE_TEXT))
def test_there_is_room_for_the_examples_of_an_event(left):
    """As text."""
    held = Records(new_books())
    held.books[TEXT, COUNT] = held.books[TEXT, SIZE] - left
    assert (left >= RESERVE * EXAMPLE_TEXT) == has_room(held.books)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=4))
def test_room_is_made_for_repeats_that_wait(waiting):
    """Before anything is told there is room for all of them, whatever there was room for before."""
    held = Records(new_books())
    assert {FIRST_RECORDS} == set(held.books[KINDS, SIZE].tolist())
    for count in waiting:
        held.reserve(count)
        held.books[REPEATS, COUNT] = count
        assert has_room(held.books)
        learn(held.books, CTR, 0, 7, NEGATIVE, 0, 0, 0, 1.0, 0, BUCKETS)
        assert [len(held.text())] == [end for _, _, _, end, _, _ in held.examples()]
        held.clear()
    assert min(held.books[KINDS, SIZE]) >= FIRST_RECORDS + max(waiting)
    assert FIRST_TEXT == held.books[TEXT, SIZE]
