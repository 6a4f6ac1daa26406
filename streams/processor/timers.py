"""What is due when: happenings by absence, in event time."""

from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from heapq import heapify, heappop, heappush


class Kind(IntEnum):
    """What waits. Due together, a click is judged before its exposure is labelled and its order settled, and
    an order is settled before it is paid back and before its click goes."""

    REQUEST, VERDICT, EXPOSURE, TURN, PURCHASE, REFUND, NEGATIVE, CLICK, REPEAT, CLICKER, LINK = range(11)


Timer = tuple[int, Kind, int]
"""Deadline, kind, key."""
NEVER_MS = 2**63
NEVER: Timer = (NEVER_MS, Kind.REQUEST, 0)


class Timers:
    """Deadlines by kind of row and its key, and who is told.

    Rows may have several: whoever is told looks whether its row is due by then.

    Attributes
    ----------
    due
        By kind, takes the key of a row and the deadline that has passed.
    next_ms
        Nothing is due before the stream time is past it.
    """

    def __init__(self) -> None:
        self.due: dict[Kind, Callable[[int, int], None]] = {}
        self.next_ms = NEVER_MS
        self._heap: list[Timer] = []
        # Events come mostly in order, and these kinds wait for the same time: no heap is needed then.
        self._lanes: dict[Kind, deque[Timer]] = {Kind.REQUEST: deque(), Kind.EXPOSURE: deque()}

    def add(self, deadline_ms: int, kind: Kind, key: int) -> None:
        """Tell once the stream time is past the deadline."""
        timer = deadline_ms, kind, key
        lane = self._lanes.get(kind)
        if lane is not None and (not lane or lane[-1] <= timer):
            lane.append(timer)
        else:
            heappush(self._heap, timer)
        if deadline_ms < self.next_ms:
            self.next_ms = deadline_ms

    def restart(self, timers: Iterable[Timer]) -> None:
        """Replace all by these."""
        self._heap = list(timers)
        heapify(self._heap)
        for lane in self._lanes.values():
            lane.clear()
        self.next_ms = self._heap[0][0] if self._heap else NEVER_MS

    def expire(self, stream_ms: int) -> None:
        """Tell all that is due before a stream time, in order of deadlines, kinds and keys.

        At its deadline nothing is due yet: an event that is late by exactly the horizon still joins.
        """
        heap, lanes, due = self._heap, self._lanes.values(), self.due
        while True:
            timer, lane = heap[0] if heap else NEVER, None
            for other in lanes:
                if other and other[0] < timer:
                    timer, lane = other[0], other
            deadline_ms, kind, key = timer
            if deadline_ms >= stream_ms:
                self.next_ms = deadline_ms
                return
            if lane is None:
                heappop(heap)
            else:
                lane.popleft()
            due[kind](key, deadline_ms)
