"""What must be there before a worker runs: each check finds it in order, or says what to do."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from uuid import uuid4

from aiokafka.errors import KafkaError as ClientError
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError
from msgspec import Struct

from schemas.topics import TOPICS, Topic
from streams.admin import NoBrokerError, open_admin
from streams.adoption.inputs import CONTRACT, Inputs, expected_topics, open_inputs
from streams.adoption.mapping import MappingError
from streams.catalog_topic import unusable
from streams.connection import connection_options
from streams.delivery.restore import MissingTopicError
from streams.packages import packages, pins
from streams.settings import Adoption, ClickHouse, Kafka, Settings, Sources
from streams.sinks import migrations
from streams.sinks.store import NOT_MADE_YET, RefusedError, StoreError, open_store
from streams.switches import history, paused
from streams.topics import topic_states

MAX_SKEW_S = 1.0
"""Beyond a tick, an idle partition's windows would close early or late by our clock."""


class Finding(Struct, frozen=True):
    """The result of one check."""

    name: str
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""

    @property
    def ok(self) -> bool:
        return not self.remedy


def run(settings: Settings, sources: Sources, *, clock: bool = True) -> Iterator[Finding]:
    """Every check in turn; what needs the broker is left out where there is none.

    Nothing is changed, but that ``clock`` makes a topic of its own for a moment.
    """
    yield check_settings(settings, sources)
    yield check_versions()
    try:
        inputs = open_inputs(settings.adoption)
    except MappingError as error:
        yield Finding("mapping", str(error), "see adoption.mapping, and try it with `headrace adopt check`")
        inputs = CONTRACT
    else:
        if inputs is not CONTRACT:
            yield Finding("mapping", _mapped(inputs, settings.adoption))
    yield from check_kafka(settings.kafka, clock=clock, topics=expected_topics(inputs))
    yield check_clickhouse(settings.clickhouse)


def check_settings(settings: Settings, sources: Sources) -> Finding:
    """The settings, each of which was valid when it was read, fit each other."""
    found = f"{len(sources)} set, the others by default" if sources else "all by default"
    horizon_s, lateness_s = settings.processing.duplicate_horizon_s, settings.processing.lateness_s
    if horizon_s < lateness_s:
        return Finding(
            "settings",
            f"processing.duplicate_horizon_s is {horizon_s:g}, below processing.lateness_s, {lateness_s:g}",
            "raise the horizon: a late event that is sent again would count twice",
        )
    return Finding("settings", found)


def check_versions() -> Finding:
    """The packages that are pinned exactly, because their insides are used, have the pinned version."""
    expected = pins()
    installed = {package: found for package, found in packages().items() if package in expected}
    wrong = {package: found for package, found in installed.items() if found != expected[package]}
    if wrong:
        return Finding(
            "versions",
            ", ".join(f"{package} {found}, expected {expected[package]}" for package, found in wrong.items()),
            "`pip install " + " ".join(f"{package}=={expected[package]}" for package in wrong) + "`",
        )
    return Finding("versions", ", ".join(f"{package} {found}" for package, found in installed.items()))


def check_kafka(kafka: Kafka, *, clock: bool, topics: Sequence[Topic] = TOPICS) -> Iterator[Finding]:
    """The broker answers, the topics are as they must be, the clocks agree."""
    try:
        with open_admin(kafka) as admin:
            yield Finding("broker", f"answers at {kafka.bootstrap_servers}")
            for state in topic_states(admin, kafka, topics):
                name = f"topic {state.name}"
                if state.faults:
                    yield Finding(name, *_split(state.faults))
                elif state.out_of_sync:
                    yield Finding(
                        name,
                        f"{state.out_of_sync} of {state.partitions} partitions lack a replica or a leader",
                        "see which node of the cluster is away",
                    )
                else:
                    yield Finding(
                        name, "1 partition" if state.partitions == 1 else f"{state.partitions} partitions"
                    )
            if clock:
                yield check_clock(admin, kafka)
        yield from check_catalog(kafka)
        yield from check_switches(kafka)
    except NoBrokerError as error:
        yield Finding("broker", *_split([str(error)]))
    except KafkaError as error:
        yield Finding(
            "broker",
            f"refused at {kafka.bootstrap_servers}: {error}",
            "allow this client to list and describe the topics",
        )


