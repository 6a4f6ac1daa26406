"""What is due when: happenings by absence, in event time."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from heapq import heapify, heappop, heappush


class Kind(IntEnum):
    """What waits. Due together, an order is settled before it is paid back and before its click goes."""

    REQUEST, EXPOSURE, PURCHASE, REFUND, CLICK = range(5)


class Timers:
    """Deadlines by kind of row and its key, and who is told.

    Rows may have several: whoever is told looks whether its row is due by then.
    """

    def __init__(self) -> None:
        self.due: dict[Kind, Callable[[int, int], None]] = {}
        """By kind, takes the key of a row and the deadline that has passed."""
        self._heap: list[tuple[int, Kind, int]] = []

    def add(self, deadline_ms: int, kind: Kind, key: int) -> None:
        """Tell once the stream time is past the deadline."""
        heappush(self._heap, (deadline_ms, kind, key))

    def restart(self, timers: Iterable[tuple[int, Kind, int]]) -> None:
        """Replace all by these: deadline, kind, key."""
        self._heap = list(timers)
        heapify(self._heap)

    def expire(self, stream_ms: int) -> None:
        """Tell all that is due before a stream time, in order of deadlines.

        At its deadline nothing is due yet: an event that is late by exactly the horizon still joins.
        """
        heap = self._heap
        while heap and heap[0][0] < stream_ms:
            deadline_ms, kind, key = heappop(heap)
            self.due[kind](key, deadline_ms)
