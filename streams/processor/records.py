"""What kernels have to say: told in numbers while events are looked at, written as records afterwards."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import carray, njit

from streams.processor.examples import EXAMPLE, EXAMPLE_TEXT
from streams.state.books import (
    ARRAY_AT,
    COUNT,
    FOLLOWED,
    LEARNED,
    NAMED,
    REPEATS,
    SIZE,
    TEXT,
    TOLD,
    Books,
    address,
    pointer,
)
from streams.state.rows import NOBODY

EXPOSED, CLICKED, ORDERED, REFUNDED, CREDITED, UNFOUNDED = range(6)
"""What an outcome is about."""
VALID, IMPOSSIBLE_TIMING, RATE, NO_EXPOSURE, NO_DECISION, REPEATED, NO_PAGE_VIEW = range(7)
"""Codes of ``schemas.outcomes.Invalid``."""
EVENT, CLICKER_ROW, ORDER_ROW, UNKNOWN = range(4)
"""Who says of which shop and user it is: the event with a number, a row in a slot, or nobody any more."""
PROFILE_ROW, CLICKER_NAMES, ORDER_NAMES = range(3)
"""Rows with texts of an event, which are written when the kernel is done."""

OUTCOME = np.dtype(
    [
        (name, "i8")
        for name in (
            "what", "who", "at", "invalid", "cause_origin", "cause_offset", "ts_ms", "nobody", "shown",
            "is_ad", "request_offset", "request_slot", "request_origin", "exposure_offset",
            "exposure_origin", "delay_ms", "revenue_micros",
        )
    ]
)  # fmt: skip
TOLD_NUMBERS, NAMED_NUMBERS = 3, 3

FIRST_RECORDS = 4096
FIRST_TEXT = 1 << 22
RESERVE = 64
"""Records of each kind that one event or one timer makes at most; more only where repeated clicks wait."""


class Told(NamedTuple):
    """An outcome, as ``OUTCOME`` has it."""

    what: int
    who: int
    at: int
    invalid: int
    cause_origin: int
    cause_offset: int
    ts_ms: int
    nobody: int
    shown: int
    is_ad: int
    request_offset: int
    request_slot: int
    request_origin: int
    exposure_offset: int
    exposure_origin: int
    delay_ms: int
    revenue_micros: int


@njit(cache=True)
def has_room(books):  # type: ignore[no-untyped-def]
    """Whether as much can be told as one event or one timer makes."""
    records = RESERVE + books[REPEATS, COUNT]
    return (
        books[TOLD, COUNT] + records <= books[TOLD, SIZE]
        and books[FOLLOWED, COUNT] + records <= books[FOLLOWED, SIZE]
        and books[LEARNED, COUNT] + records <= books[LEARNED, SIZE]
        and books[NAMED, COUNT] + records <= books[NAMED, SIZE]
        and books[TEXT, COUNT] + RESERVE * EXAMPLE_TEXT <= books[TEXT, SIZE]
    )


@njit(cache=True)
def tell(books, what, reference, invalid):  # type: ignore[no-untyped-def]
    """There is an outcome: of an exposure the event's number, of all else its row of ``OUTCOME``."""
    told, at = (
        carray(pointer(books[TOLD, ARRAY_AT]), (books[TOLD, SIZE], TOLD_NUMBERS), np.int64),
        books[TOLD, COUNT],
    )
    told[at, 0], told[at, 1], told[at, 2] = what, reference, invalid
    books[TOLD, COUNT] += 1


@njit(cache=True)
def unfounded(books, origin, offset, ts_ms, user, who, at, invalid):  # type: ignore[no-untyped-def]
    """An invalid click on what is not known to have been shown."""
    place = books[FOLLOWED, COUNT]
    row = carray(pointer(books[FOLLOWED, ARRAY_AT]), (books[FOLLOWED, SIZE],), OUTCOME)[place]
    row.what, row.who, row.at, row.invalid, row.nobody = UNFOUNDED, who, at, invalid, user == NOBODY
    row.cause_origin, row.cause_offset, row.ts_ms = origin, offset, ts_ms
    row.delay_ms = row.revenue_micros = 0
    books[FOLLOWED, COUNT] += 1
    tell(books, UNFOUNDED, place, invalid)


