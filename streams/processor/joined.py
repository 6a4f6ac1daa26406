"""Clicks that have met their exposure: whose they are, what they may earn, when each is a negative."""

import numpy as np
from numba import njit

from models.delays import draw_age_ms
from models.hashing import number_key
from streams.processor import timers
from streams.processor.examples import CVR, NEGATIVE, learn
from streams.processor.rules import ATTRIBUTION_WINDOW_MS, FINAL_MS, ORDER_LATENESS_MS
from streams.processor.turns import is_behind
from streams.processor.validity import is_burst
from streams.state import chains
from streams.state.books import CLICKS, CLICKS_OF, COUNT, END, EVICTED, RULES, STREAM_MS, TIMERS, clicks
from streams.state.index import ABSENT, find
from streams.state.rows import NO_OFFSET, NOBODY
from streams.state.slots import USED, marks_of, remove, touch

LEARNABLE, WAITS = 1, 2
"""Of a click: it has features; it is still to be learned as a negative."""


@njit(cache=True)
def add_joined(books, slot):  # type: ignore[no-untyped-def]
    """A click has met its exposure; it is kept until no order can be its own any more."""
    click = clicks(books)[slot]
    if click.user != NOBODY:
        chains.link(books[CLICKS_OF], books[CLICKS], click.user, slot)
    timers.add(books[TIMERS], kept_until_ms(books, click), timers.CLICK, click.key)


@njit(cache=True)
def last_joined(books, user, ts_ms):  # type: ignore[no-untyped-def]
    """Slot of the user's newest at or before a time and inside the attribution window; ``ABSENT`` if none."""
    rows = clicks(books)
    slot = chains.newest(books[CLICKS_OF], user)
    while slot != ABSENT and rows[slot].ts_ms > ts_ms:
        slot = chains.older(books[CLICKS_OF], books[CLICKS], user, slot)
    if slot != ABSENT and ts_ms - rows[slot].ts_ms > books[RULES, ATTRIBUTION_WINDOW_MS]:
        return ABSENT
    return slot


@njit(cache=True)
def hold(books, slot, until_ms):  # type: ignore[no-untyped-def]
    """Keep a click beyond its window, for the refunds of an order that it earned."""
    click = clicks(books)[slot]
    if until_ms > kept_until_ms(books, click):
        click.held_until_ms = until_ms
        touch(books[CLICKS], slot)
        timers.add(books[TIMERS], until_ms, timers.CLICK, click.key)


@njit(cache=True)
def forget(books, slot):  # type: ignore[no-untyped-def]
    """A joined click earns nothing any more."""
    unlink_joined(books, slot)
    remove(books[CLICKS], clicks(books)[slot].key)


@njit(cache=True)
def unlink_joined(books, slot):  # type: ignore[no-untyped-def]
    """A joined click is not its user's for now."""
    user = clicks(books)[slot].user
    if user != NOBODY:
        chains.unlink(books[CLICKS_OF], books[CLICKS], user, slot)


@njit(cache=True)
def link_joined(books):  # type: ignore[no-untyped-def]
    """Derive anew whose clicks are joined."""
    pool, rows = books[CLICKS], clicks(books)
    pool[EVICTED] = 0
    owners, slots = np.empty(pool[COUNT], np.int64), np.empty(pool[COUNT], np.int64)
    marks, found = marks_of(pool), 0
    for slot in range(pool[END]):
        click = rows[slot]
        if marks[slot] & USED and click.exposure_offset != NO_OFFSET and click.user != NOBODY:
            owners[found], slots[found] = click.user, slot
            found += 1
    chains.link_all(books[CLICKS_OF], pool, owners[:found], slots[:found])


@njit(cache=True)
def has_joined(books, user):  # type: ignore[no-untyped-def]
    """Whether there are any of a user."""
    return chains.newest(books[CLICKS_OF], user) != ABSENT


