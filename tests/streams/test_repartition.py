import asyncio

import orjson
import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from msgspec.json import encode
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, arrivals, new_processor, view

from schemas.topics import IDENTITIES, INPUTS, STATE, TOPICS, VIEWS
from streams import repartition as repartitioning
from streams.admin import open_admin
from streams.cli import main
from streams.repartition import RepartitionError, repartition
from streams.routing import partition_hash, partition_of
from streams.settings import Kafka, State
from streams.state import counters
from streams.state.changelog import RefusedStateError, restore
from streams.state.lookup import find_profile, user_key
from streams.state.partition import PartitionState
from streams.state.rows import NEWEST_VERSION
from streams.topics import create_topics

GROUP_ID = "headrace-process"
USERS = [f"u{number}" for number in range(30)]
INPUT_LIKE = [topic.name for topic in TOPICS if topic.partitions == "input"]


class Shop:
    """Two partitions, and two views of each user in them."""

    def __init__(self, bootstrap_servers):
        self.kafka = Kafka(bootstrap_servers=bootstrap_servers, partitions=2)
        self.settings = replace(SETTINGS, kafka=self.kafka)
        with open_admin(self.kafka) as admin:
            create_topics(admin, self.kafka)

    def open(self, partition):
        """The processor of a partition as a worker opens it."""
        processor = new_processor(self.settings)
        processor.partition = partition
        asyncio.run(restore(self.kafka, partition, processor.state))
        processor.restored()
        return processor

    def produce(self, topic, records, partition=None):
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers)
        for key, value in records:
            producer.send(topic, value, key=key, partition=partition).get(10)
        producer.close()

    def send(self, events):
        """As a shop does: each event to the partition of its user."""
        self.produce(VIEWS.name, [(event.user_id.encode(), encode(event)) for event in events])

    def work(self, events, partitions, hashed=True):
        """What workers of so many partitions do with events that were sent; one of old keeps no hashes."""
        for partition in range(partitions):
            processor = self.open(partition)
            own = [each for each in events if partition_of(each.user_id.encode(), partitions) == partition]
            offset = processor.state.offsets[0] + len(own)
            processor.process(arrivals(own))
            processor.state.offsets[0] = offset
            if not hashed:
                processor.state.profiles.rows["partition_hash"] = 0
            self.produce(STATE.name, processor.state.drain(), partition)

    def state(self, partition):
        state = PartitionState(State(), SETTINGS.processing)
        asyncio.run(restore(self.kafka, partition, state))
        return state

    def partition_counts(self):
        with open_admin(self.kafka) as admin:
            return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(INPUT_LIKE)}

    def versions(self):
        """Versions of all rows that the changelog holds."""
        consumer = KafkaConsumer(
            STATE.name, bootstrap_servers=self.kafka.bootstrap_servers, auto_offset_reset="earliest",
            isolation_level="read_committed", consumer_timeout_ms=1500,
        )  # fmt: skip
        newest = {(record.partition, record.key): record.value for record in consumer}
        consumer.close()
        return {value[0] for value in newest.values() if value is not None}


EVENTS = [view(T0_MS + number, user_id) for number, user_id in enumerate(USERS + USERS)]


@pytest.fixture
def shop(fresh_broker):
    return Shop(fresh_broker)


@pytest.fixture
def busy(shop):
    """A shop whose events have all had their effect."""
    shop.send(EVENTS)
    shop.work(EVENTS, 2)
    return shop


def run(shop, partitions=None, **options):
    return repartition(shop.settings, GROUP_ID, partitions, **options)


def test_a_profile_on_its_way_keeps_partitions_from_moving(busy):
    """What one partition has for another must be read first; the other command goes on afterwards."""
    busy.produce(IDENTITIES.name, [(None, b"{}")], partition=1)
    with pytest.raises(RepartitionError, match=r"`headrace-identities`.*no worker has read yet"):
        run(busy, 3)
    assert {2} == set(busy.partition_counts().values())
    with open_admin(busy.kafka) as admin:
        read = {TopicPartition(IDENTITIES.name, 1): OffsetAndMetadata(1, "", -1)}
        admin.alter_group_offsets(GROUP_ID, read)
    run(busy, 3)
    assert {3} == set(busy.partition_counts().values())


