"""Samples of foreign events."""

import asyncio
import gzip
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from streams.admin import open_admin
from streams.adoption.sampling import EmptyError, SampleError, sample_file, sample_topic
from streams.settings import Kafka


def sampled(broker, topic, records):
    """Values of a topic's sample."""
    return asyncio.run(sample_topic(Kafka(bootstrap_servers=broker), topic, records, lambda records: None))


def test_the_newest_records_of_every_partition_are_taken(broker):
    """What a small partition lacks, the others make up for; values are as they came."""
    topic = f"foreign-{uuid4()}"
    with open_admin(Kafka(bootstrap_servers=broker)) as admin:
        admin.create_topics({topic: {"num_partitions": 3, "replication_factor": 1}})
    with pytest.raises(EmptyError):
        sampled(broker, topic, 5)
    producer = KafkaProducer(bootstrap_servers=broker)
    for number in range(10):
        producer.send(topic, b"%d" % number, key=b"k", partition=0).get(10)
    producer.send(topic, b"lone", partition=2).get(10)
    producer.close()
    found = [(each.partition, each.offset, each.value, each.key) for each in sampled(broker, topic, 5)]
    newest = [(0, number, b"%d" % number, b"k") for number in range(6, 10)]
    assert [(2, 0, b"lone", None), *newest] == found


def test_a_topic_that_is_not_there_is_not_made(broker):
    """The sentence names it, and asking has made nothing."""
    with pytest.raises(SampleError, match="has no topic `nowhere`"):
        sampled(broker, "nowhere", 5)
    with open_admin(Kafka(bootstrap_servers=broker)) as admin:
        assert "nowhere" not in admin.list_topics()


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_the_first_lines_of_a_file_are_taken(tmp_path, suffix):
    """Blank ones are none, and a packed file is unpacked."""
    path, lines = tmp_path / f"sample.{suffix}", b'{"a":1}\n\n{"a":2}\r\n{"a":3}\n'
    path.write_bytes(gzip.compress(lines) if suffix.endswith("gz") else lines)
    assert [b'{"a":1}', b'{"a":2}'] == [each.value for each in sample_file(path, 2, lambda records: None)]


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bno gzip"])
def test_a_file_without_lines_is_refused(tmp_path, content):
    """One sentence, whatever is wrong with it."""
    path = tmp_path / "sample.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"sample.jsonl.gz: expected "):
        sample_file(path, 2, lambda records: None)