@njit(cache=True)
def leave(books, user, limit):  # type: ignore[no-untyped-def]
    """Remove a user's newest that have earned nothing yet, and list their slots: they are another user's now.

    Those that have stay, for the refunds of what they earned; and those that look like a burst, where the
    verdict finds them.
    """
    taken = np.empty(limit, np.int64)
    found = 0
    slot = chains.newest(books[CLICKS_OF], user)
    while slot != ABSENT and found < limit:
        click, next_ = clicks(books)[slot], chains.older(books[CLICKS_OF], books[CLICKS], user, slot)
        if not (click.converted or click.held_until_ms or is_burst(books, user, click.ts_ms)):
            taken[found] = slot
            found += 1
        slot = next_
    for place in range(found):
        forget(books, taken[place])
    return taken[:found]


@njit(cache=True)
def receive(books, slot):  # type: ignore[no-untyped-def]
    """A click of another user, whose row is in that slot, is its new user's from now on."""
    click, stream_ms = clicks(books)[slot], books[RULES, STREAM_MS]
    judged_ms = click.ts_ms + books[RULES, FINAL_MS]
    if judged_ms >= stream_ms:
        timers.add(books[TIMERS], judged_ms, timers.VERDICT, click.key)
    add_joined(books, slot)
    if click.learnable == WAITS:
        await_negative(books, slot, stream_ms)


@njit(cache=True)
def restore_joined(books, slot):  # type: ignore[no-untyped-def]
    """Timers of a click that has been loaded."""
    click = clicks(books)[slot]
    timers.add(books[TIMERS], kept_until_ms(books, click), timers.CLICK, click.key)
    if click.learnable == WAITS:
        timers.add(books[TIMERS], _negative_ms(books, click), timers.NEGATIVE, click.key)


@njit(cache=True)
def await_negative(books, slot, now_ms):  # type: ignore[no-untyped-def]
    """Learn a click as a negative when it has reached the age that is drawn for it."""
    click = clicks(books)[slot]
    due_ms = _negative_ms(books, click)
    click.learnable = WAITS
    touch(books[CLICKS], slot)
    if due_ms < now_ms:
        negative_due(books, click.key, due_ms)
    else:
        timers.add(books[TIMERS], due_ms, timers.NEGATIVE, click.key)


@njit(cache=True)
def negative_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    """A click has reached its age, whatever comes of it."""
    slot = find(books[CLICKS], key)
    if slot == ABSENT:
        return
    click = clicks(books)[slot]
    if click.learnable != WAITS or deadline_ms < _negative_ms(books, click):
        return  # learned, or set for another click that had the key
    click.learnable = LEARNABLE
    touch(books[CLICKS], slot)
    age_ms, stands_for = _negative_age(books, click)
    learn(
        books, CVR, click.origin, click.offset, NEGATIVE, 0, click.ts_ms, click.request_offset,
        float(stands_for), age_ms, click.buckets,
    )  # fmt: skip


@njit(cache=True)
def click_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[CLICKS], key)
    if slot == ABSENT:
        return
    click = clicks(books)[slot]
    # Else the timer was set for the one that was here before, or the click is held.
    if (
        click.exposure_offset != NO_OFFSET
        and deadline_ms >= kept_until_ms(books, click)
        and not is_behind(books, click.user, deadline_ms, timers.CLICK, key)
    ):
        forget(books, slot)


@njit(cache=True)
def kept_until_ms(books, click):  # type: ignore[no-untyped-def]
    """Until when it is kept for the orders that it may earn."""
    window_ms = books[RULES, ATTRIBUTION_WINDOW_MS] + books[RULES, ORDER_LATENESS_MS]
    return max(click.ts_ms + window_ms, click.held_until_ms)


@njit(cache=True)
def _negative_age(books, click):  # type: ignore[no-untyped-def]
    """At what age it is learned as a negative, and how many clicks it then stands for.

    Told by the click itself, not by its place: it is the same wherever `headrace repartition` moves it. A
    click that moves with a login before it was learned draws anew.
    """
    return draw_age_ms(number_key(click.ts_ms, click.user), books[RULES, ATTRIBUTION_WINDOW_MS])


@njit(cache=True)
def _negative_ms(books, click):  # type: ignore[no-untyped-def]
    """When: as much later as orders are settled."""
    return click.ts_ms + _negative_age(books, click)[0] + books[RULES, FINAL_MS]
