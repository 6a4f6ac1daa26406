"""Creating the topics on the embedded broker."""

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.topics import DEAD_LETTERS, INPUTS, STATE, TOPICS
from streams.admin import NoBrokerError, open_admin
from streams.embedded.process import free_port
from streams.settings import Kafka
from streams.topics import TopicError, create_topics, partition_count, topic_config

NAMES = [topic.name for topic in TOPICS]


def test_every_topic_is_created_once(fresh_broker: str) -> None:
    """The second run keeps what the first created, and partition counts are those of the settings."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=3)
    with open_admin(kafka) as admin:
        first = create_topics(admin, kafka)
        second = create_topics(admin, kafka)
        counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(NAMES)}
    assert (NAMES, []) == (first.created, first.kept)
    assert ([], NAMES) == (second.created, second.kept)
    assert {topic.name: partition_count(topic, kafka) for topic in TOPICS} == counts


def test_the_broker_gets_the_configuration(fresh_broker: str) -> None:
    """What `topic_config` says is what the broker reports."""
    kafka = Kafka(bootstrap_servers=fresh_broker)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
        resource = ConfigResource(ConfigResourceType.TOPIC, STATE.name)
        reported = admin.describe_configs([resource])["topic"][STATE.name]
    assert topic_config(STATE) == {name: entry["value"] for name, entry in reported.items()}


def test_another_partition_count_is_refused_before_anything_is_created(fresh_broker: str) -> None:
    """The message says what came, what was expected and what to do."""
    kafka = Kafka(bootstrap_servers=fresh_broker, partitions=3)
    with open_admin(kafka) as admin:
        admin.create_topics({"clicks": {"num_partitions": 2, "replication_factor": 1}})
        with pytest.raises(TopicError) as caught:
            create_topics(admin, kafka)
        assert {"clicks"} == set(NAMES).intersection(admin.list_topics())
    expected = "Topic `clicks` has 2 partitions, expected 3: set kafka.partitions to 2, or let `headrace"
    assert str(caught.value).startswith(expected)


def test_a_dead_letter_fits_wherever_its_event_did() -> None:
    """An event of the largest size still fits its topic when base64 makes it a third longer."""
    largest_event = max(int(topic_config(topic)["max.message.bytes"]) for topic in INPUTS)
    assert int(topic_config(DEAD_LETTERS)["max.message.bytes"]) > largest_event * 4 / 3


def test_an_absent_broker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address and the setting."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    expected = f"answered at {servers}.*kafka.bootstrap_servers"
    with pytest.raises(NoBrokerError, match=expected), open_admin(Kafka(bootstrap_servers=servers)):
        pass
