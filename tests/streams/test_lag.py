"""Lag, on topics written with and without transactions."""

import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition

from schemas.topics import OUTCOMES, VIEWS
from streams.admin import open_admin
from streams.lag import StalledError, committed_offsets, end_offsets, has_records, wait_until_read
from streams.settings import Kafka
from streams.topics import create_topics

VIEWS_0 = TopicPartition(VIEWS.name, 0)
OUTCOMES_0 = TopicPartition(OUTCOMES.name, 0)
GROUP_ID = "headrace-process"


def test_markers_of_transactions_are_no_lag(fresh_broker: str) -> None:
    """After the last record only a marker is left: the end is not reached, and nothing is to be read."""
    kafka = _with_topics(fresh_broker)
    producer = _transactional(fresh_broker)
    producer.begin_transaction()
    producer.send(OUTCOMES.name, b"outcome", partition=0)
    producer.commit_transaction()
    producer.close()
    with open_admin(kafka) as admin:
        end = end_offsets(admin, [OUTCOMES])
    assert {OUTCOMES_0: 2} == end
    assert has_records(kafka, {OUTCOMES_0: 0}, end)
    assert not has_records(kafka, {OUTCOMES_0: 1}, end)


def test_aborted_records_are_no_lag(fresh_broker: str) -> None:
    """What an aborted transaction wrote takes offsets and is never to be read."""
    kafka = _with_topics(fresh_broker)
    producer = _transactional(fresh_broker)
    producer.begin_transaction()
    producer.send(OUTCOMES.name, b"outcome", partition=0).get(10)
    producer.abort_transaction()
    producer.close()
    with open_admin(kafka) as admin:
        end = end_offsets(admin, [OUTCOMES])
    assert {OUTCOMES_0: 2} == end
    assert not has_records(kafka, {OUTCOMES_0: 0}, end)


def test_an_open_transaction_lies_beyond_the_end(fresh_broker: str) -> None:
    """The end is the last stable offset: nobody waits for what is not committed yet."""
    kafka = _with_topics(fresh_broker)
    producer = _transactional(fresh_broker)
    producer.begin_transaction()
    producer.send(OUTCOMES.name, b"outcome", partition=0).get(10)
    with open_admin(kafka) as admin:
        assert {OUTCOMES_0: 0} == end_offsets(admin, [OUTCOMES])
    producer.abort_transaction()
    producer.close()


def test_committed_offsets_of_a_transaction_count(fresh_broker: str) -> None:
    """Offsets that a transaction commits are the group's; where there are none it is at the start."""
    kafka = _with_topics(fresh_broker)
    producer = _transactional(fresh_broker)
    producer.begin_transaction()
    producer.send_offsets_to_transaction({VIEWS_0: OffsetAndMetadata(5, "", -1)}, GROUP_ID)
    producer.commit_transaction()
    producer.close()
    with open_admin(kafka) as admin:
        committed = committed_offsets(admin, GROUP_ID, [VIEWS_0, OUTCOMES_0])
    assert {VIEWS_0: 5, OUTCOMES_0: 0} == committed


def test_a_group_that_is_at_the_end_has_nothing_to_read(fresh_broker: str) -> None:
    """Equal offsets are answered at once; one record less is lag."""
    kafka = _with_topics(fresh_broker)
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    for _ in range(3):
        producer.send(VIEWS.name, b"view", partition=0).get(10)
    producer.close()
    with open_admin(kafka) as admin:
        end = end_offsets(admin, [VIEWS])
    assert {VIEWS_0: 3} == end
    assert not has_records(kafka, {VIEWS_0: 3}, end)
    assert has_records(kafka, {VIEWS_0: 2}, end)


def test_a_group_that_does_not_move_is_an_error(fresh_broker: str) -> None:
    """The message has the group, how far it came and of what."""
    kafka = _with_topics(fresh_broker)
    producer = KafkaProducer(bootstrap_servers=fresh_broker)
    producer.send(VIEWS.name, b"view", partition=0).get(10)
    producer.close()
    with pytest.raises(StalledError, match="headrace-process has read 0 of 1 offsets of views"):
        wait_until_read(kafka, GROUP_ID, [VIEWS], stall_timeout_s=0.1, progress=lambda done, total: None)


def test_the_wait_ends_where_only_a_marker_is_left(fresh_broker: str) -> None:
    """The group commits the position after the last record, and progress reaches its total."""
    kafka = _with_topics(fresh_broker)
    producer = _transactional(fresh_broker)
    producer.begin_transaction()
    producer.send(OUTCOMES.name, b"outcome", partition=0)
    producer.send_offsets_to_transaction({OUTCOMES_0: OffsetAndMetadata(1, "", -1)}, GROUP_ID)
    producer.commit_transaction()
    producer.close()
    seen = []
    wait_until_read(
        kafka,
        GROUP_ID,
        [OUTCOMES],
        stall_timeout_s=10.0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [(1, 2), (1, 2), (2, 2)] == seen


def _with_topics(servers: str) -> Kafka:
    kafka = Kafka(bootstrap_servers=servers, partitions=1)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    return kafka


def _transactional(servers: str) -> KafkaProducer:
    producer = KafkaProducer(bootstrap_servers=servers, transactional_id="headrace-process-0")
    producer.init_transactions()
    return producer