def check_catalog(kafka: Kafka) -> Iterator[Finding]:
    """Every entry can be used; nothing where `catalog` cannot be read."""
    try:
        entries, faults = asyncio.run(unusable(kafka))
    except (MissingTopicError, ClientError, TimeoutError):  # its topic's own line says more
        return
    if faults:
        found = f"{len(faults)} of {entries} entries cannot be used, the first: {faults[0]}"
        yield Finding("catalog", found, "send them again as schemas/README.md has them, or delete their keys")
    else:
        yield Finding("catalog", "1 entry" if entries == 1 else f"{entries} entries")


def check_switches(kafka: Kafka) -> Iterator[Finding]:
    """Whether decisions are paused, which is no fault; nothing where `catalog` cannot be read."""
    try:
        pauses = paused(asyncio.run(history(kafka)))
    except (MissingTopicError, ClientError, TimeoutError):  # its topic's own line says more
        return
    yield Finding("decisions", "; ".join(each.sentence for each in pauses) or "not paused")


def check_clock(admin: KafkaAdminClient, kafka: Kafka) -> Finding:
    """Our clock and the broker's agree to ``MAX_SKEW_S``.

    Kafka has no question for the time, so a record is sent to a topic that stamps what it gets
    (``LogAppendTime``); the broker's stamp lies between our times before and after.
    """
    topic = f"headrace-check-{uuid4().hex}"
    stamped = {"message.timestamp.type": "LogAppendTime"}
    try:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, "configs": stamped}})
        try:
            admin.wait_for_topics([topic])
            before_s, broker_s, after_s = _stamp(kafka, topic)
        finally:
            admin.delete_topics([topic])
    except KafkaError as error:
        return Finding(
            "clock",
            f"not measured: {type(error).__name__}",
            "allow to create, write and delete topics `headrace-check-*`, or leave it out with --no-clock",
        )
    skew_s = max(before_s - broker_s, broker_s - after_s, 0.0)
    ahead = "ahead of" if broker_s < before_s else "behind"
    if skew_s > MAX_SKEW_S:
        return Finding(
            "clock",
            f"{skew_s:.1f} s {ahead} the broker's, expected at most {MAX_SKEW_S:g} s",
            "let NTP set the clocks of this machine and of the brokers",
        )
    return Finding("clock", f"within {MAX_SKEW_S:g} s of the broker's")


def check_clickhouse(clickhouse: ClickHouse) -> Finding:
    """The store answers and has had every migration."""
    if not clickhouse.host and not clickhouse.engine_url:
        return Finding("clickhouse", "not set: decisions are stored by `headrace demo` only")
    try:
        with closing(open_store(clickhouse)) as store:
            missing = migrations.pending(store, clickhouse.database)
    except RefusedError as error:
        if error.code in NOT_MADE_YET:
            return Finding("clickhouse", f"{clickhouse.database} has no tables yet", "run `headrace init`")
        return Finding("clickhouse", str(error), "see clickhouse.user, clickhouse.password and its rights")
    except (StoreError, migrations.MigrationError) as error:
        return Finding("clickhouse", str(error), "see clickhouse.host and clickhouse.port, and start it")
    if missing:
        names = ", ".join(f"{migration.number:04}_{migration.name}" for migration in missing)
        return Finding("clickhouse", f"lacks migrations {names}", "run `headrace init`")
    return Finding("clickhouse", f"{clickhouse.database} has every migration")


def _mapped(inputs: Inputs, adoption: Adoption) -> str:
    """What is read, and where decisions go."""
    names = ", ".join(topic.name for topic in inputs.read)
    served = "a shadow, nobody is served" if adoption.shadow else "served"
    return f"reads {names} by {adoption.mapping}; decisions go to {inputs.decisions} ({served})"


def _split(faults: list[str]) -> tuple[str, str]:
    """Faults of the form ``what is wrong: what to do`` as one finding and one remedy."""
    parts = [fault.partition(": ") for fault in faults]
    return "; ".join(part[0] for part in parts), "; ".join(part[2] for part in parts)


def _stamp(kafka: Kafka, topic: str) -> tuple[float, float, float]:
    """Our time before, the broker's of a record, our time after; seconds since 1970."""
    timeout_s = kafka.request_timeout_s
    producer = KafkaProducer(**connection_options(kafka), max_block_ms=int(timeout_s * 1000))
    try:
        producer.partitions_for(topic)
        before_s = time.time()
        sent = producer.send(topic, b"", partition=0).get(timeout_s)
        return before_s, sent.timestamp / 1000, time.time()
    finally:
        producer.close()
