"""A hash index in a line of the books: 63-bit keys to numbers from 0 on, by linear probing.

Keys are hashes already, so the low bits of a key are its home. Removal moves what follows back (Knuth,
vol. 3, 6.4, algorithm R), so that there are no tombstones to grow.
"""

import numpy as np
from numba import carray, njit

from streams.state.books import INDEX_AT, MASK, pointer

ABSENT = -1
ENTRY = 2
"""Numbers of an entry: the key, and what it stands for + 1; 0 there is free."""


@njit(cache=True)
def _entries(line):  # type: ignore[no-untyped-def]
    return carray(pointer(line[INDEX_AT]), (ENTRY * (line[MASK] + 1),), np.int64)


@njit(cache=True)
def find(line, key):  # type: ignore[no-untyped-def]
    """What a key stands for; ``ABSENT`` if it is not there."""
    entries, mask = _entries(line), line[MASK]
    at = key & mask
    while entries[ENTRY * at + 1]:
        if entries[ENTRY * at] == key:
            return entries[ENTRY * at + 1] - 1
        at = (at + 1) & mask
    return ABSENT


@njit(cache=True)
def enter(line, key, number):  # type: ignore[no-untyped-def]
    """Let a key stand for a number; there must be room."""
    entries, mask = _entries(line), line[MASK]
    at = key & mask
    while entries[ENTRY * at + 1] and entries[ENTRY * at] != key:
        at = (at + 1) & mask
    entries[ENTRY * at], entries[ENTRY * at + 1] = key, number + 1


@njit(cache=True)
def drop(line, key):  # type: ignore[no-untyped-def]
    """Remove a key that is there."""
    entries, mask = _entries(line), line[MASK]
    hole = key & mask
    while entries[ENTRY * hole] != key or not entries[ENTRY * hole + 1]:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if not entries[ENTRY * at + 1]:
            break
        home = entries[ENTRY * at] & mask
        if ((at - home) & mask) >= ((at - hole) & mask):
            entries[ENTRY * hole], entries[ENTRY * hole + 1] = entries[ENTRY * at], entries[ENTRY * at + 1]
            hole = at
    entries[ENTRY * hole + 1] = 0


@njit(cache=True)
def enter_all(line, keys, numbers):  # type: ignore[no-untyped-def]
    """Let each of distinct keys stand for its number."""
    for place in range(len(keys)):
        enter(line, keys[place], numbers[place])
