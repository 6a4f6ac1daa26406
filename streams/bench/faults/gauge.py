"""How many events have had their effect, asked now and again, also while brokers come and go."""

import threading
from contextlib import suppress

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from msgspec.structs import replace

from schemas.topics import INPUTS
from streams.admin import NoBrokerError, open_admin
from streams.lag import committed_offsets
from streams.settings import Kafka

POLL_S = 0.1
ANSWER_WITHIN_S = 2.0
"""Or else another node is asked."""


class Gauge:
    """Follows what a group has committed; as a context manager it runs in a thread of its own."""

    def __init__(self, kafka: Kafka, group_id: str, poll_s: float = POLL_S) -> None:
        self.answered = False
        """Whether the brokers have been asked at all."""
        self.events = 0
        """Committed when last asked."""
        self._poll_s = poll_s
        self._kafka = replace(kafka, request_timeout_s=ANSWER_WITHIN_S)
        self._group_id = group_id
        self._partitions = [
            TopicPartition(topic.name, partition) for topic in INPUTS for partition in range(kafka.partitions)
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauge", daemon=True)

    def __enter__(self) -> "Gauge":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            # A client keeps to the coordinator that it once found: a new one after each failure.
            with suppress(KafkaError, NoBrokerError), open_admin(self._kafka) as admin:
                self._follow(admin)
            self._stop.wait(self._poll_s)

    def _follow(self, admin: KafkaAdminClient) -> None:
        while not self._stop.wait(self._poll_s):
            committed = committed_offsets(admin, self._group_id, self._partitions)
            self.events = max(self.events, sum(committed.values()))
            self.answered = True
