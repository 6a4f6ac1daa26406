"""Who has to wait for an earlier order of the same user."""

import numpy as np
from numba import carray, njit

from streams.processor import timers
from streams.state.books import ARRAY_AT, COUNT, SIZE, TIMERS, TURNS, Books, address, pointer

NUMBERS = 4
"""Of what waits: user, deadline, kind, key. Few do, so they are in no order."""
NOBODY_WAITS = -1
FIRST_TURNS = 256


@njit(cache=True)
def has_room(books):  # type: ignore[no-untyped-def]
    """Whether there is room for what one timer makes wait."""
    return books[TURNS, COUNT] < books[TURNS, SIZE]


@njit(cache=True)
def is_behind(books, user, deadline_ms, kind, key):  # type: ignore[no-untyped-def]
    """Whether what is due has to wait for an order that was due before; then it is told again after it."""
    if not books[TURNS, COUNT]:
        return False
    waiting = _waiting(books)
    first = _first(books, user)
    if first == NOBODY_WAITS or _is_before(waiting, deadline_ms, kind, key, first):
        return False
    _wait(books, user, deadline_ms, kind, key)
    return True


@njit(cache=True)
def hold(books, user, deadline_ms, key, until_ms):  # type: ignore[no-untyped-def]
    """Let an order wait that is due; it is told again at a deadline, after the verdicts.

    So does what is due of its user meanwhile: a user's orders and refunds take effect in the order in which
    they are due, and no click goes before what it may earn. After a restart what waits behind an order is due
    again.
    """
    _wait(books, user, deadline_ms, timers.PURCHASE, key)
    timers.add(books[TIMERS], until_ms, timers.TURN, user)


@njit(cache=True)
def take_turn(books, user):  # type: ignore[no-untyped-def]
    """Key of a user's order that has waited, or ``NOBODY_WAITS``; what waits behind it is due again."""
    waiting, first = _waiting(books), _first(books, user)
    if first == NOBODY_WAITS:
        return NOBODY_WAITS  # it had its turn before
    order, kept = waiting[first, 3], 0
    for place in range(books[TURNS, COUNT]):
        if waiting[place, 0] != user:
            waiting[kept] = waiting[place]
            kept += 1
        elif place != first:
            timers.add(books[TIMERS], waiting[place, 1], waiting[place, 2], waiting[place, 3])
    books[TURNS, COUNT] = kept
    return order


@njit(cache=True)
def _waiting(books):  # type: ignore[no-untyped-def]
    return carray(pointer(books[TURNS, ARRAY_AT]), (books[TURNS, SIZE], NUMBERS), np.int64)


@njit(cache=True)
def _first(books, user):  # type: ignore[no-untyped-def]
    """Place of what was due first of a user's."""
    waiting, first = _waiting(books), NOBODY_WAITS
    for place in range(books[TURNS, COUNT]):
        if waiting[place, 0] == user and (
            first == NOBODY_WAITS
            or _is_before(waiting, waiting[place, 1], waiting[place, 2], waiting[place, 3], first)
        ):
            first = place
    return first


@njit(cache=True)
def _wait(books, user, deadline_ms, kind, key):  # type: ignore[no-untyped-def]
    waiting = _waiting(books)
    for place in range(books[TURNS, COUNT]):
        if (
            waiting[place, 0] == user
            and waiting[place, 1] == deadline_ms
            and waiting[place, 2] == kind
            and waiting[place, 3] == key
        ):
            return
    new = waiting[books[TURNS, COUNT]]
    new[0], new[1], new[2], new[3] = user, deadline_ms, kind, key
    books[TURNS, COUNT] += 1


@njit(cache=True)
def _is_before(waiting, deadline_ms, kind, key, place):  # type: ignore[no-untyped-def]
    if deadline_ms != waiting[place, 1]:
        return deadline_ms < waiting[place, 1]
    return kind < waiting[place, 2] or (kind == waiting[place, 2] and key < waiting[place, 3])


class Turns:
    """Room for what waits; kernels find it by ``line``, its line in the books."""

    def __init__(self, line: Books) -> None:
        self.line = line
        self._hold(np.zeros((FIRST_TURNS, NUMBERS), np.int64))

    def reserve(self, count: int) -> None:
        """Make room for so many more."""
        wanted = int(self.line[COUNT]) + count
        if wanted > len(self._waiting):
            grown = np.zeros((2 * wanted, NUMBERS), np.int64)
            grown[: len(self._waiting)] = self._waiting
            self._hold(grown)

    def _hold(self, waiting: np.ndarray) -> None:
        self._waiting = waiting
        self.line[ARRAY_AT], self.line[SIZE] = address(waiting), len(waiting)
