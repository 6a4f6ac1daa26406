"""Request -> exposure -> click: the joins that give outcomes and labels of clicks.

Each side may come first: what waits for its partner lies in a pool of the state until event time (stream
time) says that the partner can no longer come. Nothing here depends on the order of arrival inside the
lateness horizon, with one exception: of several valid clicks that a user makes on one exposure the first to
arrive counts.

A click that is invalid (``streams.processor.validity``) is passed over as if it had never been: its exposure
may still be clicked, and becomes a negative if it is not. An order that may be earned by a click that
waits for such a place is settled once it is known whose the place is.
"""

from numba import njit

from streams.processor import timers
from streams.processor.examples import (
    CREDITED_NEGATIVE,
    CREDITED_POSITIVE,
    CTR,
    CVR,
    NEGATIVE,
    POSITIVE,
    learn,
)
from streams.processor.joined import (
    WAITS,
    add_joined,
    await_negative,
    forget,
    last_joined,
    link_joined,
    unlink_joined,
)
from streams.processor.records import (
    CLICKED,
    CLICKER_ROW,
    CREDITED,
    EVENT,
    EXPOSED,
    NO_DECISION,
    NO_EXPOSURE,
    RATE,
    REPEATED,
    UNKNOWN,
    VALID,
    followed,
    tell,
    unfounded,
)
from streams.processor.repeats import add_repeat, first_repeat, next_repeat, remove_repeat
from streams.processor.rules import (
    ATTRIBUTION_WINDOW_MS,
    CLICK_WINDOW_MS,
    FINAL_MS,
    JUDGES,
    LATENESS_MS,
    REQUEST_WINDOW_MS,
    UNMATCHED_CLICKS,
    UNMATCHED_EXPOSURES,
    count,
    count_invalid,
)
from streams.processor.validity import clicker_of, count_click, is_burst, row_of_clicker, timing, verdict
from streams.state import chains
from streams.state.books import (
    CLICKS,
    CLICKS_OF,
    COUNT,
    EVICTED,
    EXPOSURES,
    REPEATS,
    REQUESTS,
    RULES,
    STREAM_MS,
    TIMERS,
    clicks,
    exposures,
    repeats,
    requests,
)
from streams.state.index import ABSENT, find
from streams.state.rows import NO_OFFSET
from streams.state.slots import put, remove, touch

NO_NEXT = -1


@njit(cache=True)
def requested(books, key, ts_ms, user):  # type: ignore[no-untyped-def]
    """A decision was asked for: a row for what was known then, for the exposure that may follow."""
    slot = put(books[REQUESTS], key)
    row = requests(books)[slot]
    row.ts_ms, row.user = ts_ms, user
    due_ms = ts_ms + books[RULES, REQUEST_WINDOW_MS] + books[RULES, LATENESS_MS]
    timers.add(books[TIMERS], due_ms, timers.REQUEST, key)
    return slot


@njit(cache=True)
def request_of(books, decision, ts_ms, user):  # type: ignore[no-untyped-def]
    """Row of our decision; ``ABSENT`` if there was no such one for this user in the window."""
    slot = find(books[REQUESTS], decision)
    if slot == ABSENT:
        return slot
    row = requests(books)[slot]
    if row.user != user or ts_ms > row.ts_ms + books[RULES, REQUEST_WINDOW_MS]:
        return ABSENT
    return slot


@njit(cache=True)
def unmatched(books, key, event):  # type: ignore[no-untyped-def]
    """There is no such decision of ours: it is forged, or the exposure has come before."""
    count(books, UNMATCHED_EXPOSURES)
    if books[RULES, JUDGES]:
        invalid = NO_DECISION if find(books[EXPOSURES], key) == ABSENT else REPEATED
        count_invalid(books, invalid)
        tell(books, EXPOSED, event, invalid)


@njit(cache=True)
def exposed(books, key, ts_ms, offset, user, shown, is_ad, learnable, event):  # type: ignore[no-untyped-def]
    """An ad or promotion was shown; returns its row, where what it was requested by and its features are due.

    Once they are there ``meet`` may join it.
    """
    slot = put(books[EXPOSURES], key)
    row = exposures(books)[slot]
    row.ts_ms, row.user, row.offset, row.request_offset = ts_ms, user, offset, NO_OFFSET
    row.shown, row.is_ad, row.learnable = shown, is_ad, learnable
    due_ms = ts_ms + books[RULES, CLICK_WINDOW_MS] + books[RULES, FINAL_MS]
    timers.add(books[TIMERS], due_ms, timers.EXPOSURE, key)
    tell(books, EXPOSED, event, VALID)
    return slot


