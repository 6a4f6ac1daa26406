"""The processor: one partition's events in order, what follows from them out.

It is pure: its outputs and its state depend on the events, ticks, catalogue and weights it is given and
on nothing else. There is no clock, no broker and no randomness but what a decision's identity seeds.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from models.catalog import Catalog, ConversionError
from models.hashing import stable_key
from models.profiles import PAGE_CODES
from models.serving import ServingWeights
from schemas.events import Click, Exposure, Purchase, Refund, View
from streams.processor.arrival import Arrival, IdentityArrival
from streams.processor.consent import NOBODY_SUFFIX, Consents
from streams.processor.deciding import Decider
from streams.processor.joins import Joins
from streams.processor.links import Links
from streams.processor.orders import Orders
from streams.processor.outcomes import Outcomes
from streams.processor.output import Output
from streams.processor.sites import Sites
from streams.processor.tape import NOTHING, Tape
from streams.processor.timers import Timers
from streams.routing import partition_hash
from streams.settings import Settings
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

MAX_SHOPS = 10_000
"""Whose keys are kept at hand."""


Worded = TypeVar("Worded", View, Exposure)


class Processor:
    """Processes the events of one partition; owns its state.

    The processors of one catalogue may share its ``sites``.
    """

    def __init__(
        self, partition: int, settings: Settings, catalog: Catalog, weights: ServingWeights,
        sites: Sites | None = None,
    ) -> None:  # fmt: skip
        self.partition = partition
        self.catalog = catalog
        self.state = PartitionState(settings.state, settings.processing)
        self.output = Output()
        self.sites = sites or Sites(catalog)
        self.tape = Tape(self.state, self.sites, weights, settings.deciding)
        self.decider = Decider(self.tape, catalog, weights, self.output, settings.deciding)
        sample = settings.learning.negative_sample
        self.outcomes = Outcomes(partition, catalog, self.tape, self.output, sample)
        self.timers = Timers()
        outcomes = self.outcomes
        self.joins = Joins(self.state, outcomes, self.tape, self.timers, settings)
        self.orders = Orders(self.state, self.joins, outcomes, self.timers, settings.processing)
        self.links = Links(
            partition, self.state, self.joins, self.orders, self.timers, self.output, settings.identity,
            self._settle,
        )  # fmt: skip
        self.consents = Consents(settings.consent.when_absent)
        self.lateness_ms = int(settings.processing.lateness_s * 1000)
        self.tape.on_full = self.state.profiles.before_evicting = self._settle
        self._shops: dict[str, int] = {}
        self._handlers: dict[type, Callable[[Any, Arrival, int], None]] = {
            View: self._view,
            Exposure: self._exposure,
            Click: self._click,
            Purchase: self._purchase,
            Refund: self._refund,
        }

    def process(self, arrivals: Iterable[Arrival | IdentityArrival]) -> None:
        """Apply events in the given order; what follows is in ``output``."""
        state, shops, handlers = self.state, self._shops, self._handlers
        counters, offsets = state.counters, state.offsets
        known, remember = state.event_ids.known, state.event_ids.add
        consents, usual_consent = self.consents, self.consents.usual
        self.sites.refresh()
        for arrival in arrivals:
            if isinstance(arrival, IdentityArrival):
                self.links.take(arrival)
                continue
            offsets[arrival.topic] = arrival.offset + 1
            event = arrival.event
            if event is None:
                self._refuse(arrival, arrival.reason)
                continue
            ts_ms = event.ts_ms
            if ts_ms > state.stream_ms:
                self._advance(ts_ms)
            elif ts_ms < state.stream_ms - self.lateness_ms:
                counters["late"] += 1
            counters["events"] += 1
            shop = shops.get(event.shop_id) or self._shop(event.shop_id)
            event_key = stable_key(event.event_id, shop)
            if event_key in known:
                counters["duplicates"] += 1
                continue
            user = stable_key(event.user_id, shop)
            if event.consent is not usual_consent and not consents.profile(event.consent):
                user = NOBODY
            try:
                handlers[type(event)](event, arrival, user)
            except ConversionError as error:
                # Its id stays unknown: once the catalogue has the rate, the event may be sent again.
                self._refuse(arrival, f"{error} - at `$.currency`")
            else:
                remember(event_key, ts_ms)
        self._settle()

    def advance(self, stream_ms: int) -> None:
        """Move the stream time on; what happens by absence until then, happens now."""
        if stream_ms > self.state.stream_ms:
            self._advance(stream_ms)
            self._settle()

    def restored(self) -> None:
        """The state has been loaded from its changelog: rebuild what derives from it."""
        self.timers.restart([*self.joins.pending(), *self.orders.pending(), *self.links.pending()])

    def _advance(self, stream_ms: int) -> None:
        self.state.advance(stream_ms)
        if stream_ms > self.timers.next_ms:
            self.timers.expire(stream_ms)

    def _settle(self) -> None:
        """Do what was noted, and write the decisions and examples that follow from it."""
        self.tape.play()
        self.decider.write()
        self.outcomes.write_examples()
        self.tape.clear()

    def _view(self, view: View, arrival: Arrival, user: int) -> None:
        counters, ts_ms = self.state.counters, view.ts_ms
        counters["views"] += 1
        profile, suffix = NOTHING, NOBODY_SUFFIX
        if user != NOBODY:
            profile, suffix = self._profile(user, view.user_id), ""
            self.tape.view(
                profile, ts_ms, self.catalog.day(view.shop_id, ts_ms), PAGE_CODES[view.page],
                stable_key(view.category), view.price_micros,
            )  # fmt: skip
            if view.anonymous_id:
                self.links.logged_in(view, user, self._shop(view.shop_id))
        if view.slots and self._is_contextual(view):
            counters["contextual"] += len(view.slots)
            profile, view = NOTHING, _impersonal(view)
        for index, slot in enumerate(view.slots):
            counters["slots"] += 1
            counters["decisions"] += 1
            decision_id = f"views-{self.partition}-{arrival.offset}-{index}{suffix}"
            # Also for a promotion: what is learned goes by what the exposure says was shown.
            request = self.joins.requested(decision_id, ts_ms, user)
            site = self.sites.of(view, slot.slot_id)
            self.decider.asked(decision_id, view, slot, site, profile, request, user)

    def _exposure(self, exposure: Exposure, arrival: Arrival, user: int) -> None:
        counters, ts_ms = self.state.counters, exposure.ts_ms
        counters["exposures"] += 1
        if exposure.decision_id.endswith(NOBODY_SUFFIX):
            user = NOBODY
        profile = NOTHING if user == NOBODY else self._profile(user, exposure.user_id)
        day = self.catalog.day(exposure.shop_id, ts_ms)
        row = self.catalog.ad_row(exposure.shop_id, exposure.ad_id)
        ad = NOTHING if row is None else row
        if not exposure.decision_id:
            # Another system's choice: the exposure itself says what was known when it was made.
            key, shown = self.joins.exposed(exposure, arrival.offset, user, learnable=ad != NOTHING)
            if self._is_contextual(exposure):
                user, exposure = NOBODY, _impersonal(exposure)
            site = self.sites.of(exposure, exposure.slot_id)
            self.tape.foreign_exposure(profile, ts_ms, day, shown, site, exposure.position, user, ad)
            self.joins.meet(key, exposure)
            return
        request = self.joins.request_of(exposure, user)
        if request == NOTHING:
            self.joins.unmatched(exposure, arrival.offset, user)
            self.tape.own_exposure(profile, ts_ms, day, NOTHING, NOTHING, NOTHING)
            return
        key, shown = self.joins.exposed(exposure, arrival.offset, user, learnable=ad != NOTHING)
        self.tape.own_exposure(profile, ts_ms, day, shown, request, ad)
        self.joins.meet(key, exposure)

    def _click(self, click: Click, arrival: Arrival, user: int) -> None:
        counters = self.state.counters
        counters["clicks"] += 1
        if click.decision_id.endswith(NOBODY_SUFFIX):
            user = NOBODY
        if user != NOBODY:
            self.tape.click(
                self._profile(user, click.user_id), click.ts_ms, self.catalog.day(click.shop_id, click.ts_ms),
                bool(click.decision_id), click.kind == "add_to_cart", stable_key(click.category),
                click.price_micros,
            )  # fmt: skip
            if click.anonymous_id:
                self.links.logged_in(click, user, self._shop(click.shop_id))
        if click.kind in ("ad", "promotion"):
            counters["ad_clicks"] += 1
            self.joins.clicked(click, arrival.offset, user)

    def _purchase(self, purchase: Purchase, arrival: Arrival, user: int) -> None:
        counters, ts_ms = self.state.counters, purchase.ts_ms
        if user == NOBODY:  # there is no telling whose clicks may have earned it
            counters["purchases"] += 1
            return
        amount_micros = self._in_base(purchase, purchase.amount_micros)
        prices_micros = [self._in_base(purchase, line.unit_price_micros) for line in purchase.lines]
        if self.orders.has(purchase, user):
            counters["duplicates"] += 1
            return
        counters["purchases"] += 1
        profile = self._profile(user, purchase.user_id)
        self.tape.order(profile, ts_ms, self.catalog.day(purchase.shop_id, ts_ms), amount_micros)
        for line, price_micros in zip(purchase.lines, prices_micros, strict=True):
            self.tape.line(profile, ts_ms, stable_key(line.category), price_micros)
        self.orders.purchased(purchase, arrival.offset, user, amount_micros)
        if purchase.anonymous_id:
            self.links.logged_in(purchase, user, self._shop(purchase.shop_id))

    def _refund(self, refund: Refund, arrival: Arrival, user: int) -> None:
        if user == NOBODY:
            self.state.counters["refunds"] += 1
            self.state.counters["unmatched_refunds"] += 1
            return
        amount_micros = self._in_base(refund, refund.amount_micros)
        self.state.counters["refunds"] += 1
        self.tape.refund(
            self._profile(user, refund.user_id), refund.ts_ms,
            self.catalog.day(refund.shop_id, refund.ts_ms), amount_micros,
        )  # fmt: skip
        self.orders.refunded(refund, arrival.offset, user, amount_micros)

    def _is_contextual(self, event: View | Exposure) -> bool:
        """Whether nothing that is known of the user may be used for what is asked or was shown."""
        consent, consents = event.consent, self.consents
        return consent is not consents.usual and not consents.personalisation(consent)

    def _refuse(self, arrival: Arrival, reason: str) -> None:
        self.state.counters["dead_letters"] += 1
        self.output.dead_letter(arrival.dead_letter(reason))

    def _profile(self, user: int, user_id: str) -> int:
        """Slot of a user's profile, which the event is about to change; made if there was none."""
        pool = self.state.profiles
        slot = pool.slot_of.get(user)
        if slot is None:
            slot = pool.add(user)
            pool.rows["partition_hash"][slot] = partition_hash(user_id)
        else:
            pool.touch(user)
        return slot

    def _shop(self, shop_id: str) -> int:
        """Key of a shop, which seeds those of its users and events."""
        if len(self._shops) >= MAX_SHOPS:
            self._shops.clear()
        key = self._shops[shop_id] = stable_key(shop_id)
        return key

    def _in_base(self, event: Purchase | Refund, amount_micros: int) -> int:
        """Handlers ask before they change anything: what raises here has had no effect."""
        return self.catalog.to_base_micros(event.shop_id, event.currency, event.ts_ms, amount_micros)


def _impersonal(event: Worded) -> Worded:
    """Without the shop's words, which may be about the user."""
    return replace(event, segments=()) if event.segments else event