def test_state_follows_its_users(busy):
    """Every profile is whole where its user's events will come from now on, and only there."""
    report = run(busy, 3)
    assert dict.fromkeys(INPUT_LIKE, 3) == busy.partition_counts()
    states = [busy.state(partition) for partition in range(3)]
    found = {int(row["key"]): number for number, state in enumerate(states) for row in state.profiles}
    assert found == {user_key("main", user_id): partition_of(user_id.encode(), 3) for user_id in USERS}
    assert {2} == {int(row["views"]) for state in states for row in state.profiles}
    moving = sum(partition_of(user_id.encode(), 2) != partition_of(user_id.encode(), 3) for user_id in USERS)
    assert (2, 3, 30, moving) == (
        report.partitions_before, report.partitions, report.rows, report.moved_rows,
    )  # fmt: skip
    assert 30 == len(USERS) == sum(len(state.profiles) for state in states)


def test_what_was_counted_stays_counted(busy):
    """Counters keep their sums, old partitions their offsets, new ones begin at 0; time does not go back."""
    before = counters.read(busy.settings)
    offsets, stream_ms = zip(
        *((state.offsets, state.stream_ms) for state in map(busy.state, range(2))), strict=True
    )
    run(busy, 4)
    states = [busy.state(partition) for partition in range(4)]
    assert before == counters.read(busy.settings)
    assert [*offsets, [0, 0, 0], [0, 0, 0]] == [state.offsets for state in states]
    assert [*stream_ms, *stream_ms] == [state.stream_ms for state in states]


def test_users_go_on_where_they_were(busy):
    """Events that come afterwards meet the profile, and a second copy of an event that was is known."""
    run(busy, 3)
    busy.work([view(T0_MS + 100, user_id) for user_id in USERS] + EVENTS[:5], 3)
    assert {3} == {int(find_profile(busy.kafka, "main", user_id)["views"]) for user_id in USERS}
    assert 5 == counters.read(busy.settings)["duplicates"]


def test_it_may_be_done_again(busy):
    """A second time there is nothing to do, and a third number of partitions is as good as the second."""
    run(busy, 3)
    assert (3, 3, 0) == ((again := run(busy)).partitions_before, again.partitions, again.moved_rows)
    run(busy, 5)
    for user_id in USERS:
        state = busy.state(partition_of(user_id.encode(), 5))
        assert state.profiles.get(user_key("main", user_id)) is not None


def test_an_interruption_after_the_transaction_is_made_good(busy, monkeypatch):
    """Workers refuse what is half done, a third number too; the same command finishes it."""
    grow = repartitioning._grow

    def failing_grow(admin, topics, partitions):
        if VIEWS.name in topics:
            raise RuntimeError("the wheel broke")
        grow(admin, topics, partitions)

    monkeypatch.setattr(repartitioning, "_grow", failing_grow)
    with pytest.raises(RuntimeError, match="the wheel broke"):
        run(busy, 3)
    monkeypatch.undo()
    with pytest.raises(RefusedStateError, match="laid out for 3 partitions, but the input topics have 2"):
        busy.state(0)
    with pytest.raises(RepartitionError, match="finish it first by `headrace repartition --partitions 3`"):
        run(busy, 4)
    run(busy)
    assert 30 == sum(len(busy.state(partition).profiles) for partition in range(3))


def test_unread_events_keep_everything_where_it_is(busy):
    """An event that would be left behind stops it before the commit; workers can still read it."""
    leaving = next(
        user_id for user_id in USERS if len({partition_of(user_id.encode(), n) for n in (2, 3)}) > 1
    )
    late = [view(T0_MS + 100, leaving), view(T0_MS + 101, leaving)]
    busy.send(late)
    with pytest.raises(RepartitionError, match="2 events that no worker has read yet"):
        run(busy, 3)
    busy.work(late, 2)
    assert 4 in {int(row["views"]) for partition in range(2) for row in busy.state(partition).profiles}
    run(busy, 3)


def test_a_member_of_the_group_is_in_the_way(busy):
    """While a worker may have partitions, nothing is touched."""
    worker = KafkaConsumer(
        *(topic.name for topic in INPUTS), bootstrap_servers=busy.kafka.bootstrap_servers, group_id=GROUP_ID
    )
    worker.poll(5000)
    with pytest.raises(RepartitionError, match="has 1 members: stop all workers first"):
        run(busy, 3)
    worker.close()
    assert dict.fromkeys(INPUT_LIKE, 2) == busy.partition_counts()


