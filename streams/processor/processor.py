"""The processor: one partition's events in order, what follows from them out.

It is pure: its outputs and its state depend on the events, ticks, catalogue and weights it is given and
on nothing else. There is no clock, no broker and no randomness but what a decision's identity seeds.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any, TypeVar

from msgspec.structs import replace

from models.catalog import Catalog, ConversionError
from models.hashing import stable_key
from models.profiles import PAGE_CODES
from models.serving import ServingWeights
from schemas.events import Click, Exposure, Purchase, Refund, View
from streams.processor.arrival import Arrival, IdentityArrival
from streams.processor.consent import NOBODY_SUFFIX, Consents
from streams.processor.deciding import Asked, Decider
from streams.processor.links import Links
from streams.processor.outcomes import Outcomes, Seen
from streams.processor.output import Output
from streams.processor.rankings import NO_AD
from streams.processor.rules import set_rules
from streams.processor.sites import Sites
from streams.processor.tape import CLICK, FOREIGN, MAX_SEEN, NO_TICKET, ORDER, OWN, REFUND, TIME, VIEW, Tape
from streams.settings import Settings
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

MAX_SHOPS = 10_000
"""Whose keys are kept at hand."""
NOWHERE = 0, 0, 0
MAX_NUMBER = 2**62
"""Of what a decision's identity may say: a note has room for it."""

