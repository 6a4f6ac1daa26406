"""The open loop: a log in event time of what the shop's own policy showed, with the truth beside it."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from schemas.events import Event
from streams.simulate.answers import Answers
from streams.simulate.effects import Effects
from streams.simulate.orders import NONE
from streams.simulate.policy import Choices
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, OfferTruth
from streams.simulate.visits import VIEWLESS, Visits


class Entry(NamedTuple):
    """An event, and the truth that it brings to light."""

    event: Event
    truth: ExposureTruth | OfferTruth | None


def log(shop: Shop, events: int, with_truth: bool = True) -> Iterator[Entry]:
    """The first ``events`` events; a longer log begins with the shorter one.

    Clicks and orders that come after the last of them are not in it, as in any log that ends.
    """
    return islice(_log(shop, with_truth), events)


def _log(shop: Shop, with_truth: bool) -> Iterator[Entry]:
    waiting: list[Entry] = []
    for visits, choices, answers in shop.logged():
        entries = waiting + _entries(shop, visits, choices, answers, with_truth)
        # Stable: of the same millisecond the cause comes first, since it was appended first.
        ts_ms = np.fromiter((entry.event.ts_ms for entry in entries), np.int64, len(entries))
        order = ts_ms.argsort(kind="stable")
        ready = int(np.searchsorted(ts_ms[order], visits.next_ms))
        places = order.tolist()
        yield from (entries[place] for place in places[:ready])
        waiting = [entries[place] for place in places[ready:]]


def _entries(shop: Shop, visits: Visits, choices: Choices, answers: Answers, with_truth: bool) -> list[Entry]:
    effects = Effects(shop, visits)
    scribe = effects.scribe
    views = np.flatnonzero(visits.session_kind[visits.view_session] != VIEWLESS)
    slots = np.arange(len(visits.slot_view))
    chances = choices.propensity.tolist()
    exposures = scribe.exposures(slots, choices.ads, visits.slot_ms, chances)

    # Whom nobody offers anything may order all the same.
    sessions = np.arange(len(visits.session_user))
    arms = np.full(len(sessions), NONE)
    asking = np.flatnonzero(visits.session_asks)
    arms[asking], arm_chances = shop.policy.arms(visits, asking, len(shop.world.promotion_ids))
    orders = shop.orders.orders(visits, sessions, arms)
    offered = np.flatnonzero(arms != NONE)
    chance_of = dict(zip(asking.tolist(), arm_chances.tolist(), strict=True))
    offers = scribe.offer_exposures(
        offered, arms[offered] - 1, orders.shown_ms[offered], [chance_of[i] for i in offered.tolist()]
    )

    first_views: dict[str, OfferTruth] = {}
    truths: list[ExposureTruth | None] = [None] * len(exposures)
    if with_truth:
        told = effects.offer_truth(asking, arms[asking], arm_chances.tolist(), orders.at(asking))
        first_views = {truth.view_id: truth for truth in told}
        truths = [*effects.exposure_truth(slots, exposures, chances, answers)]
    return [
        *(Entry(view, first_views.get(view.event_id)) for view in scribe.views(views)),
        *(Entry(click, None) for click in scribe.item_clicks(views)),
        *map(Entry, exposures, truths),
        *(Entry(offer, None) for offer in offers),
        *(Entry(event, None) for event in effects.of_ads(slots, choices.ads, exposures, answers)),
        *(Entry(event, None) for event in effects.of_sessions(sessions, arms, offers, orders)),
    ]
