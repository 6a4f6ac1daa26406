"""Rows of a pool for kernels: found by key, put, changed and removed, by the pool's line in the books.

There must be room for what a kernel puts: see ``streams.state.pool.Pool.reserve``. A full pool makes room by
dropping its oldest rows; which ones depends only on the rows, never on where they lie.
"""

import numpy as np
from numba import carray, njit

from streams.state.books import (
    AGE_AT,
    CAPACITY,
    COUNT,
    END,
    EVICTED,
    FREE,
    FREE_AT,
    GONE,
    GONE_AT,
    LEFT,
    LEFT_AT,
    MARKS_AT,
    OVERFLOWED,
    ROW_BYTES,
    ROWS_AT,
    SLOTS,
    pointer,
)
from streams.state.index import ABSENT, drop, enter, find

USED, CHANGED, LOGGED = 1, 2, 4
"""Marks of a slot: a row is there, the changelog has not its newest form, it has an older one."""
EVICTED_SHARE = 64
"""A full pool drops the oldest 1/64 of its rows at once: one pass over the times pays for many rows."""


@njit(cache=True)
def marks_of(pool):  # type: ignore[no-untyped-def]
    return carray(pointer(pool[MARKS_AT]), (pool[SLOTS],), np.uint8)


@njit(cache=True)
def put(pool, key):  # type: ignore[no-untyped-def]
    """Slot of a key's row, which is all zeros now but for the key; its caller fills it."""
    slot = find(pool, key)
    if slot == ABSENT:
        slot = _take(pool, key)
    marks_of(pool)[slot] |= CHANGED
    row = carray(pointer(pool[ROWS_AT] + slot * pool[ROW_BYTES]), (pool[ROW_BYTES],), np.uint8)
    row[:] = 0
    carray(pointer(pool[ROWS_AT] + slot * pool[ROW_BYTES]), (1,), np.int64)[0] = key
    return slot


@njit(cache=True)
def touch(pool, slot):  # type: ignore[no-untyped-def]
    """The row in a slot has changed."""
    marks_of(pool)[slot] |= CHANGED


@njit(cache=True)
def remove(pool, key):  # type: ignore[no-untyped-def]
    """Delete a row; a key that is absent is ignored.

    The row itself stays readable until the slot is used again, which is not before ``settle``.
    """
    slot = find(pool, key)
    if slot == ABSENT:
        return
    drop(pool, key)
    pool[COUNT] -= 1
    marks = marks_of(pool)
    if marks[slot] & LOGGED:
        carray(pointer(pool[GONE_AT]), (pool[SLOTS],), np.int64)[pool[GONE]] = key
        pool[GONE] += 1
    marks[slot] = 0
    carray(pointer(pool[LEFT_AT]), (pool[SLOTS],), np.int32)[pool[LEFT]] = slot
    pool[LEFT] += 1


@njit(cache=True)
def settle(pool):  # type: ignore[no-untyped-def]
    """Whatever was said of removed rows has been written: others may have their slots."""
    free = carray(pointer(pool[FREE_AT]), (pool[SLOTS],), np.int32)
    left = carray(pointer(pool[LEFT_AT]), (pool[SLOTS],), np.int32)
    for place in range(pool[LEFT]):
        free[pool[FREE]] = left[place]
        pool[FREE] += 1
    pool[LEFT] = 0


@njit(cache=True)
def _take(pool, key):  # type: ignore[no-untyped-def]
    if pool[COUNT] >= pool[CAPACITY]:
        _evict(pool)
    if pool[FREE]:
        pool[FREE] -= 1
        slot = np.int64(carray(pointer(pool[FREE_AT]), (pool[SLOTS],), np.int32)[pool[FREE]])
    else:
        slot = pool[END]
        pool[END] += 1
    enter(pool, key, slot)
    pool[COUNT] += 1
    marks_of(pool)[slot] = USED
    return slot


@njit(cache=True)
def _evict(pool):  # type: ignore[no-untyped-def]
    marks = marks_of(pool)
    slots, ages = np.empty(pool[COUNT], np.int64), np.empty(pool[COUNT], np.int64)
    found = 0
    for slot in range(pool[END]):
        if marks[slot] & USED:
            slots[found] = slot
            ages[found] = carray(
                pointer(pool[ROWS_AT] + slot * pool[ROW_BYTES] + pool[AGE_AT]), (1,), np.int64
            )[0]
            found += 1
    # More than one too many where the capacity was made smaller since the rows were written.
    count = max(1 + found - pool[CAPACITY], found // EVICTED_SHARE)
    newest_dropped = np.partition(ages, count - 1)[count - 1]
    for place in range(found):
        if ages[place] <= newest_dropped:
            remove(pool, carray(pointer(pool[ROWS_AT] + slots[place] * pool[ROW_BYTES]), (1,), np.int64)[0])
            pool[OVERFLOWED] += 1
    pool[EVICTED] = 1
