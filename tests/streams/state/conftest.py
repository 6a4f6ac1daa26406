"""A changelog at a broker."""

from collections.abc import Iterable

import pytest
from kafka import KafkaProducer
from traffic import T0_MS, arrivals, new_processor, view

from schemas.topics import STATE
from streams.admin import open_admin
from streams.settings import Kafka, Settings
from streams.state.rows import Record
from streams.topics import create_topics


class Log:
    """The topics of a broker, and a writer of its changelog."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.settings = Settings(kafka=Kafka(bootstrap_servers=bootstrap_servers, partitions=2))
        self.kafka = self.settings.kafka
        with open_admin(self.kafka) as admin:
            create_topics(admin, self.kafka)

    def write(self, partition: int, records: Iterable[Record]) -> None:
        """Append records to a partition."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        for key, value in records:
            producer.send(STATE.name, value, key=key, partition=partition).get(10)
        producer.close()


@pytest.fixture
def log(fresh_broker: str) -> Log:
    """A broker with two partitions and nothing in them."""
    return Log(fresh_broker)


@pytest.fixture
def checkpointed(log: Log) -> Settings:
    """Settings of a broker whose changelog has two checkpoints of u1's views in each of two partitions."""
    for partition in range(log.kafka.partitions):
        processor = new_processor()
        for second in range(2):
            processor.process(arrivals([view(T0_MS + second)]))
            log.write(partition, processor.state.drain())
    return log.settings
