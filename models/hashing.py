"""Stable hashes: the same number for the same text on every machine, in every process, for ever.

Keys are 63 bits, so that they fit a signed 64-bit integer in numpy, numba and ClickHouse alike.
"""

import numpy as np
from numba import njit
from xxhash import xxh3_64_intdigest

MISSING = 0
"""The token of an empty text: "missing" is a value of its own."""


def stable_key(text: str, seed: int = 0) -> int:
    """63-bit key of a text; 0 for the empty text.

    >>> stable_key("u1") == stable_key("u1"), stable_key("u1") == stable_key("u1", seed=1), stable_key("")
    (True, False, 0)
    """
    return xxh3_64_intdigest(text.encode(), seed) >> 1 if text else MISSING


@njit(cache=True, inline="always")
def mix(x: np.uint64) -> np.uint64:
    """Finalizer of splitmix64 (Steele, Lea, Flood 2014): every input bit moves every output bit."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, inline="always")
def bucket_of(field: int, token: int, mask: int) -> np.uint32:
    """Bucket of a field's token; ``mask`` is ``2**bits - 1``."""
    return np.uint32(mix(np.uint64(token) ^ mix(np.uint64(field + 1))) & np.uint64(mask))
