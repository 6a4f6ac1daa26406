"""A changelog at a broker."""

import pytest
from kafka import KafkaProducer
from traffic import T0_MS, arrivals, new_processor, view

from schemas.topics import STATE
from streams.admin import open_admin
from streams.settings import Kafka, Settings
from streams.topics import create_topics


@pytest.fixture
def checkpointed(fresh_broker: str) -> Settings:
    """Settings of a broker whose changelog has two checkpoints of u1's views in each of two partitions."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=2)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    for partition in range(kafka.partitions):
        processor = new_processor()
        for second in range(2):
            processor.process(arrivals([view(T0_MS + second)]))
            for key, value in processor.state.drain():
                producer.send(STATE.name, value, key=key, partition=partition).get(10)
    producer.close()
    return Settings(kafka=kafka)