@njit(cache=True)
def meet(books, key, event):  # type: ignore[no-untyped-def]
    """Now that an exposure has its features, join a click that came first."""
    if find(books[CLICKS], key) != ABSENT:
        now_ms = books[RULES, STREAM_MS]
        if not _join(books, key, EVENT, event, now_ms, False):
            _let_next(books, key, EVENT, event, now_ms, False)


@njit(cache=True)
def clicked(books, key, ts_ms, offset, user, event_key, event):  # type: ignore[no-untyped-def]
    """An ad or promotion was clicked; the exposure may be still to come."""
    now_ms = books[RULES, STREAM_MS]
    count_click(books, clicker_of(user, key), user, ts_ms, event)
    if find(books[CLICKS], key) == ABSENT:
        _put(books, key, ts_ms, user, offset, 0, EVENT, event, now_ms, False)
    elif books[RULES, JUDGES]:
        slot = add_repeat(books, event_key, ts_ms, user, offset, key)
        due_ms = repeat_until_ms(books, repeats(books)[slot], now_ms)
        timers.add(books[TIMERS], due_ms, timers.REPEAT, event_key)


@njit(cache=True)
def awaited(books, user, ts_ms, deadline_ms):  # type: ignore[no-untyped-def]
    """The click whose verdict comes next of those that decide what earns a user's order of a time: its slot.

    All verdicts up to the deadline have been given. One on a click after the order may free its place for one
    before it. ``ABSENT`` where there is none to wait for.
    """
    found = ABSENT
    if not books[REPEATS, COUNT]:
        return found
    rows, last = clicks(books), last_joined(books, user, ts_ms)
    # A click in whose place another may come has met its exposure. They come newest first.
    slot = chains.newest(books[CLICKS_OF], user)
    while slot != ABSENT and rows[slot].ts_ms + books[RULES, FINAL_MS] > deadline_ms:
        key = rows[slot].key
        next_ms = _next_ms(books, key, ts_ms)
        if (
            next_ms != NO_NEXT
            and ts_ms - next_ms <= books[RULES, ATTRIBUTION_WINDOW_MS]
            and (last == ABSENT or is_older(rows[last], next_ms, key))
        ):
            found = slot
        slot = chains.older(books[CLICKS_OF], books[CLICKS], user, slot)
    return found


@njit(cache=True)
def is_older(click, ts_ms, key):  # type: ignore[no-untyped-def]
    """Whether a click is before one of that time and key."""
    return click.ts_ms < ts_ms or (click.ts_ms == ts_ms and click.key < key)


@njit(cache=True)
def request_due(books, key):  # type: ignore[no-untyped-def]
    remove(books[REQUESTS], key)


@njit(cache=True)
def exposure_due(books, key):  # type: ignore[no-untyped-def]
    slot = find(books[EXPOSURES], key)
    if slot == ABSENT:
        return
    row = exposures(books)[slot]
    if row.learnable and not row.clicked % 2:
        learn(
            books, CTR, row.origin, row.offset, NEGATIVE, 0, row.ts_ms, row.request_offset, 1.0, 0,
            row.buckets,
        )  # fmt: skip
    remove(books[EXPOSURES], key)


@njit(cache=True)
def verdict_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[CLICKS], key)
    if slot == ABSENT:
        return
    click = clicks(books)[slot]
    if deadline_ms != click.ts_ms + books[RULES, FINAL_MS]:
        return  # it has gone, and another has its place
    is_joined = click.exposure_offset != NO_OFFSET
    clicker = clicker_of(click.user, key)
    invalid = verdict(books, click.user, clicker, click.ts_ms) if is_joined else NO_EXPOSURE
    if invalid == VALID:
        return
    at = row_of_clicker(books, clicker, click.ts_ms)
    who = UNKNOWN if at == ABSENT else CLICKER_ROW
    if is_joined:
        _credit(books, slot, who, at, invalid)
    else:
        _lose(books, slot, who, at)
    _let_next(books, key, who, at, deadline_ms, True)


