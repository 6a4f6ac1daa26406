"""The three input topics of one partition, as one sequence in event time."""

from collections import deque
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
    for. Inside a topic the order of offsets stays, whatever the times say. What cannot be decoded has no
    time and is next at once.

    Behind the topics comes the internal one of identities, which nobody waits for. What it holds has its
    turn by its time all the same: a claim takes effect behind the events before it that are known to be
    there.
    """

    def __init__(self, topics: int = len(INPUTS)) -> None:
        self._queues: tuple[deque[Arrived], ...] = tuple(deque() for _ in range(topics + 1))
        self._behind = [*(True for _ in range(topics)), False]

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
        self._queues[topic].extend(arrivals)

    def mark(self, topic: int, behind: bool) -> None:
        """Say whether the broker holds more of a topic than has been added."""
        self._behind[topic] = behind

    def holds(self, topic: int) -> bool:
        """Whether something of a topic waits."""
        return bool(self._queues[topic])

    def ready(self, limit: int) -> list[Arrived]:
        """Take the next arrivals, at most ``limit``; empty where a topic must be waited for."""
        queues = self._queues
        heads = [_time(queue) for queue in queues]
        taken: list[Arrived] = []
        while len(taken) < limit:
            if any(not queue and behind for queue, behind in zip(queues, self._behind, strict=True)):
                break
            earliest = min(heads)
            if earliest == NOTHING:
                break
            topic = heads.index(earliest)
            # Take this topic's run up to the next head of another: most steps stay inside one topic.
            queue = queues[topic]
            bound = min((head for other, head in enumerate(heads) if other != topic), default=NOTHING)
            taken.append(queue.popleft())
            while queue and len(taken) < limit:
                event = queue[0].event
                if event is not None and event.ts_ms >= bound:
                    break
                taken.append(queue.popleft())
            heads[topic] = _time(queue)
        return taken


NOTHING = 2**63
"""Later than every event."""


def _time(queue: deque[Arrived]) -> int:
    if not queue:
        return NOTHING
    event = queue[0].event
    return event.ts_ms if event is not None else 0
