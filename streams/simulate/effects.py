"""What follows from what was shown: events of clicks, orders and refunds, and their truth."""

from collections.abc import Sequence

import numpy as np
from msgspec import to_builtins

from schemas.events import Click, Event, Exposure, Purchase
from streams.simulate import drift
from streams.simulate.answers import Answers
from streams.simulate.baskets import Baskets
from streams.simulate.events import Scribe, refunds
from streams.simulate.orders import NONE, Orders
from streams.simulate.randomness import Words
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, OfferTruth, ShopTruth, UserTruth
from streams.simulate.visits import KINDS, Visits
from streams.simulate.world import CATEGORIES, POSITIONS

DIGITS = 9
"""Of probabilities in the truth file."""


class Effects:
    """Of one block."""

    def __init__(self, shop: Shop, visits: Visits, tag: str = "") -> None:
        self.scribe = Scribe(shop.world, visits, tag)
        self._shop = shop
        self._visits = visits
        self._baskets = Baskets(shop.world, shop.seed, visits)

    def of_ads(
        self, slots: Words, ads: Words, exposures: Sequence[Exposure], answers: Answers
    ) -> list[Event]:
        """Clicks on ads that were shown, orders that follow, and their refunds."""
        shown_ms = np.array([shown.ts_ms for shown in exposures], np.int64)
        clicked = np.flatnonzero(answers.clicked)
        clicked_ms = shown_ms + answers.click_delay_ms
        clicks: list[Click] = self.scribe.clicks(
            [exposures[i] for i in clicked.tolist()], clicked_ms[clicked]
        )
        bought = np.flatnonzero(answers.bought)
        slots, categories = slots[bought], self._shop.world.ad_category[ads[bought]]
        baskets = self._baskets.of_slots(slots, categories)
        purchases = self.scribe.purchases(
            [exposures[i].event_id[2:] for i in bought.tolist()],
            self._visits.view_session[self._visits.slot_view[slots]],
            clicked_ms[bought] + answers.purchase_delay_ms[bought],
            baskets,
            [""] * len(bought),
        )
        return [*clicks, *purchases, *refunds(purchases, baskets)]

    def of_sessions(
        self, sessions: Words, arms: Words, exposures: Sequence[Exposure], orders: Orders
    ) -> list[Event]:
        """Clicks on promotions, orders that no ad led to, and their refunds.

        ``exposures`` are those of the sessions whose arm is a promotion, in their order.
        """
        world, visits = self._shop.world, self._visits
        offered = np.flatnonzero(arms != NONE)
        clicked = np.flatnonzero(orders.clicked[offered])
        clicked_ms = orders.clicked_ms[offered][clicked]
        clicks = self.scribe.clicks([exposures[i] for i in clicked.tolist()], clicked_ms)
        ordered = np.flatnonzero(orders.ordered)
        arms, sessions = arms[ordered], sessions[ordered]
        percents = np.where(arms != NONE, world.discount_percent[arms - 1], 0)
        categories = visits.view_category[visits.first_view[sessions]]
        baskets = self._baskets.of_sessions(sessions, categories, percents)
        purchases: list[Purchase] = self.scribe.purchases(
            [self.scribe.session_ids[number] for number in sessions.tolist()],
            sessions,
            orders.ordered_ms[ordered],
            baskets,
            [world.coupon_ids[arm - 1] if arm != NONE else "" for arm in arms.tolist()],
        )
        return [*clicks, *purchases, *refunds(purchases, baskets)]

    def exposure_truth(
        self, slots: Words, exposures: Sequence[Exposure], propensity: Sequence[float], answers: Answers
    ) -> list[ExposureTruth]:
        """One an exposure of an ad."""
        visits = self._visits
        ts_ms = visits.view_ms[visits.slot_view[slots]]
        progress = drift.progress(self._shop.configuration.drift, self._shop.traffic.start_ms, ts_ms)
        columns = (
            answers.examination.round(DIGITS), answers.p_click.round(DIGITS),
            answers.p_purchase.round(DIGITS), answers.clicked, answers.click_delay_ms, answers.bought,
            answers.purchase_delay_ms, progress.round(DIGITS),
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            ExposureTruth(
                shown.event_id, shown.user_id, shown.ts_ms, shown.ad_id, shown.position, chance, examination,
                p_click, p_purchase, clicked, click_delay_ms, bought, purchase_delay_ms, moved,
                shown.decision_id,
            )
            for shown, chance, (
                examination, p_click, p_purchase, clicked, click_delay_ms, bought, purchase_delay_ms, moved,
            ) in zip(exposures, propensity, rows, strict=True)
        ]  # fmt: skip

    def offer_truth(
        self, sessions: Words, arms: Words, propensity: Sequence[float], orders: Orders,
        decision_ids: Sequence[str] = (),
    ) -> list[OfferTruth]:  # fmt: skip
        """One a session that asked for a promotion."""
        world, visits, ids = self._shop.world, self._visits, self.scribe.session_ids
        columns = (
            sessions, visits.session_user[sessions], visits.session_ms[sessions], arms,
            orders.p_order.round(DIGITS), orders.ordered,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        view_ids = self.scribe.view_ids(visits.first_view[sessions])
        return [
            OfferTruth(
                ids[number], view_id, world.user_ids[user], ts_ms, arm_name(self._shop, arm), chance,
                p_order, ordered, decision_id,
            )
            for view_id, chance, decision_id, (number, user, ts_ms, arm, p_order, ordered) in zip(
                view_ids, propensity, decision_ids or [""] * len(sessions), rows, strict=True
            )
        ]  # fmt: skip


def arm_name(shop: Shop, arm: int) -> str:
    """The promotion's id, or ``none``."""
    return shop.world.promotion_ids[arm - 1] if arm != NONE else "none"


def shop_truth(shop: Shop) -> ShopTruth:
    """The head of a truth file."""
    clicks, purchases, world = shop.configuration.clicks, shop.configuration.purchases, shop.world
    positions = np.arange(1, POSITIONS.max() + 1)
    return ShopTruth(
        shop.seed,
        shop.traffic.start_ms,
        to_builtins(shop.configuration),
        shop.model.examination(positions).round(DIGITS).tolist(),
        _means(clicks.delay.mean_s * world.click_delay_factor),
        _means(purchases.delay.mean_s * world.purchase_delay_factor),
    )


class UserTruths:
    """The truth of each user, once."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._number = {user_id: number for number, user_id in enumerate(shop.world.user_ids)}

    def take(self, user_id: str) -> UserTruth | None:
        """Of a user who comes for the first time."""
        number = self._number.pop(user_id, None)
        if number is None:
            return None
        world, p = self._shop.world, self._shop.orders.p_order(np.array([number]))[0]
        uplift = dict(zip(world.promotion_ids, (p[1:] - p[0]).round(DIGITS).tolist(), strict=True))
        bot = "" if number < world.people else KINDS[1 + (number - world.people) % (len(KINDS) - 1)]
        return UserTruth(user_id, round(float(p[0]), DIGITS), uplift, bot)


def _means(seconds: np.ndarray) -> dict[str, float]:
    return dict(zip(CATEGORIES, seconds.round(3).tolist(), strict=True))
