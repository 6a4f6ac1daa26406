"""Click -> order -> refund: which click earned an order, and what is taken back when it is paid back.

An order is settled once every click that can have earned it is here and judged: ``lateness_s`` and the window
of ``validity`` after its time. One that was earned is remembered for ``refund_window_s``: a refund takes its
revenue back, and once all of it is paid back the label too. It waits as long as an order: which of a click's
orders comes first must not depend on whether both are later than they may be.
"""

from numba import njit

from streams.processor import timers
from streams.processor.examples import CVR, POSITIVE, RETRACTED, learn
from streams.processor.joined import hold, last_joined
from streams.processor.joins import awaited
from streams.processor.records import (
    ORDER_NAMES,
    ORDER_ROW,
    ORDERED,
    REFUNDED,
    VALID,
    followed,
    name,
)
from streams.processor.rules import FINAL_MS, REFUND_WINDOW_MS, REMEMBERS, UNMATCHED_REFUNDS, count
from streams.processor.turns import hold as hold_order
from streams.processor.turns import is_behind
from streams.state.books import (
    CLICKS,
    END,
    PURCHASES,
    REFUNDS,
    RULES,
    TIMERS,
    clicks,
    purchases,
    refunds,
)
from streams.state.index import ABSENT, find
from streams.state.slots import USED, marks_of, put, remove, touch


@njit(cache=True)
def has_order(books, key):  # type: ignore[no-untyped-def]
    """Whether this order has come before, under another ``event_id``, and is remembered."""
    return find(books[PURCHASES], key) != ABSENT


@njit(cache=True)
def purchased(books, key, ts_ms, offset, user, revenue_micros, event):  # type: ignore[no-untyped-def]
    """An order came."""
    slot = put(books[PURCHASES], key)
    row = purchases(books)[slot]
    row.ts_ms, row.user, row.offset, row.revenue_micros = ts_ms, user, offset, revenue_micros
    name(books, ORDER_NAMES, slot, event)
    timers.add(books[TIMERS], ts_ms + books[RULES, FINAL_MS], timers.PURCHASE, key)


@njit(cache=True)
def refunded(books, key, ts_ms, offset, user, order, amount_micros):  # type: ignore[no-untyped-def]
    """An order, or a part of it, was paid back; the order may be still to come."""
    if not books[RULES, REMEMBERS]:
        count(books, UNMATCHED_REFUNDS)
        return
    slot = put(books[REFUNDS], key)
    row = refunds(books)[slot]
    row.ts_ms, row.user, row.offset, row.order, row.amount_micros = ts_ms, user, offset, order, amount_micros
    timers.add(books[TIMERS], ts_ms + books[RULES, FINAL_MS], timers.REFUND, key)


@njit(cache=True)
def is_waiting(books, user):  # type: ignore[no-untyped-def]
    """Whether an order of a user is still to be settled."""
    pool, rows = books[PURCHASES], purchases(books)
    marks = marks_of(pool)
    for slot in range(pool[END]):
        if marks[slot] & USED and rows[slot].user == user and not rows[slot].settled:
            return True
    return False


@njit(cache=True)
def purchase_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[PURCHASES], key)
    if slot == ABSENT:
        return
    order = purchases(books)[slot]
    if deadline_ms < order_until_ms(books, order) or _waits(books, slot, deadline_ms):
        return
    if order.settled or not _settle(books, slot) or not books[RULES, REMEMBERS]:
        remove(books[PURCHASES], key)
    else:
        touch(books[PURCHASES], slot)
        timers.add(books[TIMERS], order_until_ms(books, order), timers.PURCHASE, key)


