"""Several partitions with all that a broker does for them, in memory: logs, checkpoints, crashes."""

from collections.abc import Iterable

import numpy as np
from msgspec.json import encode
from msgspec.structs import replace
from traffic import SETTINGS, TOPICS, new_processor

from schemas.events import Event
from streams.processor.arrival import Arrival, decode_identity
from streams.processor.processor import Processor
from streams.routing import partition_of
from streams.settings import Settings


class Partition:
    """One partition: its logs, and the worker that has it for now."""

    def __init__(self, number: int, count: int, settings: Settings) -> None:
        self.number = number
        self.inputs: list[list[Event]] = [[], [], []]
        self.identities: list[bytes] = []
        """What has been committed for it."""
        self.changelog: list[tuple[bytes, bytes | None]] = []
        self.outcomes: list[bytes] = []
        self.examples: list[bytes] = []
        """What has been committed by it."""
        self._count = count
        self._settings = settings
        self.processor = self._new_processor()

    def crash(self) -> None:
        """The worker is gone with all that it has not committed; the next one goes on from the changelog."""
        self.processor = self._new_processor()
        self.processor.state.restore(self.changelog)
        self.processor.restored()

    def step(self) -> bool:
        """Process the earliest event, or what comes from other partitions; False where there is nothing."""
        state = self.processor.state
        heads = [
            (log[offset].ts_ms, topic)
            for topic, (log, offset) in enumerate(zip(self.inputs, state.offsets, strict=True))
            if offset < len(log)
        ]
        if state.identity_offset < len(self.identities):
            arrival = decode_identity(state.identity_offset, self.identities[state.identity_offset])
            if not heads or arrival.event.ts_ms <= min(heads)[0]:
                self.processor.process([arrival])
                return True
        if not heads:
            return False
        _, topic = min(heads)
        offset = state.offsets[topic]
        event = self.inputs[topic][offset]
        self.processor.process([Arrival(topic, self.number, offset, event.ts_ms, encode(event), event)])
        return True

    def _new_processor(self) -> Processor:
        processor = new_processor(self._settings)
        processor.partition = processor.outcomes.partition = processor.links.partition = self.number
        processor.state.partitions = self._count
        return processor


class Partitions:
    """All of them."""

    def __init__(self, count: int, settings: Settings = SETTINGS) -> None:
        self.all = [Partition(number, count, settings) for number in range(count)]

    def send(self, events: Iterable[Event]) -> None:
        """Append events where Kafka's partitioner puts them."""
        for event in events:
            partition = self.all[partition_of(event.user_id.encode(), len(self.all))]
            partition.inputs[TOPICS[type(event)]].append(event)

    def checkpoint(self, number: int) -> None:
        """Commit what a partition has said and what has changed in it."""
        partition = self.all[number]
        output = partition.processor.output
        for target, messages in output.take_identities().items():
            self.all[target].identities += [value for _, value in messages]
        partition.changelog += partition.processor.state.drain()
        partition.outcomes += [value for _, value in output.outcomes]
        partition.examples += [value for _, value in output.examples]
        output.take_decisions()
        output.take_committed()

    def settle(self) -> None:
        """Go on until nothing is left to do anywhere."""
        moving = True
        while moving:
            moving = False
            for number, partition in enumerate(self.all):
                while partition.step():
                    moving = True
                self.checkpoint(number)

    def profiles(self) -> dict[int, np.void]:
        """All profiles by user's key; each may be in one place only."""
        rows = [row for partition in self.all for row in partition.processor.state.profiles]
        found = {int(row["key"]): row for row in rows}
        assert len(rows) == len(found)
        return found


def as_one(events: Iterable[Event], user_of: dict[str, str], settings: Settings = SETTINGS) -> Partitions:
    """What comes of the events if every anonymous id had been that of its user, in one partition."""
    made = Partitions(1, settings)
    renamed = [
        replace(event, user_id=user_of.get(event.user_id, event.user_id), **_without_link(event))
        for event in events
    ]
    made.send(sorted(renamed, key=lambda event: event.ts_ms))
    made.settle()
    return made


def _without_link(event: Event) -> dict[str, str]:
    return {"anonymous_id": ""} if getattr(event, "anonymous_id", "") else {}