def test_partitions_cannot_become_fewer(busy):
    """Kafka takes none away; the error says why they are not made anew."""
    with pytest.raises(RepartitionError, match="at least 2 partitions, got 1: Kafka takes none away"):
        run(busy, 1)


def test_users_of_an_older_release_are_found_in_the_input(shop):
    """Rows without a hash are placed by the events that the topics still hold."""
    shop.send(EVENTS)
    shop.work(EVENTS, 2, hashed=False)
    report = run(shop, 3)
    assert (30, 0) == (report.moved_rows + report.rewritten_rows, report.dropped_rows)
    for user_id in USERS:
        profile = shop.state(partition_of(user_id.encode(), 3)).profiles[user_key("main", user_id)]
        assert partition_hash(user_id) == profile["partition_hash"]


def test_users_whom_nobody_knows_are_dropped_on_request_only(shop):
    """Rows whose user is nowhere to be found are lost only if the operator says so."""
    shop.work(EVENTS, 2, hashed=False)  # and their events are not in the topics any more
    with pytest.raises(RepartitionError, match=r"users of 30 rows.*--drop-unplaced forgets them"):
        run(shop, 3)
    assert 30 == sum(len(shop.state(partition).profiles) for partition in range(2))
    assert 30 == run(shop, 3, drop_unplaced=True).dropped_rows
    assert 0 == sum(len(shop.state(partition).profiles) for partition in range(3))


def test_producers_with_another_partitioner_are_noticed(shop):
    """Where users lie by another rule, the rows would go astray."""
    processor = shop.open(0)
    processor.process(arrivals(EVENTS))
    shop.produce(STATE.name, processor.state.drain(), 0)
    with pytest.raises(RepartitionError, match="default partitioner"):
        run(shop, 3)


def test_a_release_can_be_rolled_back_after_the_fact(shop):
    """All rows are written in an older version on request, and nothing else changes."""
    events = [view(T0_MS + number, user_id, slots="a") for number, user_id in enumerate(USERS)]
    shop.send(events)
    shop.work(events, 2)
    assert NEWEST_VERSION in shop.versions()
    before = counters.read(shop.settings)
    older = replace(shop.settings, state=State(write_version=1))
    repartition(older, GROUP_ID)
    assert {1} == shop.versions()
    assert before == counters.read(shop.settings)
    with pytest.raises(RepartitionError, match=r"state\.write_version = 1"):
        repartition(older, GROUP_ID, 3)


def test_an_installation_without_a_past_grows(shop):
    """Where nothing has been processed the topics get their partitions, and that is all."""
    assert (2, 3, 0) == ((report := run(shop, 3)).partitions_before, report.partitions, report.rows)
    assert dict.fromkeys(INPUT_LIKE, 3) == shop.partition_counts()
    assert not shop.state(2).restored


def test_partitions_that_somebody_added_by_hand_are_made_good(busy):
    """After ``kafka-topics --alter`` workers refuse; the state follows, unread events may stay."""
    with open_admin(busy.kafka) as admin:
        admin.create_partitions({topic.name: 3 for topic in INPUTS})
    with pytest.raises(RefusedStateError, match="`headrace repartition --partitions 3`"):
        busy.state(0)
    later = [view(T0_MS + 100, user_id) for user_id in USERS]
    busy.send(later)
    run(busy)
    busy.work(later, 3)
    assert {3} == {int(find_profile(busy.kafka, "main", user_id)["views"]) for user_id in USERS}


def test_the_command_reports_and_says_what_to_set(busy):
    """``--json`` is one object; without it a sentence; what cannot be done is one sentence and exit 1."""
    options = ["--set", f"kafka.bootstrap_servers={busy.kafka.bootstrap_servers}", "repartition"]
    reported = CliRunner().invoke(main, [*options, "--partitions", "4", "--json"])
    assert (0, 4, 30) == (
        reported.exit_code, (found := orjson.loads(reported.stdout))["partitions"], found["rows"],
    )  # fmt: skip
    assert "set kafka.partitions to 4" in CliRunner().invoke(main, options).stdout
    refused = CliRunner().invoke(main, [*options, "--partitions", "3"])
    assert (1, "") == (refused.exit_code, refused.stdout)
    assert "Error: Expected at least 4 partitions, got 3" in refused.stderr
