"""Which clicks are invalid traffic: the rules, and the counts that they need.

What is known when a click meets its exposure makes it invalid at once: impossible timing. How often its
user has clicked is known for good only when every click of the window has come: then a click that counted
until now is credited (``streams.processor.joins``).

Windows are hopping, made of two panes each (Li et al. 2005, "No pane, no gain"): a user's clicks of a pane
are one counter, however many they are, so a flood of clicks takes no memory, and their order makes no
difference. More than ``max_clicks`` within half a window are always found; within a whole one, if it begins
with a pane.
"""

from numba import njit

from models.hashing import number_key
from streams.processor import timers
from streams.processor.records import CLICKER_NAMES, IMPOSSIBLE_TIMING, NO_PAGE_VIEW, RATE, VALID, name
from streams.processor.rules import (
    CLOCK_TOLERANCE_MS,
    JUDGES,
    LATENESS_MS,
    MAX_CLICKS,
    MIN_DELAY_MS,
    NEEDS_PAGE_VIEW,
    PANE_MS,
)
from streams.state.books import CLICKERS, PROFILES, RULES, TIMERS, clickers, profiles
from streams.state.index import ABSENT, find
from streams.state.rows import NOBODY
from streams.state.slots import put, remove, touch

KEPT_PANES = 4
"""A click at the end of a pane is judged 3 panes after its beginning, and then by the pane before, too."""


@njit(cache=True)
def clicker_of(user, key):  # type: ignore[no-untyped-def]
    """Whose clicks are counted together: a user's; of nobody, those on the same decision."""
    return key if user == NOBODY else user


@njit(cache=True)
def timing(books, delay_ms):  # type: ignore[no-untyped-def]
    """The verdict on a click that comes so long after its exposure.

    A click that is before its exposure by no more than clocks may differ is no fraud, and no click on that
    exposure either.
    """
    rules = books[RULES]
    if delay_ms >= rules[MIN_DELAY_MS] or -rules[CLOCK_TOLERANCE_MS] <= delay_ms < 0 or not rules[JUDGES]:
        return VALID
    return IMPOSSIBLE_TIMING


@njit(cache=True)
def count_click(books, clicker, user, ts_ms, event):  # type: ignore[no-untyped-def]
    """Count a click on an ad or promotion, whatever becomes of it."""
    rules, pool = books[RULES], books[CLICKERS]
    if not rules[JUDGES]:
        return
    pane = ts_ms // rules[PANE_MS]
    key = number_key(pane, clicker)
    slot = find(pool, key)
    if slot != ABSENT:
        clickers(books)[slot].clicks += 1
        touch(pool, slot)
        return
    slot = put(pool, key)
    row = clickers(books)[slot]
    row.ts_ms, row.user, row.clicks = pane * rules[PANE_MS], user, 1
    name(books, CLICKER_NAMES, slot, event)
    timers.add(books[TIMERS], until_ms(books, row.ts_ms), timers.CLICKER, key)


@njit(cache=True)
def verdict(books, user, clicker, ts_ms):  # type: ignore[no-untyped-def]
    """Of a user's click at a time, once all is here that it depends on.

    A first page view soon after the click counts if it has come by now: the one verdict that may depend on
    how late an event is.
    """
    if is_burst(books, clicker, ts_ms):
        return RATE
    if not books[RULES, NEEDS_PAGE_VIEW] or user == NOBODY:
        return VALID
    profile = find(books[PROFILES], user)
    return VALID if profile != ABSENT and profiles(books)[profile].views else NO_PAGE_VIEW


@njit(cache=True)
def is_burst(books, clicker, ts_ms):  # type: ignore[no-untyped-def]
    """Whether a clicker's clicks around a time are too many for a person, as far as they have come."""
    rules = books[RULES]
    if not rules[MAX_CLICKS]:
        return False
    pane = ts_ms // rules[PANE_MS]
    beside = max(_clicks(books, clicker, pane - 1), _clicks(books, clicker, pane + 1))
    return _clicks(books, clicker, pane) + beside > rules[MAX_CLICKS]


@njit(cache=True)
def row_of_clicker(books, clicker, ts_ms):  # type: ignore[no-untyped-def]
    """The row that says who has clicked at a time; ``ABSENT`` where it has made room for another."""
    return find(books[CLICKERS], number_key(ts_ms // books[RULES, PANE_MS], clicker))


@njit(cache=True)
def until_ms(books, pane_begins_ms):  # type: ignore[no-untyped-def]
    """Until when a count is needed."""
    return pane_begins_ms + KEPT_PANES * books[RULES, PANE_MS] + books[RULES, LATENESS_MS]


@njit(cache=True)
def clicker_due(books, key):  # type: ignore[no-untyped-def]
    remove(books[CLICKERS], key)


@njit(cache=True)
def _clicks(books, clicker, pane):  # type: ignore[no-untyped-def]
    slot = find(books[CLICKERS], number_key(pane, clicker))
    return 0 if slot == ABSENT else clickers(books)[slot].clicks
