"""Whether foreign topics lie as the process role needs them: a user's events in one partition number."""

import asyncio
import logging
from collections import defaultdict
from pathlib import Path

from aiokafka.errors import KafkaError

from streams.admin import NoBrokerError
from streams.adoption.applying import TopicRules, UnmappableError
from streams.adoption.inputs import inputs_of
from streams.adoption.mapping import Mapping, load
from streams.adoption.sampling import EmptyError, SampleError, sample_topic
from streams.settings import Settings

SAMPLED = 2_000
"""Newest records of a topic that are looked at: a second or two at a worker's start."""


class KeyingError(RuntimeError):
    """A foreign topic cannot be read by partition."""


def check_keys(settings: Settings) -> None:
    """Look at a sample of every topic of the mapping.

    Raises:
        MappingError: The mapping cannot be used.
        KeyingError: A topic is not there, or not keyed by the user.
        NoBrokerError: No broker answered.
    """
    mapping = load(Path(settings.adoption.mapping))
    inputs_of(mapping, settings.adoption)
    # It logs every attempt to reach the broker; the caller says it once.
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        partitions_of = asyncio.run(_partitions_of(settings, mapping))
    except SampleError as error:
        raise KeyingError(f"{error}; adoption.mapping names it") from None
    except (KafkaError, TimeoutError):
        raise NoBrokerError(
            f"No Kafka broker answered at {settings.kafka.bootstrap_servers}: start one, or set "
            "kafka.bootstrap_servers (HEADRACE_KAFKA_BOOTSTRAP_SERVERS)"
        ) from None
    finally:
        logger.setLevel(level)
    scattered = sum(len(numbers) > 1 for numbers in partitions_of.values())
    if scattered:
        names = ", ".join(topic.name for topic in mapping.topics)
        raise KeyingError(
            f"Expected the events of a user in one partition number, got {scattered:,} of "
            f"{len(partitions_of):,} users of a sample of {names} in several: they are not "
            "keyed by the mapping's `user_id`; let `headrace adopt bridge` re-key them, "
            "and run the worker without adoption.mapping"
        )


async def _partitions_of(settings: Settings, mapping: Mapping) -> dict[str, set[int]]:
    """By user, the partition numbers in which the sample has events."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for topic in mapping.topics:
        rules = TopicRules(topic)
        try:
            sample = await sample_topic(settings.kafka, topic.name, SAMPLED, lambda records: None)
        except EmptyError:
            continue
        for record in sample:
            try:
                event = rules.event(record.value, record.partition, record.offset)
            except UnmappableError:
                continue
            if event is not None:
                found[event.user_id].add(record.partition)
    return found
