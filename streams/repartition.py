"""Gives an installation more partitions, or writes its state anew, while no worker runs.

A user's rows go where the user's events will come from now on. All of it is one transaction on the changelog,
after which the input topics get their new partitions. Whatever ends it half-way, it may be run again: before
the transaction nothing has changed, and after it only topics are left to grow.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from math import gcd
from typing import NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from kafka import KafkaAdminClient
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from schemas.topics import IDENTITIES, INPUTS, STATE, TOPICS
from streams.admin import open_admin
from streams.connection import connection_options
from streams.delivery.clients import COMPRESSION, MAX_BATCH_BYTES, confirm, send
from streams.delivery.neighbours import remove_dead_members
from streams.delivery.restore import open_reader, partition_counts, read_from
from streams.delivery.transaction import Transactions
from streams.lag import committed_offsets, end_offsets, has_records
from streams.routing import partition_of
from streams.settings import Kafka, Settings
from streams.state.changelog import newest_positions, refused
from streams.state.event_ids import KIND as EVENT_IDS
from streams.state.lookup import user_key
from streams.state.placing import Content, place
from streams.state.rows import (
    META,
    META_KEY,
    NEWEST_VERSION,
    ChangelogError,
    Record,
    encode_key,
    encode_rows,
    in_version,
)

TRANSACTION_TIMEOUT_S = 900.0
"""The longest that brokers allow by default (``transaction.max.timeout.ms``): some 40 GB of state."""
POLL_S = 0.05

Progress = Callable[[int, int], None]
"""Called with the partitions that have been placed so far, and with all there are."""
Blocks = list[tuple[int, bytes]]


INPUT_LIKE = tuple(topic.name for topic in TOPICS if topic.partitions == "input")


class RepartitionError(RuntimeError):
    """It cannot be done as things are."""


class _Plan(NamedTuple):
    """How many partitions there are and shall be."""

    before: int
    """For which the state is laid out."""
    inputs: int
    """That all input topics have."""
    after: int


class Report(Struct):
    """What was done."""

    partitions_before: int
    partitions: int
    rows: int = 0
    """Of state, event ids and positions aside."""
    moved_rows: int = 0
    rewritten_rows: int = 0
    """Of those that stayed: in another version now, or with the hash that they lacked."""
    dropped_rows: int = 0
    duration_s: float = 0.0


def repartition(
    settings: Settings,
    group_id: str,
    partitions: int | None = None,
    drop_unplaced: bool = False,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Move the state and grow the topics to a number of partitions; by default the number stays.

    Args:
        group_id: Consumer group of the workers that process, of whom none may be left.
        drop_unplaced: Forget the rows of users whose key is nowhere known, instead of refusing.

    Raises:
        RepartitionError, RefusedStateError, LossError: It cannot be done; the sentence says the way out.
        NoBrokerError, MissingTopicError: There is nothing to work on.
    """
    started_s = time.monotonic()
    kafka = settings.kafka
    if settings.adoption.mapping:
        raise RepartitionError(
            "The partitions are those of another system's topics (adoption.mapping), and which of them a "
            "user is in is that system's choice: the state cannot be moved along"
        )
    with open_admin(kafka) as admin:
        _check_alone(admin, kafka, group_id)
        plan = asyncio.run(_plan(settings, partitions))
        report = Report(plan.before, plan.after)
        asyncio.run(_fence(kafka, group_id, plan.before))
        if plan.after != plan.before:
            _refuse_underway(admin, kafka, group_id)
        _grow(admin, [STATE.name], plan.after)
        asyncio.run(_move(settings, group_id, plan, report, drop_unplaced, progress))
        _grow(admin, INPUT_LIKE, plan.after)
        asyncio.run(_check_nothing_came(kafka, plan))
    report.duration_s = time.monotonic() - started_s
    return report


def _check_alone(admin: KafkaAdminClient, kafka: Kafka, group_id: str) -> None:
    remove_dead_members(kafka, {group_id: ()})
    members = admin.describe_groups([group_id])[group_id]["members"]
    if members:
        raise RepartitionError(
            f"Group {group_id} has {len(members)} members: stop all workers first (one that was killed is "
            f"a member until its session times out, {kafka.session_timeout_s:g} s)"
        )


