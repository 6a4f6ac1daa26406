"""Apache Kafka as a test bed."""

from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.admin import ask
from streams.embedded import kafka as module
from streams.embedded.kafka import Cluster, kafka
from streams.embedded.process import MissingPackageError
from streams.settings import Kafka


def test_records_survive_a_killed_node(kafka_node: Cluster) -> None:
    """What was acknowledged is there when the node is back at the same address."""
    (node,) = kafka_node.nodes
    settings = Kafka(bootstrap_servers=kafka_node.bootstrap_servers)
    ask(settings, lambda admin: admin.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}}))
    producer = KafkaProducer(bootstrap_servers=node.address)
    producer.send("kept", b"first", partition=0).get(10)
    producer.close()
    node.kill()
    node.start()
    consumer = KafkaConsumer(bootstrap_servers=node.address, consumer_timeout_ms=10_000)
    consumer.assign([TopicPartition("kept", 0)])
    consumer.seek_to_beginning()
    record = next(consumer)
    consumer.close()
    ask(settings, lambda admin: admin.delete_topics(["kept"]))
    assert b"first" == record.value


def test_each_of_three_nodes_holds_each_topic(fresh_cluster: Cluster) -> None:
    """Topics are replicated by default, and a record needs two nodes."""
    settings = Kafka(bootstrap_servers=fresh_cluster.bootstrap_servers)
    ask(settings, lambda admin: admin.create_topics({"held": {"num_partitions": 1}}))
    fresh_cluster.wait_until_in_sync()
    (topic,) = ask(settings, lambda admin: admin.describe_topics(["held"]))
    assert [1, 2, 3] == sorted(topic["partitions"][0]["isr_nodes"])
    configuration = fresh_cluster.nodes[0].properties_path.read_text()
    assert "min.insync.replicas=2\n" in configuration


def test_without_its_files_it_names_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package has no pom."""
    monkeypatch.setattr(module, "BED_DIR", tmp_path / "absent")
    with pytest.raises(MissingPackageError, match="source checkout"), kafka(tmp_path):
        pass


def test_without_java_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="needs Java 17 or newer"), kafka(tmp_path):
        pass