# What is noted of each kind of event: the numbers that ``streams.processor.tape`` reads, in its order.
time_note, view_note, slot_note, own_note, foreign_note, click_note, order_note, line_note, refund_note = (
    Struct(f"{numbers}q").pack for numbers in (3, 11, 4, 14, 13, 13, 9, 2, 9)
)


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
        set_rules(self.state.books, settings, partition, self.state.write_version)
        self.output = Output()
        self.sites = sites or Sites(catalog)
        self.decider = Decider(catalog, weights, self.output, settings.deciding)
        sample = settings.learning.negative_sample
        self.outcomes = Outcomes(partition, catalog, self.state, self.output, sample)
        self.tape = Tape(self.state, self.sites, weights, settings.deciding, self.decider, self.outcomes)
        self.links = Links(partition, self.state, self.tape, self.output, settings.identity)
        self.consents = Consents(settings.consent.when_absent)
        self.lateness_ms = int(settings.processing.lateness_s * 1000)
        self._shops: dict[str, int] = {}
        self._stream_ms = 0
        self._handlers: dict[type, Callable[[Any, int, int, int, int], None]] = {
            View: self._view,
            Exposure: self._exposure,
            Click: self._click,
            Purchase: self._purchase,
            Refund: self._refund,
        }

    def process(self, arrivals: Iterable[Arrival | IdentityArrival]) -> None:
        """Apply events in the given order; what follows is in ``output``."""
        state, shops, handlers, tape = self.state, self._shops, self._handlers, self.tape
        counters, offsets, seen = state.counters, state.offsets, tape.seen
        known, remember = state.event_ids.known, state.event_ids.add
        consents, usual_consent = self.consents, self.consents.usual
        self.sites.refresh()
        self._stream_ms = state.stream_ms
        midnight_ms = state.next_midnight_ms
        for arrival in arrivals:
            if isinstance(arrival, IdentityArrival):
                tape.play()
                self.links.take(arrival)
                continue
            offset = arrival.offset
            offsets[arrival.topic] = offset + 1
            event = arrival.event
            if event is None:
                self._refuse(arrival, arrival.reason)
                continue
            ts_ms = event.ts_ms
            if ts_ms > self._stream_ms:
                if ts_ms >= midnight_ms:
                    tape.play()
                    state.advance(ts_ms)
                    midnight_ms = state.next_midnight_ms
                self._stream_ms = ts_ms
            elif ts_ms < self._stream_ms - self.lateness_ms:
                counters["late"] += 1
            counters["events"] += 1
            shop = shops.get(event.shop_id) or self._shop(event.shop_id)
            event_key = stable_key(event.event_id, shop)
            if event_key in known:
                counters["duplicates"] += 1
                tape.notes.append(time_note(TIME, 0, ts_ms))
                continue
            user = stable_key(event.user_id, shop)
            if event.consent is not usual_consent and not consents.profile(event.consent):
                user = NOBODY
            try:
                handlers[type(event)](event, len(seen), offset, user, shop)
            except ConversionError as error:
                # Its id stays unknown: once the catalogue has the rate, the event may be sent again.
                self._refuse(arrival, f"{error} - at `$.currency`")
                tape.notes.append(time_note(TIME, 0, ts_ms))
            else:
                remember(event_key, ts_ms)
                if len(seen) >= MAX_SEEN:
                    tape.play()
        tape.play()

    def advance(self, stream_ms: int) -> None:
        """Move the stream time on; what happens by absence until then, happens now."""
        if stream_ms > self.state.stream_ms:
            self.state.advance(stream_ms)
            self.tape.notes.append(time_note(TIME, 0, stream_ms))
            self.tape.play()

    def restored(self) -> None:
        """The state has been loaded from its changelog: rebuild what derives from it."""
        self.tape.restart()

    def _view(self, view: View, number: int, offset: int, user: int, shop: int) -> None:
        counters, ts_ms, tape, slots = self.state.counters, view.ts_ms, self.tape, view.slots
        counters["views"] += 1
        tape.seen.append(Seen(view, offset, user))
        contextual = user == NOBODY or (bool(slots) and self._is_contextual(view))
        tape.notes.append(view_note(
            VIEW, number, ts_ms, offset, user, self.catalog.day(view.shop_id, ts_ms), PAGE_CODES[view.page],
            stable_key(view.category), view.price_micros, contextual, len(slots),
        ))  # fmt: skip
        if contextual and slots:
            counters["contextual"] += len(slots)
            view = _impersonal(view)
        counters["slots"] += len(slots)
        counters["decisions"] += len(slots)
        suffix = NOBODY_SUFFIX if user == NOBODY else ""
        for index, slot in enumerate(slots):
            decision_id = f"views-{self.partition}-{offset}-{index}{suffix}"
            site = self.sites.of(view, slot.slot_id)
            # Also for a promotion there is a request: what is learned goes by what the exposure says was
            # shown.
            ticket = self.decider.ticket(decision_id) if slot.kind == "ad" else NO_TICKET
            tape.notes.append(slot_note(stable_key(decision_id), site.number, slot.position, ticket))
            tape.asked.append(Asked(decision_id, view, slot, user, site, contextual))
        if view.anonymous_id and user != NOBODY:
            self.links.logged_in(view, user, shop, self._stream_ms)

    def _exposure(self, exposure: Exposure, number: int, offset: int, user: int, shop: int) -> None:
        ts_ms, tape, decision_id = exposure.ts_ms, self.tape, exposure.decision_id
        self.state.counters["exposures"] += 1
        if decision_id.endswith(NOBODY_SUFFIX):
            user = NOBODY
        tape.seen.append(Seen(exposure, offset, user))
        day = self.catalog.day(exposure.shop_id, ts_ms)
        row = self.catalog.ad_row(exposure.shop_id, exposure.ad_id)
        ad = NO_AD if row is None else row
        shown, is_ad = stable_key(exposure.ad_id or exposure.promotion_id), bool(exposure.ad_id)
        if decision_id:
            tape.notes.append(own_note(
                OWN, number, ts_ms, offset, user, day, ad, stable_key(decision_id),
                stable_key(f"own/{decision_id}", user), shown, is_ad, *self._place_of(decision_id),
            ))  # fmt: skip
            return
        # Another system's choice: the exposure itself says what was known when it was made.
        known_user = user
        if self._is_contextual(exposure):
            known_user, exposure = NOBODY, _impersonal(exposure)
        tape.notes.append(foreign_note(
            FOREIGN, number, ts_ms, offset, user, day, ad, stable_key(f"foreign/{exposure.event_id}", user),
            shown, is_ad, self.sites.of(exposure, exposure.slot_id).number, exposure.position, known_user,
        ))  # fmt: skip

    def _click(self, click: Click, number: int, offset: int, user: int, shop: int) -> None:
        counters, decision_id = self.state.counters, click.decision_id
        counters["clicks"] += 1
        if decision_id.endswith(NOBODY_SUFFIX):
            user = NOBODY
        self.tape.seen.append(Seen(click, offset, user))
        key = event_key = 0
        is_paid = click.kind in ("ad", "promotion")
        if is_paid:
            counters["ad_clicks"] += 1
            # With the user in it, nobody else's click can take the place of the user's.
            meets = f"own/{decision_id}" if decision_id else f"foreign/{click.exposure_id}"
            key, event_key = stable_key(meets, user), stable_key(click.event_id, user)
        self.tape.notes.append(click_note(
            CLICK, number, click.ts_ms, offset, user, self.catalog.day(click.shop_id, click.ts_ms),
            bool(decision_id), click.kind == "add_to_cart", stable_key(click.category), click.price_micros,
            is_paid, key, event_key,
        ))  # fmt: skip
        if click.anonymous_id and user != NOBODY:
            self.links.logged_in(click, user, shop, self._stream_ms)

    def _purchase(self, purchase: Purchase, number: int, offset: int, user: int, shop: int) -> None:
        ts_ms = purchase.ts_ms
        if user == NOBODY:  # there is no telling whose clicks may have earned it
            self.state.counters["purchases"] += 1
            self.tape.notes.append(time_note(TIME, 0, ts_ms))
            return
        amount_micros = self._in_base(purchase, purchase.amount_micros)
        lines = [
            line_note(stable_key(line.category), self._in_base(purchase, line.unit_price_micros))
            for line in purchase.lines
        ]
        self.tape.seen.append(Seen(purchase, offset, user))
        self.tape.notes.append(order_note(
            ORDER, number, ts_ms, offset, user, self.catalog.day(purchase.shop_id, ts_ms), amount_micros,
            stable_key(purchase.order_id, user), len(lines),
        ))  # fmt: skip
        self.tape.notes += lines
        if purchase.anonymous_id:
            self.links.logged_in(purchase, user, shop, self._stream_ms)

    def _refund(self, refund: Refund, number: int, offset: int, user: int, shop: int) -> None:
        counters = self.state.counters
        if user == NOBODY:
            counters["refunds"] += 1
            counters["unmatched_refunds"] += 1
            self.tape.notes.append(time_note(TIME, 0, refund.ts_ms))
            return
        amount_micros = self._in_base(refund, refund.amount_micros)
        counters["refunds"] += 1
        self.tape.seen.append(Seen(refund, offset, user))
        self.tape.notes.append(refund_note(
            REFUND, number, refund.ts_ms, offset, user, self.catalog.day(refund.shop_id, refund.ts_ms),
            amount_micros, stable_key(refund.event_id, user), stable_key(refund.order_id, user),
        ))  # fmt: skip

    def _place_of(self, decision_id: str) -> tuple[int, int, int]:
        """Offset, slot and origin of the request that a decision of ours names; another's does not matter.

        Its identity is ``views-<partition>-<offset>-<slot>[-nobody]``.
        """
        try:
            _, partition_, offset_, index_, *_ = decision_id.split("-", 4)
            partition, offset, index = int(partition_), int(offset_), int(index_)
        except ValueError:
            return NOWHERE
        if partition > MAX_NUMBER or offset > MAX_NUMBER or index > MAX_NUMBER:
            return NOWHERE
        return offset, index, 0 if partition == self.partition else partition + 1

    def _is_contextual(self, event: View | Exposure) -> bool:
        """Whether nothing that is known of the user may be used for what is asked or was shown."""
        consent, consents = event.consent, self.consents
        return consent is not consents.usual and not consents.personalisation(consent)

    def _refuse(self, arrival: Arrival, reason: str) -> None:
        self.state.counters["dead_letters"] += 1
        self.output.dead_letter(arrival.dead_letter(reason))

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