@njit(cache=True)
def repeat_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[REPEATS], key)
    if slot == ABSENT:
        return
    repeat = repeats(books)[slot]
    found = find(books[CLICKS], repeat.click)
    clicker = clicker_of(repeat.user, repeat.click)
    in_burst = is_burst(books, clicker, repeat.ts_ms)
    if found != ABSENT and not in_burst:
        judged_ms = clicks(books)[found].ts_ms + books[RULES, FINAL_MS]
        if judged_ms > deadline_ms:
            timers.add(books[TIMERS], judged_ms, timers.REPEAT, key)
            return
    at = row_of_clicker(books, clicker, repeat.ts_ms)
    if at == ABSENT and found != ABSENT:
        at = row_of_clicker(books, clicker, clicks(books)[found].ts_ms)
    who = UNKNOWN if at == ABSENT else CLICKER_ROW
    invalid = RATE if in_burst else REPEATED
    count_invalid(books, invalid)
    if found == ABSENT or clicks(books)[found].exposure_offset == NO_OFFSET:
        unfounded(books, repeat.origin, repeat.offset, repeat.ts_ms, repeat.user, who, at, invalid)
    else:
        exposure = find(books[EXPOSURES], repeat.click)
        delay_ms = 0 if exposure == ABSENT else repeat.ts_ms - exposures(books)[exposure].ts_ms
        followed(
            books, CLICKED, repeat.origin, repeat.offset, repeat.ts_ms, who, at, clicks(books)[found],
            delay_ms, 0, invalid,
        )  # fmt: skip
    remove_repeat(books, slot)


@njit(cache=True)
def _put(books, key, ts_ms, user, offset, origin, who, at, now_ms, credited):  # type: ignore[no-untyped-def]
    """Let a click wait for its exposure, or join it; False where it cannot count any more."""
    pool = books[CLICKS]
    slot = put(pool, key)
    row = clicks(books)[slot]
    row.ts_ms, row.user, row.offset, row.origin = ts_ms, user, offset, origin
    row.exposure_offset = row.request_offset = NO_OFFSET
    if pool[EVICTED]:
        link_joined(books)
    judged_ms = ts_ms + books[RULES, FINAL_MS]
    if judged_ms >= now_ms:
        timers.add(books[TIMERS], judged_ms, timers.VERDICT, key)
    if find(books[EXPOSURES], key) != ABSENT:
        return _join(books, key, who, at, now_ms, credited)
    if judged_ms >= now_ms:
        return True
    _lose(books, slot, who, at)
    return False


@njit(cache=True)
def _let_next(books, key, who, at, now_ms, credited):  # type: ignore[no-untyped-def]
    """The place of a click is free: the user's next click on the same may take it."""
    while True:
        slot = first_repeat(books, key)
        if slot == ABSENT:
            return
        repeat = repeats(books)[slot]
        remove_repeat(books, slot)
        if _put(
            books, key, repeat.ts_ms, repeat.user, repeat.offset, repeat.origin, who, at, now_ms, credited
        ):
            return


@njit(cache=True)
def _next_ms(books, key, before_ms):  # type: ignore[no-untyped-def]
    """Time of the click that takes the place of a key when it is free; ``NO_NEXT`` if it is after a time."""
    exposure_slot = find(books[EXPOSURES], key)
    if exposure_slot == ABSENT:
        return NO_NEXT
    exposed_ms = exposures(books)[exposure_slot].ts_ms
    slot = first_repeat(books, key)
    while slot != ABSENT:
        repeat = repeats(books)[slot]
        if repeat.ts_ms > before_ms:
            return NO_NEXT
        delay_ms = repeat.ts_ms - exposed_ms
        is_inside = 0 <= delay_ms <= books[RULES, CLICK_WINDOW_MS] and timing(books, delay_ms) == VALID
        if is_inside and not is_burst(books, clicker_of(repeat.user, key), repeat.ts_ms):
            return repeat.ts_ms
        slot = next_repeat(books, slot)
    return NO_NEXT


