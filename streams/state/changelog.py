"""The changelog topic of a partition's state: what was committed last, and whether it may be gone on from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from aiokafka.structs import TopicPartition

from schemas.topics import INPUTS, STATE, TOPICS, Topic
from streams.delivery.restore import count_partitions, open_reader, partition_counts, read_batches, read_from
from streams.settings import Kafka
from streams.state.gathering import Gathering
from streams.state.partition import PartitionState
from streams.state.rows import META_KEY, ChangelogError, decode_rows

TAIL = 4
"""How far from the end a partition's positions are looked for first: they close a checkpoint."""


class RefusedStateError(RuntimeError):
    """The state on the broker is not one to go on from; nothing has been changed."""


async def restore(
    kafka: Kafka, partition: int, state: PartitionState, inputs: Sequence[Topic] = INPUTS
) -> None:
    """Load what a partition's changelog holds, and the number of partitions that it holds for.

    Raises ``RefusedStateError`` where a record is damaged or of a newer release, or where the number of
    partitions has changed; ``MissingTopicError``, and what aiokafka raises.
    """
    async with open_reader(kafka) as reader:
        count = await count_input_partitions(reader, inputs)
    newest = Gathering()
    async for records in read_batches(kafka, TopicPartition(STATE.name, partition)):
        newest.add([record.key for record in records], [record.value for record in records])
    try:
        state.restore(newest)
    except ChangelogError as error:
        raise await refused(kafka, partition, error) from None
    written_for = state.partitions if state.restored else await _written_for(kafka)
    if written_for not in (0, count):
        raise RefusedStateError(
            f"The state is laid out for {written_for} partitions, but the input topics have {count}: stop "
            f"workers and producers, and run `headrace repartition --partitions {max(count, written_for)}`"
        )
    state.partitions = count


def check_inputs(state: PartitionState, identity: int, inputs: Sequence[Topic]) -> None:
    """Raise ``RefusedStateError`` where the state's offsets are those of other topics.

    ``identity`` is that of the topics and their places; a state without a past takes it on.
    """
    if state.restored and state.inputs != identity:
        shown = ", ".join(f"`{topic.name}`" for topic in inputs)
        raise RefusedStateError(
            f"The state on `{STATE.name}` was made from other topics than {shown}: set adoption.mapping as "
            "it was, or delete the topics that Headrace writes and run `headrace init`, to begin anew"
        )
    state.inputs = identity


async def count_input_partitions(reader: Any, topics: Sequence[Topic] = INPUTS) -> int:
    """How many partitions the input topics have.

    Raises ``RefusedStateError`` where one has another number, or where a topic that we write has fewer.
    """
    written = [topic for topic in TOPICS if topic.partitions == "input" and topic not in INPUTS]
    counts = await partition_counts(reader, [topic.name for topic in (*topics, *written)])
    inputs = {counts[topic.name] for topic in topics}
    if len(inputs) > 1 or min(counts.values()) < max(inputs):
        shown = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        remedy = (
            f"stop workers and producers, and run `headrace repartition --partitions {max(counts.values())}`"
        )
        if tuple(topics) != INPUTS:
            remedy = (
                "another system's topics are not ours to change: `headrace adopt bridge` feeds the "
                "contract's own topics from any number of partitions"
            )
        raise RefusedStateError(f"The topics differ in their number of partitions ({shown}): {remedy}")
    return inputs.pop()


async def newest_positions(kafka: Kafka, partition: int) -> np.void | None:
    """The newest committed ``META`` row of a partition; None if there is none.

    Read from the end: a step back is four times as long as the one before.
    """
    place = TopicPartition(STATE.name, partition)
    async with open_reader(kafka) as reader:
        first = (await reader.beginning_offsets([place]))[place]
        end = (await reader.end_offsets([place]))[place]
    newest: bytes | None = None
    back = TAIL
    while newest is None and first < end:
        async for record in read_from(kafka, place, end - back, end):
            if record.key == META_KEY:
                newest = record.value
        if end - back <= first:
            break
        back *= 4
    if newest is None:
        return None
    try:
        row: np.void = decode_rows(META_KEY[:1], [newest])[0]
    except ChangelogError as error:
        raise await refused(kafka, partition, error) from None
    return row


async def refused(kafka: Kafka, partition: int, error: ChangelogError) -> RefusedStateError:
    """What to say of a record that cannot be used, with the offset where it lies."""
    place = TopicPartition(STATE.name, partition)
    offsets = [record.offset async for record in read_from(kafka, place) if record.value == error.value]
    return RefusedStateError(f"{place.topic}[{partition}], offset {max(offsets, default='?')}: {error}")


async def _written_for(kafka: Kafka) -> int:
    """Number of partitions that the others were written for; 0 if none says so.

    A partition without a past may be new because the installation is, or because somebody has added it.
    """
    for partition in range(await count_partitions(kafka, STATE.name)):
        row = await newest_positions(kafka, partition)
        if row is not None and row["partitions"]:
            return int(row["partitions"])
    return 0
