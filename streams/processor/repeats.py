"""Clicks on what has been clicked already: the next one counts if the one in its place is invalid."""

import numpy as np
from numba import njit

from streams.state import chains
from streams.state.books import COUNT, END, EVICTED, REPEATS, REPEATS_OF, repeats
from streams.state.index import ABSENT, find
from streams.state.slots import USED, marks_of, put, remove


@njit(cache=True)
def add_repeat(books, key, ts_ms, user, offset, click):  # type: ignore[no-untyped-def]
    """A click, ``key`` its own, on what has been clicked; ``click`` is the key of the one in its place."""
    pool = books[REPEATS]
    known = find(pool, key)
    if known != ABSENT:  # a second copy of the event takes its row
        chains.unlink(books[REPEATS_OF], pool, repeats(books)[known].click, known)
    slot = put(pool, key)
    row = repeats(books)[slot]
    row.ts_ms, row.user, row.offset, row.click = ts_ms, user, offset, click
    if pool[EVICTED]:
        link_repeats(books)
    else:
        chains.link(books[REPEATS_OF], pool, click, slot)
    return slot


@njit(cache=True)
def first_repeat(books, click):  # type: ignore[no-untyped-def]
    """Slot of the earliest that waits for the click of a key; ``ABSENT`` if none does."""
    return chains.oldest(books[REPEATS_OF], books[REPEATS], click)


@njit(cache=True)
def next_repeat(books, slot):  # type: ignore[no-untyped-def]
    """Slot of the next later one that waits for the same; ``ABSENT`` behind the last."""
    return chains.newer(books[REPEATS_OF], books[REPEATS], repeats(books)[slot].click, slot)


@njit(cache=True)
def remove_repeat(books, slot):  # type: ignore[no-untyped-def]
    """It waits no longer."""
    row = repeats(books)[slot]
    chains.unlink(books[REPEATS_OF], books[REPEATS], row.click, slot)
    remove(books[REPEATS], row.key)


@njit(cache=True)
def link_repeats(books):  # type: ignore[no-untyped-def]
    """Derive anew who waits for whom."""
    pool, rows = books[REPEATS], repeats(books)
    pool[EVICTED] = 0
    owners, slots = np.empty(pool[COUNT], np.int64), np.empty(pool[COUNT], np.int64)
    marks, found = marks_of(pool), 0
    for slot in range(pool[END]):
        if marks[slot] & USED:
            owners[found], slots[found] = rows[slot].click, slot
            found += 1
    chains.link_all(books[REPEATS_OF], pool, owners, slots)
