"""What is in an order, and what of it is paid back."""

from typing import NamedTuple

import numpy as np

from schemas.events import Line
from streams.simulate.delays import quantile_ms
from streams.simulate.randomness import Floats, Words, generator, place_of
from streams.simulate.visits import Visits
from streams.simulate.world import CATEGORIES, World

LINE_SHARES = np.array([0.6, 0.2, 0.1, 0.06, 0.04])
"""Orders of 1 to 5 lines."""
PARTIAL_SHARE = 0.5
"""Refunds of half the amount; the others are of all of it."""
_LINES, _REFUNDED, _REFUND_DELAY, _PARTIAL, _FIRST_ITEM = range(5)
_COLUMNS = _FIRST_ITEM + len(LINE_SHARES)


class Basket(NamedTuple):
    """One order's content."""

    lines: tuple[Line, ...]
    amount_micros: int
    discount_micros: int
    refund_micros: int
    """0: nothing is paid back."""
    refund_delay_ms: int


class Baskets:
    """The baskets that a block's orders will have, whoever orders."""

    def __init__(self, world: World, seed: int, visits: Visits) -> None:
        self._world = world
        random = generator(seed, "baskets", visits.number)
        self._of_session: Floats = random.random((len(visits.session_user), _COLUMNS))
        self._of_slot: Floats = random.random((len(visits.slot_view), _COLUMNS))

    def of_sessions(self, sessions: Words, categories: Words, discounts_percent: Words) -> list[Basket]:
        """Baskets that begin with an item of the category, at so much percent off."""
        return self._baskets(self._of_session[sessions], categories, discounts_percent)

    def of_slots(self, slots: Words, categories: Words) -> list[Basket]:
        """Baskets after a click on what was in these slots."""
        return self._baskets(self._of_slot[slots], categories, np.zeros(len(slots), np.intp))

    def _baskets(self, draws: Floats, categories: Words, percents: Words) -> list[Basket]:
        world, purchases = self._world, self._world.configuration.purchases
        # The whole part of a draw is the item's category, the rest of it the item.
        spots = draws[:, _FIRST_ITEM:] * len(CATEGORIES)
        line_categories = np.floor(spots).astype(np.intp)
        line_categories[:, 0] = categories
        items = world.items_of(line_categories, spots - np.floor(spots))
        counts = 1 + place_of(LINE_SHARES, draws[:, _LINES])
        full_micros = world.item_price_micros[items]
        paid_micros = full_micros * (100 - percents[:, None]) // 100
        inside = np.arange(len(LINE_SHARES)) < counts[:, None]
        amounts = (paid_micros * inside).sum(axis=1)
        discounts = ((full_micros - paid_micros) * inside).sum(axis=1)
        parts = np.where(draws[:, _PARTIAL] < PARTIAL_SHARE, 2, 1)
        refunds = np.where(draws[:, _REFUNDED] < purchases.refund_share, amounts // parts, 0)
        delays_ms = quantile_ms(purchases.refund_delay, draws[:, _REFUND_DELAY])
        columns = zip(
            items.tolist(), paid_micros.tolist(), counts.tolist(), amounts.tolist(), discounts.tolist(),
            refunds.tolist(), delays_ms.tolist(), strict=True,
        )  # fmt: skip
        return [
            Basket(
                tuple(
                    Line(world.item_ids[item], 1, price, CATEGORIES[item % len(CATEGORIES)])
                    for item, price in zip(row[:count], prices[:count], strict=True)
                ),
                amount,
                discount,
                refund,
                delay_ms,
            )
            for row, prices, count, amount, discount, refund, delay_ms in columns
        ]
