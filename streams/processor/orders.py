"""Click -> order -> refund: which click earned an order, and what is taken back when it is paid back."""

from collections.abc import Iterator

import numpy as np

from models.hashing import stable_key
from schemas.events import Purchase, Refund
from streams.processor.joins import Joins
from streams.processor.outcomes import Outcomes
from streams.processor.pairs import Clicked, clicked
from streams.processor.timers import Kind, Timer, Timers
from streams.settings import Processing
from streams.state.layout import as_field
from streams.state.partition import PartitionState


class Orders:
    """The orders and refunds of one partition that are still to have an effect.

    An order is settled once every click that can have earned it is here and judged: ``lateness_s`` and the
    window of ``validity`` after its time; later where a click before it waits for the place of one after it,
    and then whatever else is due of the user waits, too (``streams.processor.turns``). One that was earned is
    remembered for ``refund_window_s``: a refund takes its revenue back, and once all of it is paid back the
    label too. It waits as long as an order: which of a click's orders comes first must not depend on whether
    both are later than they may be.
    """

    def __init__(
        self, state: PartitionState, joins: Joins, outcomes: Outcomes, timers: Timers, settings: Processing
    ) -> None:
        self.state = state
        self.joins = joins
        self.outcomes = outcomes
        self.timers = timers
        self.turns = joins.turns
        self.final_ms = joins.validity.final_ms
        self.refund_window_ms = int(settings.refund_window_s * 1000)
        # The changelog's first version has no room for what only refunds need.
        self._remembers = state.write_version > 1
        timers.due[Kind.PURCHASE] = self._purchase_due
        timers.due[Kind.REFUND] = self._refund_due

    def has(self, purchase: Purchase, user: int) -> bool:
        """Whether this order has come before, under another ``event_id``, and is remembered."""
        return _order_key(user, purchase.order_id) in self.state.purchases.slot_of

    def purchased(self, purchase: Purchase, offset: int, user: int, revenue_micros: int) -> None:
        """An order came."""
        key = _order_key(user, purchase.order_id)
        self.state.purchases.put(
            key, purchase.ts_ms, user, offset, revenue_micros,
            as_field(purchase.shop_id), as_field(purchase.user_id), as_field(purchase.order_id),
            0, False, 0, 0,
        )  # fmt: skip
        self.timers.add(purchase.ts_ms + self.final_ms, Kind.PURCHASE, key)

    def refunded(self, refund: Refund, offset: int, user: int, amount_micros: int) -> None:
        """An order, or a part of it, was paid back; the order may be still to come."""
        if not self._remembers:
            self.state.counters["unmatched_refunds"] += 1
            return
        key = stable_key(refund.event_id, seed=user)
        order = _order_key(user, refund.order_id)
        self.state.refunds.put(key, refund.ts_ms, user, offset, order, amount_micros, 0)
        self.timers.add(refund.ts_ms + self.final_ms, Kind.REFUND, key)

    def is_waiting(self, user: int) -> bool:
        """Whether an order of a user is still to be settled."""
        orders = self.state.purchases
        found = np.flatnonzero((orders.rows["user"] == user) & (orders.rows["settled"] == 0))
        return any(orders.slot_of.get(int(orders.rows["key"][slot])) == slot for slot in found.tolist())

    def pending(self) -> Iterator[tuple[int, Kind, int]]:
        """Timers of all rows; those that may not be remembered any longer are dropped."""
        self.turns.clear()
        for order in list(self.state.purchases):
            if order["settled"] and not self._remembers:
                self.state.purchases.remove(int(order["key"]))
                continue
            timer = self._until_ms(order), Kind.PURCHASE, int(order["key"])
            click = None if order["settled"] else clicked(self.state.clicks, int(order["click"]))
            if click is None or click.ts_ms + self.final_ms < self.state.stream_ms:
                yield timer
            else:
                yield self.turns.restored(int(order["user"]), timer, click.ts_ms + self.final_ms)
        for refund in self.state.refunds:
            yield int(refund["ts_ms"]) + self.final_ms, Kind.REFUND, int(refund["key"])

    def _purchase_due(self, key: int, deadline_ms: int) -> None:
        order = self.state.purchases.get(key)
        if order is None:
            return
        until_ms = self._until_ms(order)
        if deadline_ms < until_ms or self._waits(order, (until_ms, Kind.PURCHASE, key), deadline_ms):
            return
        if order["settled"] or not self._settle(order) or not self._remembers:
            self.state.purchases.remove(key)
        else:
            self.state.purchases.touch(key)
            self.timers.add(self._until_ms(order), Kind.PURCHASE, key)

    def _refund_due(self, key: int, deadline_ms: int) -> None:
        refund = self.state.refunds.get(key)
        if refund is None or self.turns.is_behind(int(refund["user"]), (deadline_ms, Kind.REFUND, key)):
            return
        order = self.state.purchases.get(int(refund["order"]))
        if order is not None and not order["settled"]:  # its clock is ahead of the refund's
            self.timers.add(self._until_ms(order) + 1, Kind.REFUND, key)
            return
        if order is None or not self._take_back(order, refund):
            self.state.counters["unmatched_refunds"] += 1
        self.state.refunds.remove(key)

    def _waits(self, order: np.void, timer: Timer, deadline_ms: int) -> bool:
        """Whether an order that is due has to wait, for its turn or for a verdict; then it is due again."""
        user = int(order["user"])
        if self.turns.is_behind(user, timer):
            return True
        if order["settled"]:
            return False
        click = self.joins.awaited(user, int(order["ts_ms"]), deadline_ms)
        if click is None:
            return False
        order["click"] = click.key
        self.state.purchases.touch(timer[2])
        self.turns.hold(user, timer, click.ts_ms + self.final_ms)
        return True

    def _settle(self, order: np.void) -> bool:
        """Attribute an order to the user's last click before it inside the window; False if there is none."""
        ts_ms = int(order["ts_ms"])
        click = self.joins.joined.last(int(order["user"]), ts_ms)
        if click is None:
            return False
        order["settled"], order["click"] = True, click.key
        place = f"{self.outcomes.partition_of(int(order['origin']))}-{order['offset']}"
        self.outcomes.followed(
            "purchase", f"purchases-{place}", ts_ms, str(order["shop_id"]), str(order["user_id"]), click,
            ts_ms - click.ts_ms, int(order["revenue_micros"]), str(order["order_id"]),
        )  # fmt: skip
        self.state.clicks.write(click.key, "converted", click.converted + 1)
        self.joins.joined.hold(click, self._until_ms(order))
        if click.converted == 0:
            self._example(click, f"{place}-1", 1.0, ts_ms)
        return True

    def _take_back(self, order: np.void, refund: np.void) -> bool:
        """Take revenue back from the click that earned it, at most what it earned.

        The label is taken back once nothing of all the orders that the click earned is left. False where
        the click has made room for another.
        """
        click = clicked(self.state.clicks, int(order["click"]))
        if click is None:
            return False
        left_micros = int(order["revenue_micros"] - order["refunded_micros"])
        amount_micros = min(int(refund["amount_micros"]), left_micros)
        if not amount_micros:
            return True
        order["refunded_micros"] += amount_micros
        self.state.purchases.touch(int(order["key"]))
        place = f"{self.outcomes.partition_of(int(refund['origin']))}-{refund['offset']}"
        self.outcomes.followed(
            "refund", f"purchases-{place}", int(refund["ts_ms"]), str(order["shop_id"]),
            str(order["user_id"]), click, int(refund["ts_ms"] - order["ts_ms"]), -amount_micros,
            str(order["order_id"]),
        )  # fmt: skip
        if amount_micros == left_micros:
            self.state.clicks.write(click.key, "converted", click.converted - 1)
            if click.converted == 1:
                self._example(click, f"{place}-retracted", -1.0, int(order["ts_ms"]))
        return True

    def _example(self, click: Clicked, place: str, weight: float, ordered_ms: int) -> None:
        if click.learnable:
            number = self.joins.tape.learn_click(self.state.clicks.slot_of[click.key])
            delay_ms = ordered_ms - click.ts_ms
            self.outcomes.example(
                "cvr", place, click.ts_ms, click.request_offset, number, 1, weight, delay_ms
            )

    def _until_ms(self, order: np.void) -> int:
        """Until when an order waits: to be settled, and then to be paid back."""
        # A refund at the end of the window is due in the same millisecond: it goes first.
        wait_ms = self.refund_window_ms + 1 + self.final_ms if order["settled"] else self.final_ms
        return int(order["ts_ms"]) + wait_ms


def _order_key(user: int, order_id: str) -> int:
    return stable_key(order_id, seed=user)
