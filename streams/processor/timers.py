"""What is due when: happenings by absence, in event time."""

import numpy as np
import numpy.typing as npt
from numba import carray, njit

from streams.state.books import ARRAY_AT, COUNT, REPEATS, SIZE, TIMERS, TURNS, Books, address, pointer

REQUEST, VERDICT, EXPOSURE, TURN, PURCHASE, REFUND, NEGATIVE, CLICK, REPEAT, CLICKER, LINK = range(11)
"""What waits. Due together, a click is judged before its exposure is labelled and its order settled, and an
order is settled before it is paid back and before its click goes."""

NUMBERS = 3
"""Of a timer: deadline, kind, key. Due together, the smaller go first."""
FIRST_TIMERS = 4096
ADDED = 16
"""Timers that one event or timer sets at most, but for repeated clicks that wait."""


@njit(cache=True)
def _heap(timers):  # type: ignore[no-untyped-def]
    return carray(pointer(timers[ARRAY_AT]), (NUMBERS * timers[SIZE],), np.int64)


@njit(cache=True)
def add(timers, deadline_ms, kind, key):  # type: ignore[no-untyped-def]
    """Tell once the stream time is past the deadline; there must be room.

    Rows may have several: whoever is told looks whether its row is due by then.
    """
    heap, at = _heap(timers), timers[COUNT]
    timers[COUNT] += 1
    while at:
        above = (at - 1) // 2
        if not _goes_first(heap, deadline_ms, kind, key, above):
            break
        _move(heap, above, at)
        at = above
    _set(heap, at, deadline_ms, kind, key)


@njit(cache=True)
def pop(timers):  # type: ignore[no-untyped-def]
    """Take out what is due first: its deadline, kind and key. There must be one."""
    heap = _heap(timers)
    first = heap[0], heap[1], heap[2]
    timers[COUNT] -= 1
    count = timers[COUNT]
    deadline_ms, kind, key = heap[NUMBERS * count], heap[NUMBERS * count + 1], heap[NUMBERS * count + 2]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= count:
            break
        if below + 1 < count and _is_before(heap, below + 1, below):
            below += 1
        if _goes_first(heap, deadline_ms, kind, key, below):
            break
        _move(heap, below, at)
        at = below
    if count:
        _set(heap, at, deadline_ms, kind, key)
    return first


@njit(cache=True)
def is_due(timers, stream_ms):  # type: ignore[no-untyped-def]
    """Whether anything is due before a stream time.

    At its deadline nothing is due yet: an event that is late by exactly the horizon still joins.
    """
    return timers[COUNT] > 0 and _heap(timers)[0] < stream_ms


@njit(cache=True)
def has_room(books):  # type: ignore[no-untyped-def]
    """Whether there is room for the timers of one more event or timer."""
    return books[TIMERS, COUNT] + ADDED + books[REPEATS, COUNT] + books[TURNS, COUNT] <= books[TIMERS, SIZE]


@njit(cache=True)
def _set(heap, at, deadline_ms, kind, key):  # type: ignore[no-untyped-def]
    heap[NUMBERS * at], heap[NUMBERS * at + 1], heap[NUMBERS * at + 2] = deadline_ms, kind, key


@njit(cache=True)
def _move(heap, source, target):  # type: ignore[no-untyped-def]
    for i in range(NUMBERS):
        heap[NUMBERS * target + i] = heap[NUMBERS * source + i]


@njit(cache=True)
def _goes_first(heap, deadline_ms, kind, key, other):  # type: ignore[no-untyped-def]
    at = NUMBERS * other
    if deadline_ms != heap[at]:
        return deadline_ms < heap[at]
    return kind < heap[at + 1] or (kind == heap[at + 1] and key < heap[at + 2])


@njit(cache=True)
def _is_before(heap, one, other):  # type: ignore[no-untyped-def]
    at = NUMBERS * one
    return _goes_first(heap, heap[at], heap[at + 1], heap[at + 2], other)


class Timers:
    """The deadlines of a partition; kernels add and take them by ``line``, its line in the books."""

    def __init__(self, line: Books) -> None:
        self.line = line
        self._hold(np.zeros(NUMBERS * FIRST_TIMERS, np.int64))

    def reserve(self, count: int) -> None:
        """Make room for so many more."""
        wanted = NUMBERS * (int(self.line[COUNT]) + count)
        if wanted > len(self._heap):
            grown = np.zeros(max(2 * len(self._heap), wanted), np.int64)
            grown[: len(self._heap)] = self._heap
            self._hold(grown)

    def set(self, deadline_ms: int, kind: int, key: int) -> None:
        """Tell once the stream time is past the deadline."""
        self.reserve(1)
        add(self.line, deadline_ms, kind, key)

    def _hold(self, heap: npt.NDArray[np.int64]) -> None:
        self._heap = heap
        self.line[ARRAY_AT], self.line[SIZE] = address(heap), len(heap) // NUMBERS
