"""The exactly-once counters of all partitions, read from the changelog by whoever asks."""

import asyncio
from collections import Counter

from schemas.topics import STATE
from streams.delivery.restore import count_partitions
from streams.settings import Settings
from streams.state.changelog import newest_positions
from streams.state.rows import COUNTERS


def read(settings: Settings) -> dict[str, int]:
    """Sums of ``COUNTERS`` over all partitions, as of their last checkpoints.

    Raises ``MissingTopicError``, ``RefusedStateError``, and what aiokafka raises where the broker is away.
    """
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> dict[str, int]:
    totals: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
    for partition in range(await count_partitions(settings.kafka, STATE.name)):
        row = await newest_positions(settings.kafka, partition)
        if row is not None:
            totals.update(dict(zip(COUNTERS, row["counters"].tolist(), strict=True)))
    return dict(totals)
