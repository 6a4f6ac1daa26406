"""A block's rows as events of the contract."""

from collections.abc import Sequence

import numpy as np

from schemas.events import Click, Exposure, Purchase, Refund, Slot, View
from streams.simulate.baskets import Basket
from streams.simulate.randomness import Integers, Words
from streams.simulate.visits import CART, REACHED, SESSIONS, Visits
from streams.simulate.world import (
    CATEGORIES,
    COUNTRIES,
    DEVICES,
    ITEM_PAGE,
    PAGES,
    POSITIONS,
    World,
    offer_slot_id,
    slot_id,
)

LEAD_MS = 150
"""From a click on an item to the view of its page."""
CART_AFTER_MS = 5_000
_SLOTS = {
    page: tuple(Slot(slot_id(page, position), "ad", position) for position in range(1, count + 1))
    for page, count in zip(PAGES, POSITIONS.tolist(), strict=True)
}
_OFFERS = {page: Slot(offer_slot_id(page), "promotion", 1) for page in PAGES}


class Scribe:
    """Writes one block's events; rows are given as arrays of their numbers, all lists in that order.

    ``tag`` begins every number in an id: runs of one seed on one broker differ by it.
    """

    def __init__(self, world: World, visits: Visits, tag: str = "") -> None:
        self.visits = visits
        self._world = world
        self._shop_id = world.configuration.shop.shop_id
        self._currency = world.configuration.shop.currency
        first = visits.number * SESSIONS
        self.session_ids = [f"{tag}{first + number}" for number in range(len(visits.session_user))]

    def view_ids(self, views: Words) -> list[str]:
        """``event_id`` of views."""
        sessions, indices = self.visits.view_session[views].tolist(), self.visits.view_index[views].tolist()
        ids = self.session_ids
        return [f"v-{ids[session]}-{index}" for session, index in zip(sessions, indices, strict=True)]

    def exposure_ids(self, slots: Words) -> list[str]:
        """``event_id`` of what is shown in slots."""
        visits = self.visits
        view = visits.slot_view[slots]
        columns = (visits.view_session[view], visits.view_index[view], visits.slot_position[slots])
        ids = self.session_ids
        return [
            f"e-{ids[session]}-{index}-{position}"
            for session, index, position in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def views(self, views: Words) -> list[View]:
        """Page views, with the slots that they ask for."""
        visits, world, shop_id = self.visits, self._world, self._shop_id
        session = visits.view_session[views]
        asks = (visits.view_index[views] == 0) & visits.session_asks[session]
        items = visits.view_item[views]
        prices = np.where(items >= 0, world.item_price_micros[items], 0)
        columns = (
            session, visits.session_user[session], visits.session_device[session], visits.view_ms[views],
            visits.view_page[views], visits.view_category[views], items, prices,
            visits.slot_count[views], asks,
        )  # fmt: skip
        found = []
        for event_id, row in zip(
            self.view_ids(views), zip(*(column.tolist() for column in columns), strict=True), strict=True
        ):
            number, user, device, ts_ms, kind, category, item, price, slots, offer = row
            page = PAGES[kind]
            found.append(
                View(
                    event_id,
                    world.user_ids[user],
                    ts_ms,
                    page,
                    shop_id,
                    self.session_ids[number],
                    world.item_ids[item] if item >= 0 else "",
                    CATEGORIES[category],
                    price,
                    DEVICES[device],
                    COUNTRIES[world.user_country[user]],
                    world.segments[user],
                    (_SLOTS[page] if slots else ()) + ((_OFFERS[page],) if offer else ()),
                )
            )
        return found

    def item_clicks(self, views: Words) -> list[Click]:
        """The clicks on items that led to pages, and those that put their items into the cart."""
        visits, pages = self.visits, self._world.configuration.pages
        on_item = views[visits.view_page[views] == ITEM_PAGE]
        draws = visits.view_draws[on_item]
        reached = on_item[(draws[:, REACHED] < pages.item_click_share) & (visits.view_index[on_item] > 0)]
        carted = on_item[draws[:, CART] < pages.cart_share]
        # Nobody clicks before the session's first view.
        begun_ms = visits.session_ms[visits.view_session[reached]]
        before_ms = np.maximum(begun_ms, visits.view_ms[reached] - LEAD_MS)
        return [
            *self._item_clicks("item", "i", reached, before_ms),
            *self._item_clicks("add_to_cart", "a", carted, visits.view_ms[carted] + CART_AFTER_MS),
        ]

    def exposures(
        self, slots: Words, ads: Words, ts_ms: Integers, propensity: Sequence[float] | None,
        decision_ids: Sequence[str] = (),
    ) -> list[Exposure]:  # fmt: skip
        """Ads that were shown: by another system with a propensity, or by our decisions."""
        visits, world = self.visits, self._world
        view = visits.slot_view[slots]
        session = visits.view_session[view]
        columns = (
            session, visits.session_user[session], visits.session_device[session], ts_ms,
            visits.view_page[view], visits.view_category[view], visits.slot_position[slots], ads,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        found = []
        for event_id, row, chance, decision_id in zip(
            self.exposure_ids(slots),
            rows,
            propensity if propensity is not None else [None] * len(slots),
            decision_ids or [""] * len(slots),
            strict=True,
        ):
            number, user, device, at_ms, kind, category, position, ad = row
            page = PAGES[kind]
            found.append(
                Exposure(
                    event_id,
                    world.user_ids[user],
                    at_ms,
                    self._shop_id,
                    self.session_ids[number],
                    decision_id,
                    world.ad_ids[ad],
                    "",
                    chance,
                    _SLOTS[page][position - 1].slot_id,
                    position,
                    page,
                    CATEGORIES[category],
                    DEVICES[device],
                    COUNTRIES[world.user_country[user]],
                    world.segments[user],
                )
            )
        return found

    def offer_exposures(
        self, sessions: Words, promotions: Words, ts_ms: Integers, propensity: Sequence[float] | None,
        decision_ids: Sequence[str] = (),
    ) -> list[Exposure]:  # fmt: skip
        """Promotions that were shown to sessions."""
        visits, world = self.visits, self._world
        first = visits.first_view[sessions]
        columns = (
            sessions, visits.session_user[sessions], visits.session_device[sessions], ts_ms,
            visits.view_page[first], visits.view_category[first], promotions,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Exposure(
                f"e-{self.session_ids[number]}-offer", world.user_ids[user], at_ms, self._shop_id,
                self.session_ids[number], decision_id, "", world.promotion_ids[promotion], chance,
                _OFFERS[PAGES[kind]].slot_id, 1, PAGES[kind], CATEGORIES[category], DEVICES[device],
                COUNTRIES[world.user_country[user]], world.segments[user],
            )
            for (number, user, device, at_ms, kind, category, promotion), chance, decision_id in zip(
                rows,
                propensity if propensity is not None else [None] * len(sessions),
                decision_ids or [""] * len(sessions),
                strict=True,
            )
        ]  # fmt: skip

    def clicks(self, exposures: Sequence[Exposure], ts_ms: Integers) -> list[Click]:
        """Clicks on what was shown."""
        return [
            Click(
                "c" + shown.event_id[1:], shown.user_id, at_ms, "ad" if shown.ad_id else "promotion",
                shown.shop_id, shown.session_id, shown.decision_id,
                "" if shown.decision_id else shown.event_id, shown.ad_id, shown.promotion_id, "",
                shown.category,
            )
            for shown, at_ms in zip(exposures, ts_ms.tolist(), strict=True)
        ]  # fmt: skip

    def purchases(
        self, causes: Sequence[str], sessions: Words, ts_ms: Integers, baskets: Sequence[Basket],
        coupon_ids: Sequence[str],
    ) -> list[Purchase]:  # fmt: skip
        """Orders; ``causes`` are what their ids end with, which is theirs alone."""
        users = self.visits.session_user[sessions].tolist()
        return [
            Purchase(
                f"p-{cause}", self._world.user_ids[user], at_ms, f"o-{cause}", basket.amount_micros,
                basket.lines, self._shop_id, self.session_ids[number], self._currency, coupon_id,
                basket.discount_micros,
            )
            for cause, number, user, at_ms, basket, coupon_id in zip(
                causes, sessions.tolist(), users, ts_ms.tolist(), baskets, coupon_ids, strict=True
            )
        ]  # fmt: skip

    def _item_clicks(self, kind: str, letter: str, views: Words, ts_ms: Integers) -> list[Click]:
        visits, world = self.visits, self._world
        session = visits.view_session[views]
        columns = (
            session, visits.view_index[views], visits.session_user[session], ts_ms, visits.view_item[views],
            visits.view_category[views],
        )  # fmt: skip
        return [
            Click(
                f"{letter}-{self.session_ids[number]}-{index}", world.user_ids[user], at_ms, kind,  # type: ignore[arg-type]
                self._shop_id, self.session_ids[number], item_id=world.item_ids[item],
                category=CATEGORIES[category], price_micros=int(world.item_price_micros[item]),
            )
            for number, index, user, at_ms, item, category in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]  # fmt: skip


def refunds(purchases: Sequence[Purchase], baskets: Sequence[Basket]) -> list[Refund]:
    """What will be paid back of orders."""
    return [
        Refund(
            "r" + order.event_id[1:], order.user_id, order.ts_ms + basket.refund_delay_ms, order.order_id,
            basket.refund_micros, order.shop_id, order.currency,
        )
        for order, basket in zip(purchases, baskets, strict=True)
        if basket.refund_micros
    ]  # fmt: skip
