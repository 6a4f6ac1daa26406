"""Numbers as JSON text, for kernels: what a kernel has computed need not become Python's numbers first."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

LARGEST = 2**63 - 1
"""The one number below its negative, which NaN becomes, is written as that."""
ZERO, POINT, MINUS, COMMA, OPEN, CLOSE = (ord(sign) for sign in "0.-,[]")


def texts_of(words: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Bytes of some texts, one behind the other, and where each begins."""
    data = [word.encode() for word in words]
    return np.frombuffer(b"".join(data), np.uint8), np.cumsum([0, *map(len, data)])


@njit(cache=True)
def write_whole(text, at, number):  # type: ignore[no-untyped-def]
    """Write a whole number from ``at`` on; returns where it ends."""
    if number < 0:
        text[at] = MINUS
        at += 1
        number = -max(number, -LARGEST)
    end, rest = at + 1, number // 10
    while rest:
        end += 1
        rest //= 10
    for place in range(end - 1, at - 1, -1):
        text[place] = ZERO + number % 10
        number //= 10
    return end


@njit(cache=True)
def write_decimal(text, at, number, unit):  # type: ignore[no-untyped-def]
    """Write ``number / unit``, a power of ten, with as many digits as it needs, one at least."""
    if number < 0:
        text[at] = MINUS
        at += 1
        number = -max(number, -LARGEST)
    at = write_whole(text, at, number // unit)
    rest = number % unit
    text[at] = POINT
    at += 1
    while True:
        unit //= 10
        text[at] = ZERO + rest // unit
        rest %= unit
        at += 1
        if not rest:
            return at


@njit(cache=True)
def write_wholes(text, at, numbers):  # type: ignore[no-untyped-def]
    """Write a list of whole numbers."""
    text[at] = OPEN
    at += 1
    for place in range(len(numbers)):
        if place:
            text[at] = COMMA
            at += 1
        at = write_whole(text, at, np.int64(numbers[place]))
    text[at] = CLOSE
    return at + 1


@njit(cache=True)
def write_bytes(text, at, data):  # type: ignore[no-untyped-def]
    """Write what is text already."""
    for place in range(len(data)):
        text[at + place] = data[place]
    return at + len(data)