@njit(cache=True)
def _join(books, key, who, at, now_ms, credited):  # type: ignore[no-untyped-def]
    """A click and its exposure are both here: label the exposure, and open the wait for an order.

    False where the click is outside the window or known to be invalid; then it is gone. Its rate is looked at
    only if it is known for good, or the click has the place of one that was ``credited``.
    """
    exposure_slot, slot = find(books[EXPOSURES], key), find(books[CLICKS], key)
    exposure, click = exposures(books)[exposure_slot], clicks(books)[slot]
    if click.exposure_offset != NO_OFFSET:  # by one with the same id, whose id has been forgotten since
        unlink_joined(books, slot)
    delay_ms = click.ts_ms - exposure.ts_ms
    invalid = timing(books, delay_ms)
    if invalid == VALID and not 0 <= delay_ms <= books[RULES, CLICK_WINDOW_MS]:
        # Outside the window it must not stand in the way of a click inside it.
        _lose(books, slot, who, at)
        return False
    click.exposure_offset, click.exposure_origin = exposure.offset, exposure.origin
    click.request_offset, click.request_slot = exposure.request_offset, exposure.request_slot
    click.request_origin = exposure.request_origin
    click.is_ad, click.shown, click.learnable = exposure.is_ad, exposure.shown, exposure.learnable
    if invalid == VALID:
        clicker = clicker_of(click.user, key)
        if exposure.clicked % 2 and books[RULES, JUDGES]:
            invalid = REPEATED  # the click that counts went with its user, or has made room for another
        elif click.ts_ms + books[RULES, FINAL_MS] < now_ms:
            invalid = verdict(books, click.user, clicker, click.ts_ms)
        elif credited and is_burst(books, clicker, click.ts_ms):
            invalid = RATE
    followed(books, CLICKED, click.origin, click.offset, click.ts_ms, who, at, click, delay_ms, 0, invalid)
    if invalid != VALID:
        count_invalid(books, invalid)
        remove(books[CLICKS], key)
        return False
    click.buckets[:] = exposure.buckets
    touch(books[CLICKS], slot)
    add_joined(books, slot)
    if exposure.learnable:
        learn(
            books, CTR, exposure.origin, exposure.offset, POSITIVE, exposure.clicked // 2, exposure.ts_ms,
            exposure.request_offset, 1.0, 0, exposure.buckets,
        )  # fmt: skip
        await_negative(books, slot, now_ms)
    exposure.clicked += 1 - exposure.clicked % 2
    touch(books[EXPOSURES], exposure_slot)
    return True


@njit(cache=True)
def _credit(books, slot, who, at, invalid):  # type: ignore[no-untyped-def]
    """A click that has counted turns out to be invalid: take back what followed from it."""
    click = clicks(books)[slot]
    exposure_slot = find(books[EXPOSURES], click.key)  # ABSENT where it has made room for another
    exposed_ms, credits = click.ts_ms, 0
    if exposure_slot != ABSENT:
        exposure = exposures(books)[exposure_slot]
        exposed_ms, credits = exposure.ts_ms, exposure.clicked // 2
        exposure.clicked += 1
        touch(books[EXPOSURES], exposure_slot)
    count_invalid(books, invalid)
    delay_ms = click.ts_ms - exposed_ms
    followed(books, CREDITED, click.origin, click.offset, click.ts_ms, who, at, click, delay_ms, 0, invalid)
    if click.learnable:
        learn(
            books, CTR, click.exposure_origin, click.exposure_offset, CREDITED_POSITIVE, credits, exposed_ms,
            click.request_offset, -1.0, 0, click.buckets,
        )  # fmt: skip
        if click.learnable != WAITS:  # the release before learned it at once
            learn(
                books, CVR, click.origin, click.offset, CREDITED_NEGATIVE, 0, click.ts_ms,
                click.request_offset, -1.0, 0, click.buckets,
            )  # fmt: skip
    forget(books, slot)


@njit(cache=True)
def _lose(books, slot, who, at):  # type: ignore[no-untyped-def]
    """What a click names was not shown in the window before it.

    The outcome is the same whether an exposure outside the window is still known or not.
    """
    click = clicks(books)[slot]
    count(books, UNMATCHED_CLICKS)
    if books[RULES, JUDGES]:
        count_invalid(books, NO_EXPOSURE)
        unfounded(books, click.origin, click.offset, click.ts_ms, click.user, who, at, NO_EXPOSURE)
    remove(books[CLICKS], click.key)


@njit(cache=True)
def repeat_until_ms(books, repeat, now_ms):  # type: ignore[no-untyped-def]
    """When a repeated click is looked at: once its rate is known, then once its place is settled."""
    final_ms = repeat.ts_ms + books[RULES, FINAL_MS]
    found = find(books[CLICKS], repeat.click)
    if found == ABSENT or final_ms >= now_ms:
        return final_ms
    return max(final_ms, clicks(books)[found].ts_ms + books[RULES, FINAL_MS])
