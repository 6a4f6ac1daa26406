"""Creates the topics of the contract, and holds those that exist against the settings."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError, for_code
from msgspec import Struct

from schemas.topics import DEAD_LETTERS, EXAMPLES, INPUTS, TOPICS, Topic
from streams.settings import Kafka

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1 << 20


class TopicError(RuntimeError):
    """A topic is not as the settings want it, or the broker refused it."""


class Topics(Struct, frozen=True):
    """What `create_topics` did, topic names in the order of the contract."""

    created: list[str]
    kept: list[str]


def create_topics(admin: KafkaAdminClient, kafka: Kafka, topics: Sequence[Topic] = TOPICS) -> Topics:
    """Create the topics that are missing; running it again changes nothing.

    Topics that exist keep their configuration, which operators may have tuned; only their number of
    partitions is checked, before anything is created.

    Raises:
        TopicError: A topic has another number of partitions, or the broker refused to create one.
    """
    present = _partition_counts(admin, topics)
    _check_partitions(present, kafka, topics)
    missing = [topic for topic in topics if topic.name not in present]
    if missing:
        _create(admin, missing, kafka)
    return Topics(
        created=[topic.name for topic in missing],
        kept=[topic.name for topic in topics if topic.name in present],
    )


class TopicState(Struct, frozen=True):
    """A topic as the broker has it."""

    name: str
    partitions: int
    """0 where there is no such topic."""
    expected_partitions: int
    out_of_sync: int
    """Partitions that lack a replica or a leader."""
    config: dict[str, str]
    """Of the broker's settings those that `topic_config` has a word on."""
    faults: list[str]
    """What keeps Headrace from using it, each with the way out."""


NEEDED_CONFIG = ("cleanup.policy", "message.timestamp.type")
"""What correctness stands on; the rest of `topic_config` operators may tune."""


def topic_states(admin: KafkaAdminClient, kafka: Kafka, topics: Sequence[Topic] = TOPICS) -> list[TopicState]:
    """Every topic of the contract, or of those that are used, held against the settings.

    Raises:
        kafka.errors.KafkaError: The broker did not answer, or refused.
    """
    present = sorted({topic.name for topic in topics}.intersection(admin.list_topics()))
    described = {topic["name"]: topic for topic in admin.describe_topics(present)} if present else {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in present]
    reported = admin.describe_configs(resources)["topic"] if present else {}
    return [_state(topic, kafka, described, reported) for topic in topics]


def _state(topic: Topic, kafka: Kafka, described: dict[str, Any], reported: dict[str, Any]) -> TopicState:
    foreign = topic.direction == "in" and topic not in TOPICS
    # How another system keeps its topics is its own business.
    expected, wanted = partition_count(topic, kafka), {} if foreign else topic_config(topic)
    if topic.name not in described:
        remedy = "see adoption.mapping" if foreign else "run `headrace init`"
        return TopicState(topic.name, 0, expected, 0, {}, [f"does not exist: {remedy}"])
    partitions = described[topic.name]["partitions"]
    config = {name: entry["value"] for name, entry in reported[topic.name].items() if name in wanted}
    faults = [_partition_fault(topic, len(partitions), kafka)] if len(partitions) != expected else []
    faults += [
        f"{name} is {config.get(name, 'not set')}, expected {wanted[name]}: "
        f"`kafka-configs.sh --alter --topic {topic.name} --add-config {name}={wanted[name]}`"
        for name in NEEDED_CONFIG
        if name in wanted and config.get(name) != wanted[name]
    ]
    size = "max.message.bytes"
    if size in config and int(config[size]) < int(wanted[size]):
        faults.append(
            f"{size} is {config[size]}, expected at least {wanted[size]}: "
            f"`kafka-configs.sh --alter --topic {topic.name} --add-config {size}={wanted[size]}`"
        )
    out_of_sync = sum(
        partition["leader_id"] < 0 or set(partition["replica_nodes"]) != set(partition["isr_nodes"])
        for partition in partitions
    )
    return TopicState(topic.name, len(partitions), expected, out_of_sync, config, faults)


def partition_count(topic: Topic, kafka: Kafka) -> int:
    """How many partitions the settings want.

    >>> partition_count(EXAMPLES, Kafka(partitions=8))
    1
    """
    return kafka.partitions if topic.partitions == "input" else 1


def topic_config(topic: Topic) -> dict[str, str]:
    """The broker's settings of one topic.

    >>> topic_config(DEAD_LETTERS)["retention.ms"]
    '2592000000'
    """
    config = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(4 * MIB)}
    if topic in INPUTS:
        # A dead letter carries its event in base64 (4/3 of the bytes) and must fit where the event did.
        config["max.message.bytes"] = str(MIB)
        # Time bounds and dead letters go by when the broker got an event, and a wrong clock at a
        # producer must not make retention delete its events at once.
        config["message.timestamp.type"] = "LogAppendTime"
    if topic.cleanup == "compact":
        config |= {
            # Restoring reads it all, so keep little that is outdated.
            "min.cleanable.dirty.ratio": "0.1",
            # The active segment is never compacted: roll it by the hour.
            "segment.ms": str(HOUR_MS),
            # A reader that began before a deletion has this long to arrive at it.
            "delete.retention.ms": str(DAY_MS),
            # What a user's deletion outdates is gone within a day, however quiet the topic.
            "max.compaction.lag.ms": str(DAY_MS),
        }
    elif topic in (EXAMPLES, DEAD_LETTERS):
        # Examples: a new challenger learns from a month. Dead letters: time to mend and send again.
        config["retention.ms"] = str(30 * DAY_MS)
    else:
        # A worker or ClickHouse may be away for a long weekend; personal data goes after the week.
        config["retention.ms"] = str(7 * DAY_MS)
    return config


def _partition_counts(admin: KafkaAdminClient, topics: Sequence[Topic]) -> dict[str, int]:
    wanted = {topic.name for topic in topics}
    present = sorted(wanted.intersection(admin.list_topics()))
    if not present:
        return {}
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(present)}


def _check_partitions(present: dict[str, int], kafka: Kafka, topics: Sequence[Topic]) -> None:
    for topic in topics:
        expected, actual = partition_count(topic, kafka), present.get(topic.name)
        if actual is None or actual == expected:
            continue
        raise TopicError(f"Topic `{topic.name}` {_partition_fault(topic, actual, kafka)}")


def _partition_fault(topic: Topic, actual: int, kafka: Kafka) -> str:
    remedy = "delete the topic and run init again"
    if topic.direction == "in" and topic not in TOPICS:
        remedy = (
            f"before the first start set kafka.partitions to {actual}; else let `headrace adopt bridge` feed "
            "the contract's own topics"
        )
    elif topic.partitions == "input":
        remedy = f"set kafka.partitions to {actual}, or let `headrace repartition` add partitions"
    return f"has {actual} partitions, expected {partition_count(topic, kafka)}: {remedy}"


def _create(admin: KafkaAdminClient, missing: list[Topic], kafka: Kafka) -> None:
    wanted = {
        topic.name: {
            "num_partitions": partition_count(topic, kafka),
            "replication_factor": kafka.replication_factor,
            "configs": topic_config(topic),
        }
        for topic in missing
    }
    response = admin.create_topics(wanted, raise_errors=False)
    for result in response["topics"]:
        error = for_code(result["error_code"])
        if result["error_code"] and error is not TopicAlreadyExistsError:  # another init was as quick
            raise TopicError(
                f"The broker refused to create topic `{result['name']}`: "
                f"{result['error_message'] or error.__name__}"
            )
    admin.wait_for_topics(list(wanted))