@njit(cache=True)
def refund_due(books, key, deadline_ms):  # type: ignore[no-untyped-def]
    slot = find(books[REFUNDS], key)
    if slot == ABSENT:
        return
    refund = refunds(books)[slot]
    if is_behind(books, refund.user, deadline_ms, timers.REFUND, key):
        return
    order_slot = find(books[PURCHASES], refund.order)
    if (
        order_slot != ABSENT and not purchases(books)[order_slot].settled
    ):  # its clock is ahead of the refund's
        due_ms = order_until_ms(books, purchases(books)[order_slot]) + 1
        timers.add(books[TIMERS], due_ms, timers.REFUND, key)
        return
    if order_slot == ABSENT or not _take_back(books, order_slot, refund):
        count(books, UNMATCHED_REFUNDS)
    remove(books[REFUNDS], key)


@njit(cache=True)
def order_until_ms(books, order):  # type: ignore[no-untyped-def]
    """Until when an order waits: to be settled, and then to be paid back."""
    if not order.settled:
        return order.ts_ms + books[RULES, FINAL_MS]
    # A refund at the end of the window is due in the same millisecond: it goes first.
    return order.ts_ms + books[RULES, REFUND_WINDOW_MS] + 1 + books[RULES, FINAL_MS]


@njit(cache=True)
def _waits(books, slot, deadline_ms):  # type: ignore[no-untyped-def]
    """Whether an order that is due has to wait, for its turn or for a verdict; then it is due again."""
    order = purchases(books)[slot]
    until_ms = order_until_ms(books, order)
    if is_behind(books, order.user, until_ms, timers.PURCHASE, order.key):
        return True
    if order.settled:
        return False
    click_slot = awaited(books, order.user, order.ts_ms, deadline_ms)
    if click_slot == ABSENT:
        return False
    click = clicks(books)[click_slot]
    order.click = click.key
    touch(books[PURCHASES], slot)
    hold_order(books, order.user, until_ms, order.key, click.ts_ms + books[RULES, FINAL_MS])
    return True


@njit(cache=True)
def _settle(books, order_slot):  # type: ignore[no-untyped-def]
    """Attribute an order to the user's last click before it inside the window; False if there is none."""
    order = purchases(books)[order_slot]
    slot = last_joined(books, order.user, order.ts_ms)
    if slot == ABSENT:
        return False
    click = clicks(books)[slot]
    order.settled, order.click = True, click.key
    delay_ms = order.ts_ms - click.ts_ms
    followed(
        books, ORDERED, order.origin, order.offset, order.ts_ms, ORDER_ROW, order_slot, click, delay_ms,
        order.revenue_micros, VALID,
    )  # fmt: skip
    click.converted += 1
    touch(books[CLICKS], slot)
    hold(books, slot, order_until_ms(books, order))
    if click.converted == 1 and click.learnable:
        learn(
            books, CVR, order.origin, order.offset, POSITIVE, 0, click.ts_ms, click.request_offset, 1.0,
            delay_ms, click.buckets,
        )  # fmt: skip
    return True


@njit(cache=True)
def _take_back(books, order_slot, refund):  # type: ignore[no-untyped-def]
    """Take revenue back from the click that earned it, at most what it earned.

    The label is taken back once nothing of all the orders that the click earned is left. False where the
    click has made room for another.
    """
    order = purchases(books)[order_slot]
    slot = find(books[CLICKS], order.click)
    if slot == ABSENT:
        return False
    click = clicks(books)[slot]
    left_micros = order.revenue_micros - order.refunded_micros
    amount_micros = min(refund.amount_micros, left_micros)
    if not amount_micros:
        return True
    if not click.converted:  # it has the key of the one that earned the order
        return False
    order.refunded_micros += amount_micros
    touch(books[PURCHASES], order_slot)
    followed(
        books, REFUNDED, refund.origin, refund.offset, refund.ts_ms, ORDER_ROW, order_slot, click,
        refund.ts_ms - order.ts_ms, -amount_micros, VALID,
    )  # fmt: skip
    if amount_micros == left_micros:
        click.converted -= 1
        touch(books[CLICKS], slot)
        if not click.converted and click.learnable:
            learn(
                books, CVR, refund.origin, refund.offset, RETRACTED, 0, click.ts_ms, click.request_offset,
                -1.0, order.ts_ms - click.ts_ms, click.buckets,
            )  # fmt: skip
    return True
