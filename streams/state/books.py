"""A partition's pools and timers as kernels see them: one line of numbers each, with addresses of arrays.

Numba takes arrays one by one, and a call gets longer with each. So all that a kernel of the processor needs
is one array, ``books``: int64[LINES, COLUMNS]. Who owns an array (``Pool``, ``Timers``, ``Records``)
writes its address into its line, and does so again whenever it makes a larger one; never while a kernel runs.
They must be kept as long as the books: a kernel that follows an address of what is gone ends the process.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, njit, types
from numba.extending import intrinsic

from models.profiles import PROFILE
from streams.state.rows import CLICK, CLICKER, EXPOSURE, LINK, PURCHASE, REFUND, REPEAT, REQUEST

Books = npt.NDArray[np.int64]

PROFILES, REQUESTS, EXPOSURES, CLICKS, PURCHASES, REFUNDS, LINKS, CLICKERS, REPEATS = range(9)
"""Lines of the pools."""
CLICKS_OF, REPEATS_OF = 9, 10
"""Lines of the indexes of chains: a user's joined clicks, and who waits for a click's place."""
TIMERS, TURNS, COUNTS, RULES, TOLD, FOLLOWED, LEARNED, NAMED, TEXT = range(11, 20)
LINES = 20
COLUMNS = 40

(
    CAPACITY, COUNT, END, SLOTS, FREE, LEFT, GONE, OVERFLOWED, EVICTED, ROW_BYTES, AGE_AT, ROWS_AT, INDEX_AT,
    MASK, MARKS_AT, OLDER_AT, NEWER_AT, FREE_AT, LEFT_AT, GONE_AT,
) = range(20)  # fmt: skip
"""Columns of a pool. ``COUNT`` rows are in it, and slots from ``END`` to ``SLOTS`` were never used."""

ARRAY_AT, SIZE = 2, 3
"""Columns of what else has an array: its address and how many it has room for; ``COUNT`` are in it."""

STREAM_MS, EXPIRED_MS = 0, 1
"""Columns of ``RULES``: the newest event time seen, and up to when all that was
due has happened; those behind them are the processor's."""


def new_books() -> Books:
    """Empty ones."""
    return np.zeros((LINES, COLUMNS), np.int64)


def address(array: npt.NDArray[Any]) -> int:
    """Where the data of an array begins."""
    return int(array.ctypes.data)


@intrinsic
def pointer(typing_context, address):  # type: ignore[no-untyped-def]
    """An address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@njit(cache=True)
def unowned(array):  # type: ignore[no-untyped-def]
    """An array whose owners are not counted; who passed it in keeps it.

    Each view of a counted one raises and lowers the count by locked instructions, several times an event.
    """
    return carray(pointer(array.ctypes.data), array.shape, array.dtype)


@njit(cache=True)
def profiles(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[PROFILES, ROWS_AT]), (books[PROFILES, SLOTS],), PROFILE)


@njit(cache=True)
def requests(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[REQUESTS, ROWS_AT]), (books[REQUESTS, SLOTS],), REQUEST)


@njit(cache=True)
def exposures(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[EXPOSURES, ROWS_AT]), (books[EXPOSURES, SLOTS],), EXPOSURE)


@njit(cache=True)
def clicks(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[CLICKS, ROWS_AT]), (books[CLICKS, SLOTS],), CLICK)


@njit(cache=True)
def purchases(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[PURCHASES, ROWS_AT]), (books[PURCHASES, SLOTS],), PURCHASE)


@njit(cache=True)
def refunds(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[REFUNDS, ROWS_AT]), (books[REFUNDS, SLOTS],), REFUND)


@njit(cache=True)
def links(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[LINKS, ROWS_AT]), (books[LINKS, SLOTS],), LINK)


@njit(cache=True)
def clickers(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[CLICKERS, ROWS_AT]), (books[CLICKERS, SLOTS],), CLICKER)


@njit(cache=True)
def repeats(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[REPEATS, ROWS_AT]), (books[REPEATS, SLOTS],), REPEAT)