async def _plan(settings: Settings, wanted: int | None) -> _Plan:
    async with open_reader(settings.kafka) as reader:
        counts = await partition_counts(reader, INPUT_LIKE)
    found = [await newest_positions(settings.kafka, number) for number in range(counts[STATE.name])]
    written_for = {int(row["partitions"]) for row in found if row is not None} - {0}
    if len(written_for) > 1:
        raise RepartitionError(
            f"The state's partitions hold for different numbers of them: {sorted(written_for)}"
        )
    inputs = [counts[topic.name] for topic in INPUTS]
    before = written_for.pop() if written_for else min(inputs)
    after = wanted or max(before, *inputs)
    if after < max(before, *inputs):
        raise RepartitionError(
            f"Expected at least {max(before, *inputs)} partitions, got {after}: Kafka takes none away, and "
            "topics made anew would give out the identities of decisions a second time"
        )
    if min(inputs) < before < after:
        raise RepartitionError(
            f"A repartition to {before} was interrupted: finish it first by `headrace repartition "
            f"--partitions {before}`"
        )
    if after > before and settings.state.write_version < NEWEST_VERSION:
        raise RepartitionError(
            f"state.write_version = {settings.state.write_version} has no room for where a row came from: "
            f"roll the release out first, then set {NEWEST_VERSION}"
        )
    return _Plan(before, min(inputs), after)


