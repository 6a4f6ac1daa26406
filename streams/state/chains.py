"""Rows of a pool that belong together, in order of time: whose they are is told by an index of chains.

A chain is a ring of slots: the index has its newest, whose ``newer`` one is the oldest. So what comes in
order and goes in order costs nothing to find, however many there are.
"""

import numpy as np
from numba import carray, njit

from streams.state.books import (
    AGE_AT,
    COUNT,
    INDEX_AT,
    MASK,
    NEWER_AT,
    OLDER_AT,
    ROW_BYTES,
    ROWS_AT,
    SLOTS,
    pointer,
)
from streams.state.index import ABSENT, ENTRY, drop, enter, find


@njit(cache=True)
def older_of(pool):  # type: ignore[no-untyped-def]
    return carray(pointer(pool[OLDER_AT]), (pool[SLOTS],), np.int32)


@njit(cache=True)
def newer_of(pool):  # type: ignore[no-untyped-def]
    return carray(pointer(pool[NEWER_AT]), (pool[SLOTS],), np.int32)


@njit(cache=True)
def newest(chains, owner):  # type: ignore[no-untyped-def]
    """Slot of the newest row of an owner; ``ABSENT`` if there is none."""
    return find(chains, owner)


@njit(cache=True)
def oldest(chains, pool, owner):  # type: ignore[no-untyped-def]
    """Slot of the oldest row of an owner; ``ABSENT`` if there is none."""
    slot = find(chains, owner)
    return slot if slot == ABSENT else np.int64(newer_of(pool)[slot])


@njit(cache=True)
def older(chains, pool, owner, slot):  # type: ignore[no-untyped-def]
    """Slot of the next older row of the same owner; ``ABSENT`` behind the oldest."""
    found = np.int64(older_of(pool)[slot])
    return ABSENT if found == find(chains, owner) else found


@njit(cache=True)
def newer(chains, pool, owner, slot):  # type: ignore[no-untyped-def]
    """Slot of the next newer row of the same owner; ``ABSENT`` behind the newest."""
    return ABSENT if slot == find(chains, owner) else np.int64(newer_of(pool)[slot])


@njit(cache=True)
def link(chains, pool, owner, slot):  # type: ignore[no-untyped-def]
    """Add a row to the chain of its owner."""
    older_, newer_ = older_of(pool), newer_of(pool)
    first = find(chains, owner)
    if first == ABSENT:
        older_[slot] = newer_[slot] = slot
        enter(chains, owner, slot)
        chains[COUNT] += 1
        return
    place = first
    while _is_before(pool, slot, place):
        place = np.int64(older_[place])
        if place == first:  # all are newer
            place = np.int64(newer_[first])
            before = np.int64(older_[place])
            older_[place] = slot
            newer_[slot] = place
            older_[slot] = before
            newer_[before] = slot
            return
    after = np.int64(newer_[place])
    older_[slot], newer_[slot] = place, after
    newer_[place] = slot
    older_[after] = slot
    if place == first:
        enter(chains, owner, slot)


@njit(cache=True)
def unlink(chains, pool, owner, slot):  # type: ignore[no-untyped-def]
    """Take a row out of the chain of its owner."""
    older_, newer_ = older_of(pool), newer_of(pool)
    before, after = np.int64(older_[slot]), np.int64(newer_[slot])
    if before == slot:
        drop(chains, owner)
        chains[COUNT] -= 1
        return
    older_[after] = before
    newer_[before] = after
    if find(chains, owner) == slot:
        enter(chains, owner, before)


@njit(cache=True)
def _is_before(pool, slot, other):  # type: ignore[no-untyped-def]
    ts_ms, other_ms = _number(pool, slot, pool[AGE_AT]), _number(pool, other, pool[AGE_AT])
    return ts_ms < other_ms or (ts_ms == other_ms and _number(pool, slot, 0) < _number(pool, other, 0))


@njit(cache=True)
def _number(pool, slot, offset):  # type: ignore[no-untyped-def]
    return carray(pointer(pool[ROWS_AT] + slot * pool[ROW_BYTES] + offset), (1,), np.int64)[0]


@njit(cache=True)
def link_all(chains, pool, owners, slots):  # type: ignore[no-untyped-def]
    """Make all chains anew, of these rows; the oldest first, so that none is looked for."""
    _clear(chains)
    ts_ms, keys = np.empty(len(slots), np.int64), np.empty(len(slots), np.int64)
    for place in range(len(slots)):
        ts_ms[place] = _number(pool, slots[place], pool[AGE_AT])
        keys[place] = _number(pool, slots[place], 0)
    order = np.argsort(keys, kind="mergesort")
    order = order[np.argsort(ts_ms[order], kind="mergesort")]
    for place in order:
        link(chains, pool, owners[place], slots[place])


@njit(cache=True)
def _clear(chains):  # type: ignore[no-untyped-def]
    """Forget all chains of an index."""
    entries = carray(pointer(chains[INDEX_AT]), (ENTRY * (chains[MASK] + 1),), np.int64)
    entries[:] = 0
    chains[COUNT] = 0
