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


_P64_2, _P64_3 = np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_P_AVALANCHE, _P_RRMXMX = np.uint64(0x165667919E3779F9), np.uint64(0x9FB21C651E98DF25)
# What XXH3's default secret comes to where short inputs use it.
_FLIP_3 = np.uint64(0x396CFEB8 ^ 0xBE4BA423)
_FLIP_8 = np.uint64(0x1CAD21F72C81017C ^ 0xDB979083E96DD4DE)
_FLIP_LOW = np.uint64(0x1F67B3B7A4A44072 ^ 0x78E5C0CC4EE679CB)
_FLIP_HIGH = np.uint64(0x2172FFCC7DD05A82 ^ 0x8E2443F7744608B8)
_LOW_32 = np.uint64(0xFFFFFFFF)


@njit(cache=True)
def number_key(number: int, seed: int) -> np.int64:
    """``stable_key(str(number), seed)`` of a number from 0 to 10**16 - 1, for kernels.

    XXH3 of up to 16 bytes (Collet, xxHash 0.8, ``XXH3_len_0to16_64b``).

    >>> number_key(1_700_000_000_000, 7) == stable_key("1700000000000", 7)
    True
    """
    digits = 1
    while digits < 16 and number >= 10**digits:
        digits += 1
    low = high = np.uint64(0)  # the first 8 bytes of the text, little-endian, and the last 8
    text = np.empty(16, np.uint8)
    for place in range(digits - 1, -1, -1):
        text[place] = 48 + number % 10
        number //= 10
    seed_ = np.uint64(seed)
    if digits < 4:
        first, middle, last = np.uint64(text[0]), np.uint64(text[digits // 2]), np.uint64(text[digits - 1])
        combined = first << np.uint64(16) | middle << np.uint64(24) | last | np.uint64(digits) << np.uint64(8)
        h = combined ^ (_FLIP_3 + seed_)
        h = (h ^ (h >> np.uint64(33))) * _P64_2
        h = (h ^ (h >> np.uint64(29))) * _P64_3
        return np.int64((h ^ (h >> np.uint64(32))) >> np.uint64(1))
    width = 4 if digits <= 8 else 8
    for place in range(width):
        low |= np.uint64(text[place]) << np.uint64(8 * place)
        high |= np.uint64(text[digits - width + place]) << np.uint64(8 * place)
    if digits <= 8:
        seed_ ^= np.uint64(_swapped(seed_ & _LOW_32) >> np.uint64(32)) << np.uint64(32)
        h = (high + (low << np.uint64(32))) ^ (_FLIP_8 - seed_)
        h ^= _rotated(h, 49) ^ _rotated(h, 24)
        h *= _P_RRMXMX
        h ^= (h >> np.uint64(35)) + np.uint64(digits)
        h *= _P_RRMXMX
        return np.int64((h ^ (h >> np.uint64(28))) >> np.uint64(1))
    low ^= _FLIP_LOW + seed_
    high ^= _FLIP_HIGH - seed_
    h = np.uint64(digits) + _swapped(low) + high + _folded(low, high)
    h = (h ^ (h >> np.uint64(37))) * _P_AVALANCHE
    return np.int64((h ^ (h >> np.uint64(32))) >> np.uint64(1))


@njit(cache=True, inline="always")
def _rotated(x: np.uint64, bits: int) -> np.uint64:
    return np.uint64(x << np.uint64(bits) | x >> np.uint64(64 - bits))


@njit(cache=True)
def _swapped(x: np.uint64) -> np.uint64:
    """Its bytes in the other order."""
    y = np.uint64(0)
    for _ in range(8):
        y = y << np.uint64(8) | x & np.uint64(0xFF)
        x >>= np.uint64(8)
    return y


@njit(cache=True)
def _folded(x: np.uint64, y: np.uint64) -> np.uint64:
    """Both halves of the product of 128 bits, by exclusive or."""
    half = np.uint64(32)
    x0, x1, y0, y1 = x & _LOW_32, x >> half, y & _LOW_32, y >> half
    cross = (x0 * y0 >> half) + (x1 * y0 & _LOW_32) + x0 * y1
    upper = x1 * y1 + (x1 * y0 >> half) + (cross >> half)
    return np.uint64((cross << half | x0 * y0 & _LOW_32) ^ upper)