def _grow(admin: KafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    """Add partitions to the topics that have fewer, and wait until they are there."""

    def fewer() -> list[str]:
        described = admin.describe_topics(list(topics))
        return [topic["name"] for topic in described if len(topic["partitions"]) < partitions]

    admin.create_partitions(dict.fromkeys(fewer(), partitions))
    while fewer():
        time.sleep(POLL_S)


async def _move(
    settings: Settings, group_id: str, plan: _Plan, report: Report, drop_unplaced: bool, progress: Progress
) -> None:
    """Write every row where it belongs, in one transaction."""
    kafka = settings.kafka
    past = await _past(kafka, plan.before)
    await _refuse_unread(kafka, plan, past)
    async with AsyncExitStack() as stack:
        producer = _new_producer(kafka, f"{group_id}-repartition")
        await producer.start()
        stack.push_async_callback(producer.stop)
        async with producer.transaction():
            async for partition, records in _records(settings, plan, past, report, drop_unplaced, progress):
                written = in_version(records, settings.state.write_version)
                await confirm(await send(producer, STATE.name, partition, written), kafka.request_timeout_s)
            await _refuse_unread(kafka, plan, past)


class _Past(NamedTuple):
    """What the changelog held when all who write to it were fenced, by partition."""

    positions: list[np.void | None]
    ends: list[int]


async def _past(kafka: Kafka, partitions: int) -> _Past:
    places = [TopicPartition(STATE.name, partition) for partition in range(partitions)]
    async with open_reader(kafka) as reader:
        ends = await reader.end_offsets(places)
    positions = [await newest_positions(kafka, partition) for partition in range(partitions)]
    return _Past(positions, [ends[place] for place in places])


async def _fence(kafka: Kafka, group_id: str, partitions: int) -> None:
    """Whatever workers that are gone, or frozen, have begun: they can commit nothing any more."""
    for partition in range(partitions):
        owner = Transactions(kafka, f"{group_id}-{partition}", group_id)
        await owner.open()
        await owner.close()


def _refuse_underway(admin: KafkaAdminClient, kafka: Kafka, group_id: str) -> None:
    """Raise while a profile is on its way from one partition to another: it is nowhere else."""
    end = end_offsets(admin, [IDENTITIES])
    if has_records(kafka, committed_offsets(admin, group_id, list(end)), end):
        raise RepartitionError(
            f"On `{IDENTITIES.name}` there is something that no worker has read yet: let workers read to the "
            "end (`headrace lag`), stop them, and run this again"
        )


def _new_producer(kafka: Kafka, transactional_id: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **connection_options(kafka),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(TRANSACTION_TIMEOUT_S * 1000),
        max_batch_size=MAX_BATCH_BYTES,
        compression_type=COMPRESSION,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
    )


async def _refuse_unread(kafka: Kafka, plan: _Plan, past: _Past) -> None:
    """Raise while events wait in a partition that their user leaves."""
    count = await _count_stranded(kafka, plan, past)
    if count:
        raise RepartitionError(
            f"{count} events that no worker has read yet lie in partitions that their users leave: stop the "
            "producers, let workers read to the end, stop those too, and run this again"
        )


async def _check_nothing_came(kafka: Kafka, plan: _Plan) -> None:
    """Raise if events came between the last look and the new partitions: somebody has not been stopped."""
    count = await _count_stranded(kafka, plan, await _past(kafka, plan.after))
    if count:
        raise RepartitionError(
            f"The state has been moved, but {count} events came to partitions that their users have left: "
            "workers will take these for events of new users. Stop the producers and start them again, so "
            f"that they see all {plan.after} partitions"
        )


async def _count_stranded(kafka: Kafka, plan: _Plan, past: _Past) -> int:
    """Events behind the checkpoints whose key belongs elsewhere from now on."""
    if plan.before == plan.inputs == plan.after:
        return 0
    stranded = 0
    for partition in range(plan.inputs):
        row = past.positions[partition] if partition < len(past.positions) else None
        offsets = [0, 0, 0] if row is None else row["offsets"].tolist()
        for topic, offset in zip(INPUTS, offsets, strict=True):
            async for record in read_from(kafka, TopicPartition(topic.name, partition), offset):
                if record.key is not None:
                    stranded += partition_of(record.key, plan.after) != partition
    return stranded


async def _records(
    settings: Settings,
    plan: _Plan,
    past: _Past,
    report: Report,
    drop_unplaced: bool,
    progress: Progress,
) -> AsyncIterator[tuple[int, list[Record]]]:
    """What is to be written, by partition: rows that move, their tombstones, event ids, positions."""
    kafka = settings.kafka
    before, after = plan.before, plan.after
    positions = past.positions
    event_ids: list[Blocks] = []
    unplaced = strays = 0
    for partition in range(before):
        values = await _newest_values(kafka, partition, past.ends[partition])
        event_ids.append(_blocks(values))
        try:
            content = Content(values)
        except ChangelogError as error:
            raise await refused(kafka, partition, error) from None
        if after != before:
            await _learn_missing(kafka, partition, content)
        placed = place(content, partition, before, after, settings.state.write_version)
        for target, records in placed.records.items():
            yield target, records
        report.rows += placed.rows
        report.moved_rows += placed.moved
        report.rewritten_rows += placed.rewritten
        unplaced += placed.unplaced
        strays += placed.strays
        progress(partition + 1, before)
    if strays:
        raise RepartitionError(
            f"{strays} rows lie where Kafka's default partitioner (murmur2 of `user_id`) has not put them: "
            "the producers use another one, and where it will put their users is not known"
        )
    if unplaced and not drop_unplaced:
        raise RepartitionError(
            f"Nobody knows the Kafka keys of the users of {unplaced} rows: a release that did not keep them "
            "wrote these, and the input topics hold no event of theirs any more; --drop-unplaced forgets them"
        )
    report.dropped_rows = unplaced
    step = gcd(before, after)
    for target in range(after):
        # Users come from the partitions of the same number modulo what both counts have in common.
        sources = range(target % step, before, step)
        records = _event_id_records(event_ids, target, sources)
        own = positions[target] if target < before else None
        found = [row for row in (positions[source] for source in sources) if row is not None]
        if found:
            meta = np.zeros(1, META)
            meta["stream_ms"] = max(row["stream_ms"] for row in found)  # it never goes back
            meta["offsets"] = await _first_offsets(kafka, target) if own is None else own["offsets"]
            meta["counters"] = 0 if own is None else own["counters"]
            meta["partitions"] = after
            records.append((META_KEY, encode_rows(meta)[0]))
        yield target, records


async def _newest_values(kafka: Kafka, partition: int, end: int) -> dict[bytes, bytes]:
    """The newest value of each key of a partition of the changelog."""
    newest: dict[bytes, bytes | None] = {}
    async for record in read_from(kafka, TopicPartition(STATE.name, partition), end=end):
        newest[record.key] = record.value
    return {key: value for key, value in newest.items() if value is not None}


async def _learn_missing(kafka: Kafka, partition: int, content: Content) -> None:
    """Look for the ids of users whose hash no row holds in the events that the input topics still have."""
    for topic in INPUTS:
        if content.missing:
            async for record in read_from(kafka, TopicPartition(topic.name, partition)):
                try:
                    user = _decode_user(record.value or b"")
                except (DecodeError, UnicodeDecodeError):
                    continue
                content.learn(user_key(user.shop_id, user.user_id), user.user_id)


class _User(Struct):
    """Whose an event is."""

    user_id: str
    shop_id: str = "main"


_decode_user = Decoder(_User).decode


def _blocks(values: Mapping[bytes, bytes]) -> Blocks:
    """Number and value of each block of event ids."""
    return [
        (int.from_bytes(key[1:], "little"), value) for key, value in values.items() if key[:1] == EVENT_IDS
    ]


def _event_id_records(event_ids: Sequence[Blocks], target: int, sources: Sequence[int]) -> list[Record]:
    """The blocks of other partitions, numbered on from a partition's own.

    An id does not say whose event it is of: every partition to which users come gets all of them, and forgets
    them after the horizon.
    """
    own = event_ids[target] if target < len(event_ids) else []
    first = 1 + max((number for number, _ in own), default=-1)
    others = [value for source in sources if source != target for _, value in event_ids[source]]
    return [(encode_key(EVENT_IDS, first + i), value) for i, value in enumerate(others)]


async def _first_offsets(kafka: Kafka, partition: int) -> list[int]:
    """Where the input topics begin in a partition that no worker has read; 0 while it is not there."""
    async with open_reader(kafka) as reader:
        counts = await partition_counts(reader, [topic.name for topic in INPUTS])
        places = [TopicPartition(name, partition) for name, count in counts.items() if partition < count]
        first = await reader.beginning_offsets(places)
    return [first.get(TopicPartition(topic.name, partition), 0) for topic in INPUTS]
