"""What happens as time goes on: each kind of timer that is due, in the order of deadlines."""

from numba import njit

from streams.processor import timers, turns
from streams.processor.joined import click_due, link_joined, negative_due, restore_joined
from streams.processor.joins import exposure_due, repeat_due, repeat_until_ms, request_due, verdict_due
from streams.processor.orders import order_until_ms, purchase_due, refund_due
from streams.processor.records import has_room
from streams.processor.repeats import link_repeats, remove_repeat
from streams.processor.rules import (
    CLICK_WINDOW_MS,
    FINAL_MS,
    JUDGES,
    LATENESS_MS,
    RECLAIM_AFTER_MS,
    REMEMBERS,
    REQUEST_WINDOW_MS,
)
from streams.processor.turns import NOBODY_WAITS, hold, take_turn
from streams.processor.validity import clicker_due, until_ms
from streams.state.books import (
    CLICKERS,
    CLICKS,
    COUNT,
    END,
    EXPIRED_MS,
    EXPOSURES,
    LINKS,
    PURCHASES,
    REFUNDS,
    REPEATS,
    REQUESTS,
    RULES,
    STREAM_MS,
    TIMERS,
    TURNS,
    clickers,
    clicks,
    exposures,
    links,
    purchases,
    refunds,
    repeats,
    requests,
)
from streams.state.index import ABSENT, find
from streams.state.rows import NO_OFFSET
from streams.state.slots import USED, marks_of, remove


@njit(cache=True)
def expire(books):  # type: ignore[no-untyped-def]
    """Let happen all that is due before the stream time; False where there is no room to tell of more.

    What is set for a time that has passed happens when the stream time moves on.
    """
    line, stream_ms = books[TIMERS], books[RULES, STREAM_MS]
    if stream_ms == books[RULES, EXPIRED_MS]:
        return True
    while timers.is_due(line, stream_ms):
        if not has_room(books) or not timers.has_room(books) or not turns.has_room(books):
            return False
        deadline_ms, kind, key = timers.pop(line)
        if kind == timers.REQUEST:
            request_due(books, key)
        elif kind == timers.EXPOSURE:
            exposure_due(books, key)
        elif kind == timers.VERDICT:
            verdict_due(books, key, deadline_ms)
        elif kind == timers.NEGATIVE:
            negative_due(books, key, deadline_ms)
        elif kind == timers.CLICK:
            click_due(books, key, deadline_ms)
        elif kind == timers.PURCHASE:
            purchase_due(books, key, deadline_ms)
        elif kind == timers.REFUND:
            refund_due(books, key, deadline_ms)
        elif kind == timers.TURN:
            order = take_turn(books, key)
            if order != NOBODY_WAITS:
                purchase_due(books, order, deadline_ms)
        elif kind == timers.REPEAT:
            repeat_due(books, key, deadline_ms)
        elif kind == timers.CLICKER:
            clicker_due(books, key)
        else:
            _link_due(books, key, deadline_ms)
    books[RULES, EXPIRED_MS] = stream_ms
    return True


@njit(cache=True)
def _link_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[LINKS], key)
    if slot != ABSENT and deadline_ms >= links(books)[slot].ts_ms + books[RULES, RECLAIM_AFTER_MS]:
        remove(books[LINKS], key)


@njit(cache=True)
def restart(books):  # type: ignore[no-untyped-def]
    """Set all timers anew, by the rows; those that may not be kept any longer are removed."""
    line, rules = books[TIMERS], books[RULES]
    line[COUNT] = books[TURNS, COUNT] = 0
    rules[EXPIRED_MS] = rules[STREAM_MS]
    marks = marks_of(books[REQUESTS])
    for slot in range(books[REQUESTS, END]):
        if marks[slot] & USED:
            row = requests(books)[slot]
            due_ms = row.ts_ms + rules[REQUEST_WINDOW_MS] + rules[LATENESS_MS]
            timers.add(line, due_ms, timers.REQUEST, row.key)
    marks = marks_of(books[EXPOSURES])
    for slot in range(books[EXPOSURES, END]):
        if marks[slot] & USED:
            shown = exposures(books)[slot]
            due_ms = shown.ts_ms + rules[CLICK_WINDOW_MS] + rules[FINAL_MS]
            timers.add(line, due_ms, timers.EXPOSURE, shown.key)
    link_joined(books)
    marks = marks_of(books[CLICKS])
    for slot in range(books[CLICKS, END]):
        if marks[slot] & USED:
            click = clicks(books)[slot]
            is_joined = click.exposure_offset != NO_OFFSET
            judged_ms = click.ts_ms + rules[FINAL_MS]
            if not is_joined or judged_ms >= rules[STREAM_MS]:  # else there was a verdict
                timers.add(line, judged_ms, timers.VERDICT, click.key)
            if is_joined:
                restore_joined(books, slot)
    link_repeats(books)
    marks = marks_of(books[REPEATS])
    for slot in range(books[REPEATS, END]):
        if marks[slot] & USED:
            repeat = repeats(books)[slot]
            if rules[JUDGES]:
                due_ms = repeat_until_ms(books, repeat, rules[STREAM_MS])
                timers.add(line, due_ms, timers.REPEAT, repeat.key)
            else:
                remove_repeat(books, slot)
    marks = marks_of(books[CLICKERS])
    for slot in range(books[CLICKERS, END]):
        if marks[slot] & USED:
            clicker = clickers(books)[slot]
            if rules[JUDGES]:
                timers.add(line, until_ms(books, clicker.ts_ms), timers.CLICKER, clicker.key)
            else:
                remove(books[CLICKERS], clicker.key)
    marks = marks_of(books[PURCHASES])
    for slot in range(books[PURCHASES, END]):
        if marks[slot] & USED:
            order = purchases(books)[slot]
            if order.settled and not rules[REMEMBERS]:
                remove(books[PURCHASES], order.key)
                continue
            due_ms, click = order_until_ms(books, order), ABSENT
            if not order.settled:
                click = find(books[CLICKS], order.click)
            judged_ms = clicks(books)[click].ts_ms + rules[FINAL_MS] if click != ABSENT else 0
            if click == ABSENT or judged_ms < rules[STREAM_MS] or due_ms >= rules[STREAM_MS]:
                timers.add(line, due_ms, timers.PURCHASE, order.key)
            else:
                hold(books, order.user, due_ms, order.key, judged_ms)
    marks = marks_of(books[REFUNDS])
    for slot in range(books[REFUNDS, END]):
        if marks[slot] & USED:
            refund = refunds(books)[slot]
            timers.add(line, refund.ts_ms + rules[FINAL_MS], timers.REFUND, refund.key)
    marks = marks_of(books[LINKS])
    for slot in range(books[LINKS, END]):
        if marks[slot] & USED:
            login = links(books)[slot]
            timers.add(line, login.ts_ms + rules[RECLAIM_AFTER_MS], timers.LINK, login.key)
