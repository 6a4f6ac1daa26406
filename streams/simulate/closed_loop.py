"""The closed loop without its broker: time goes in and events come out, decisions go in and users answer.

Each request is answered by the first copy of its decision; one that none answers in time shows nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

import numpy as np
from msgspec import Struct
from msgspec.json import Decoder

from schemas.events import Event
from streams.simulate.effects import Effects, UserTruths
from streams.simulate.orders import NONE
from streams.simulate.shop import Shop
from streams.simulate.truth import Truth
from streams.simulate.visits import VIEWLESS, Visits
from streams.simulate.world import PAGES, offer_slot_id, slot_id


class Decided(Struct, frozen=True):
    """What of a decision the shop acts on."""

    decision_id: str
    event_id: str
    slot_id: str
    chosen_id: str
    propensity: float


decode_decided = Decoder(Decided).decode


class Request(Struct):
    """A slot that is to be filled."""

    effects: Effects
    visits: Visits
    number: int
    """Of the slot; of the session where it asks for a promotion."""
    offer: bool
    decision_id: str = ""
    """Empty until it is decided."""


Served = tuple[Request, int, float]
"""A request, the number of the ad or arm that was chosen, and its propensity."""

Key = tuple[str, str]
"""``event_id`` of the view that asks, and ``slot_id``."""


class ClosedLoop:
    """Users who come by themselves and answer to decisions. Times are event time, in milliseconds."""

    def __init__(
        self, shop: Shop, patience_ms: int, tag: str = "", tell: Callable[[Truth], object] | None = None,
        from_ms: int | None = None,
    ) -> None:  # fmt: skip
        """``tell`` hears the truth as it comes to light; ``tag`` begins the numbers in all ids.

        What happened before ``from_ms`` stays unseen (default: the shop's start, when nobody is there yet).
        """
        self.from_ms = shop.traffic.start_ms if from_ms is None else from_ms
        self.counts: Counter[str] = Counter()
        """Of requests: ``shown``, ``empty`` (nothing was chosen, or nothing of this shop), ``unanswered``; of
        decisions: ``copies`` of one that counts, ``unmatched`` ones (too late, or for another's view)."""
        self._shop = shop
        self._patience_ms = patience_ms
        self._tag = tag
        self._tell = tell
        self._users = UserTruths(shop)
        self._blocks = shop.traffic.blocks()
        self._loaded_until_ms = shop.traffic.start_ms
        self._agenda: list[tuple[int, int, bool, Event]] = []
        self._added = 0  # breaks ties, so that causes come first and events are never compared
        self._requests: dict[Key, Request] = {}
        self._deadlines: list[tuple[int, Key]] = []
        self._ads = {ad_id: number for number, ad_id in enumerate(shop.world.ad_ids)}
        self._arms = {name: number for number, name in enumerate(("none", *shop.world.promotion_ids))}

    @property
    def pending(self) -> int:
        """Events that are still to follow from what was decided."""
        return sum(follows for *_, follows, _ in self._agenda)

    def due(self, now_ms: int) -> list[Event]:
        """What happens until now, in the order of time."""
        while self._loaded_until_ms <= now_ms:
            self._load(next(self._blocks))
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            self._expire(heappop(self._deadlines)[1], now_ms)
        events = []
        while self._agenda and self._agenda[0][0] <= now_ms:
            *_, event = heappop(self._agenda)
            if event.ts_ms < self.from_ms:
                continue
            events.append(event)
            if self._tell is not None and (user := self._users.take(event.user_id)):
                self._tell(user)
        return events

    def decide(self, decisions: Iterable[Decided], now_ms: int) -> None:
        """Decisions have come; what they lead to is going to be due."""
        ads: defaultdict[int, list[Served]] = defaultdict(list)
        offers: defaultdict[int, list[Served]] = defaultdict(list)
        for decision in decisions:
            request = self._requests.get((decision.event_id, decision.slot_id))
            if request is None or request.decision_id:
                self.counts["copies" if request else "unmatched"] += 1
                continue
            request.decision_id = decision.decision_id
            names = self._arms if request.offer else self._ads
            chosen = names.get(decision.chosen_id)
            shows = chosen is not None and not (request.offer and chosen == NONE)
            self.counts["shown" if shows else "empty"] += 1
            if request.offer:
                offers[request.visits.number].append((request, chosen or NONE, decision.propensity))
            elif chosen is not None:
                ads[request.visits.number].append((request, chosen, decision.propensity))
        for served in ads.values():
            requests, chosen_ads, propensity = zip(*served, strict=True)
            visits, slots = requests[0].visits, np.array([request.number for request in requests])
            # Nothing is seen before it has been decided.
            shown_ms = np.maximum(visits.slot_ms[slots], now_ms)
            decision_ids = [request.decision_id for request in requests]
            self._show(
                requests[0].effects, visits, slots, np.array(chosen_ads), shown_ms, propensity, decision_ids
            )
        for served in offers.values():
            self._offer(served, now_ms)

    def _load(self, visits: Visits) -> None:
        """A block of users begins to come."""
        shop = self._shop
        effects = Effects(shop, visits, self._tag)
        scribe = effects.scribe
        self._loaded_until_ms = visits.next_ms
        views = np.flatnonzero(visits.session_kind[visits.view_session] != VIEWLESS)
        self._add([*scribe.views(views), *scribe.item_clicks(views)])
        self._ask(visits, effects, views)

        # Who asks for no promotion may order all the same; what viewless bots click another system showed.
        others = np.flatnonzero(~visits.session_asks)
        arms = np.full(len(others), NONE)
        self._add(effects.of_sessions(others, arms, [], shop.orders.orders(visits, others, arms)))
        viewless = visits.session_kind[visits.view_session[visits.slot_view]] == VIEWLESS
        slots = np.flatnonzero(viewless)
        choices = shop.policy.choose(visits, slots)
        self._show(
            effects, visits, slots, choices.ads, visits.slot_ms[slots], choices.propensity.tolist(), ()
        )

    def _ask(self, visits: Visits, effects: Effects, views: np.ndarray) -> None:
        views = views[visits.view_ms[views] >= self.from_ms]
        offers = visits.session_asks[visits.view_session[views]] & (visits.view_index[views] == 0)
        asking = (visits.slot_count[views] > 0) | offers
        views, offers = views[asking], offers[asking]
        columns = (
            visits.view_session[views], visits.view_ms[views], visits.view_page[views],
            visits.first_slot[views], visits.slot_count[views], offers,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for event_id, (number, ts_ms, kind, first, count, offer) in zip(
            effects.scribe.view_ids(views), rows, strict=True
        ):
            page = PAGES[kind]
            requests = {
                slot_id(page, place + 1): Request(effects, visits, first + place, offer=False)
                for place in range(count)
            }
            if offer:
                requests[offer_slot_id(page)] = Request(effects, visits, number, offer=True)
            for slot, request in requests.items():
                self._requests[event_id, slot] = request
                heappush(self._deadlines, (ts_ms + self._patience_ms, (event_id, slot)))

    def _show(
        self, effects: Effects, visits: Visits, slots: np.ndarray, ads: np.ndarray, shown_ms: np.ndarray,
        propensity: Sequence[float], decision_ids: Sequence[str],
    ) -> None:  # fmt: skip
        answers = self._shop.model.answers(visits, slots, ads)
        exposures = effects.scribe.exposures(
            slots, ads, shown_ms, None if decision_ids else propensity, decision_ids
        )
        self._add([*exposures, *effects.of_ads(slots, ads, exposures, answers)], follows=bool(decision_ids))
        if self._tell is not None:
            for truth in effects.exposure_truth(slots, exposures, propensity, answers):
                self._tell(truth)

    def _offer(self, served: Sequence[Served], now_ms: int) -> None:
        """Arms of a block's sessions are known: whether they order, and what is shown to them."""
        requests, chosen, propensity = zip(*served, strict=True)
        effects, visits = requests[0].effects, requests[0].visits
        sessions, arms = np.array([request.number for request in requests]), np.array(chosen)
        decision_ids = [request.decision_id for request in requests]
        orders = self._shop.orders.orders(visits, sessions, arms, not_before_ms=now_ms)
        offered = np.flatnonzero(arms != NONE)
        exposures = effects.scribe.offer_exposures(
            sessions[offered], arms[offered] - 1, orders.shown_ms[offered], None,
            [decision_ids[place] for place in offered.tolist()],
        )  # fmt: skip
        self._add([*exposures, *effects.of_sessions(sessions, arms, exposures, orders)], follows=True)
        if self._tell is not None:
            for truth in effects.offer_truth(sessions, arms, propensity, orders, decision_ids):
                self._tell(truth)

    def _expire(self, key: Key, now_ms: int) -> None:
        """Nobody waits for this request any longer."""
        request = self._requests.pop(key)
        if not request.decision_id:
            self.counts["unanswered"] += 1
            if request.offer:
                self._offer([(request, NONE, 0.0)], now_ms)

    def _add(self, events: Iterable[Event], follows: bool = False) -> None:
        for event in events:
            self._added += 1
            heappush(self._agenda, (event.ts_ms, self._added, follows, event))
