"""The exactly-once counters of all partitions, read from the changelog by whoever asks."""

import asyncio
from collections import Counter

from schemas.topics import STATE
from streams.delivery.restore import count_partitions, read_all
from streams.settings import Settings
from streams.state.rows import COUNTERS, META_KEY, decode_rows


def read(settings: Settings) -> dict[str, int]:
    """Sums of ``COUNTERS`` over all partitions, as of their last checkpoints.

    Raises ``MissingTopicError``, and what aiokafka raises where the broker is away.
    """
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> dict[str, int]:
    totals: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
    for partition in range(await count_partitions(settings.kafka, STATE.name)):
        newest = None
        async for key, value in read_all(settings.kafka, STATE.name, partition):
            if key == META_KEY:
                newest = value
        if newest:
            row = decode_rows(b"M", [newest])[0]
            totals.update(dict(zip(COUNTERS, row["counters"].tolist(), strict=True)))
    return dict(totals)
