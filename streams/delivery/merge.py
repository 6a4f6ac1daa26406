"""The three input topics of one partition, as one sequence in event time."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from schemas.topics import INPUTS
from streams.processor.arrival import Arrival, IdentityArrival

Arrived = TypeVar("Arrived", bound=Arrival | IdentityArrival)

MAX_BUFFERED = 1000
"""Arrivals of one topic that may wait for another topic before it is no longer read."""


class EventTimeMerge(Generic[Arrived]):
    """Merges topics by event time, after KIP-695.

    The earliest head of all topics is next. A topic without a head holds the others back only while the
    broker is known to hold records of it that have not come yet; a topic that is caught up is not waited
    for. Inside a topic the order of offsets stays, whatever the times say: an arrival is due with the
    newest before it. What cannot be decoded has no time and is next at once.

    Behind the topics comes the internal one of identities, which nobody waits for. What it holds has its
    turn by its time all the same: a claim takes effect behind the events before it that are known to be
    there.
    """

    def __init__(self, topics: int = len(INPUTS)) -> None:
        self._queues: tuple[list[Arrived], ...] = tuple([] for _ in range(topics + 1))
        self._due_ms: tuple[list[int], ...] = tuple([] for _ in range(topics + 1))
        """Of each queue, the times at which its arrivals are due: they never fall."""
        self._behind = [*[True] * topics, False]

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    @property
    def full(self) -> Sequence[int]:
        """Topics that should not be read for now."""
        return [topic for topic, queue in enumerate(self._queues) if len(queue) >= MAX_BUFFERED]

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting and nothing is known to come."""
        return not len(self) and not any(self._behind)

    def add(self, topic: int, arrivals: Iterable[Arrived]) -> None:
        """Queue arrivals of one topic, in order of offset."""
        queue, due_ms = self._queues[topic], self._due_ms[topic]
        newest_ms = due_ms[-1] if due_ms else 0
        for arrival in arrivals:
            event = arrival.event
            if event is not None and event.ts_ms > newest_ms:
                newest_ms = event.ts_ms
            queue.append(arrival)
            due_ms.append(newest_ms)

    def mark(self, topic: int, behind: bool) -> None:
        """Say whether the broker holds more of a topic than has been added."""
        self._behind[topic] = behind

    def holds(self, topic: int) -> bool:
        """Whether something of a topic waits."""
        return bool(self._queues[topic])

    def ready(self, limit: int) -> list[Arrived]:
        """Take the next arrivals, at most ``limit``; empty where a topic must be waited for."""
        last_ms, last = self._until()
        arrivals: list[Arrived] = []
        times_ms: list[int] = []
        topics: list[int] = []
        for topic, (queue, due_ms) in enumerate(zip(self._queues, self._due_ms, strict=True)):
            # Of equal times the first topic is next.
            end = bisect_right(due_ms, last_ms) if topic <= last else bisect_left(due_ms, last_ms)
            end = min(end, limit)
            arrivals += queue[:end]
            times_ms += due_ms[:end]
            topics += [topic] * end
        order = sorted(range(len(arrivals)), key=times_ms.__getitem__)[:limit]
        for topic, count in Counter([topics[place] for place in order]).items():
            del self._queues[topic][:count]
            del self._due_ms[topic][:count]
        return [arrivals[place] for place in order]

    def _until(self) -> tuple[int, int]:
        """Time and topic of the last arrival that may be taken: behind it a topic must be waited for."""
        ends = [
            (due_ms[-1] if due_ms else NOTHING, topic)
            for topic, (due_ms, behind) in enumerate(zip(self._due_ms, self._behind, strict=True))
            if behind
        ]
        return min(ends, default=(EVERYTHING, 0))


NOTHING, EVERYTHING = -1, 2**63
"""Earlier and later than every event."""
