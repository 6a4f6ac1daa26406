"""One user's profile, read from the changelog by whoever asks."""

import asyncio

import numpy as np

from models.hashing import stable_key
from schemas.topics import STATE
from streams.delivery.restore import count_partitions, read_all
from streams.routing import partition_of
from streams.settings import Kafka
from streams.state.rows import decode_rows, encode_key


def user_key(shop_id: str, user_id: str) -> int:
    """Key of a user's rows, as the processor makes it."""
    return stable_key(user_id, seed=stable_key(shop_id))


def find_profile(kafka: Kafka, shop_id: str, user_id: str) -> np.void | None:
    """The newest committed profile row of a user; None if there is none.

    Reads the changelog partition of the user once through. Raises ``MissingTopicError``, and what
    aiokafka raises where the broker is away.
    """
    return asyncio.run(_find(kafka, encode_key(b"P", user_key(shop_id, user_id)), user_id.encode()))


async def _find(kafka: Kafka, wanted: bytes, partition_key: bytes) -> np.void | None:
    partition = partition_of(partition_key, await count_partitions(kafka, STATE.name))
    newest = None
    async for key, value in read_all(kafka, STATE.name, partition):
        if key == wanted:
            newest = value
    return decode_rows(b"P", [newest])[0] if newest else None