@njit(cache=True)
def followed(books, what, origin, offset, ts_ms, who, at, click, delay_ms, revenue_micros, invalid):  # type: ignore[no-untyped-def]
    """It was clicked, the click earned an order, that was paid back, or the click was taken back."""
    place = books[FOLLOWED, COUNT]
    row = carray(pointer(books[FOLLOWED, ARRAY_AT]), (books[FOLLOWED, SIZE],), OUTCOME)[place]
    row.what, row.who, row.at, row.invalid, row.nobody = what, who, at, invalid, click.user == NOBODY
    row.cause_origin, row.cause_offset, row.ts_ms = origin, offset, ts_ms
    row.shown, row.is_ad = click.shown, click.is_ad
    row.request_offset, row.request_slot = click.request_offset, click.request_slot
    row.request_origin = click.request_origin
    row.exposure_offset, row.exposure_origin = click.exposure_offset, click.exposure_origin
    row.delay_ms, row.revenue_micros = delay_ms, revenue_micros
    books[FOLLOWED, COUNT] += 1
    tell(books, what, place, invalid)


@njit(cache=True)
def name(books, what, slot, event):  # type: ignore[no-untyped-def]
    """A new row needs texts of an event."""
    named, at = (
        carray(pointer(books[NAMED, ARRAY_AT]), (books[NAMED, SIZE], NAMED_NUMBERS), np.int64),
        books[NAMED, COUNT],
    )
    named[at, 0], named[at, 1], named[at, 2] = what, slot, event
    books[NAMED, COUNT] += 1


class Records:
    """Room for what is told, and what has been told of it so far."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._told = self._hold(TOLD, np.zeros((FIRST_RECORDS, TOLD_NUMBERS), np.int64))
        self._followed = self._hold(FOLLOWED, np.zeros(FIRST_RECORDS, OUTCOME))
        self._learned = self._hold(LEARNED, np.zeros(FIRST_RECORDS, EXAMPLE))
        self._named = self._hold(NAMED, np.zeros((FIRST_RECORDS, NAMED_NUMBERS), np.int64))
        self._text = self._hold(TEXT, np.zeros(FIRST_TEXT, np.uint8))

    def reserve(self, waiting: int) -> None:
        """Make room for what follows where so many repeated clicks wait; nothing has been told."""
        if FIRST_RECORDS + 2 * waiting > self.books[TOLD, SIZE]:
            size = FIRST_RECORDS + 4 * waiting
            self._told = self._hold(TOLD, np.zeros((size, TOLD_NUMBERS), np.int64))
            self._followed = self._hold(FOLLOWED, np.zeros(size, OUTCOME))
            self._learned = self._hold(LEARNED, np.zeros(size, EXAMPLE))
            self._named = self._hold(NAMED, np.zeros((size, NAMED_NUMBERS), np.int64))

    def outcomes(self) -> tuple[list[list[int]], list[tuple[int, ...]]]:
        """What was told, in order, and the rows that it refers to, as for ``Told``."""
        return self._told[: self._count(TOLD)].tolist(), self._followed[: self._count(FOLLOWED)].tolist()

    def examples(self) -> list[tuple[Any, ...]]:
        """Rows of ``EXAMPLE``."""
        learned: list[tuple[Any, ...]] = self._learned[: self._count(LEARNED)].tolist()
        return learned

    def named(self) -> list[list[int]]:
        """What, slot and event of rows that need texts."""
        named: list[list[int]] = self._named[: self._count(NAMED)].tolist()
        return named

    def text(self) -> bytes:
        """All text."""
        return self._text[: self._count(TEXT)].tobytes()

    def clear(self) -> None:
        """Begin anew."""
        self.books[[TOLD, FOLLOWED, LEARNED, NAMED, TEXT], COUNT] = 0

    def _count(self, line: int) -> int:
        return int(self.books[line, COUNT])

    def _hold(self, line: int, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        self.books[line, ARRAY_AT], self.books[line, SIZE] = address(array), len(array)
        return array
