"""A run of events: noted as numbers in order, done by one kernel call, and what follows written as records.

A kernel call from Python costs more than what the kernel does for one event. So the processor notes here what
is to be done for each; ``play`` does it. It makes no difference where a run ends.
"""

from typing import cast

import numpy as np
from numba import njit

from models.features import CONTEXT, context_buckets, join_buckets
from models.placement import SHARES, place
from models.profiles import PROFILE, see_click, see_exposure, see_line, see_purchase, see_refund, see_view
from models.serving import ServingWeights
from schemas.events import Purchase
from streams.processor import timers
from streams.processor.deciding import Asked, Decider
from streams.processor.happening import expire, restart
from streams.processor.joins import clicked, exposed, meet, request_of, requested, unmatched
from streams.processor.orders import has_order, purchased, refunded
from streams.processor.outcomes import Outcomes, Seen
from streams.processor.rankings import ASKED, NO_AD, SCORED, Rankings, fits, write_ranking
from streams.processor.records import CLICKER_NAMES, PROFILE_ROW, Records, has_room, name
from streams.processor.rules import DUPLICATES, PURCHASES_SEEN, count
from streams.processor.sites import Sites
from streams.processor.timers import Timers
from streams.processor.turns import Turns
from streams.routing import partition_hash
from streams.settings import Deciding
from streams.state.books import (
    CLICKS_OF,
    COUNT,
    COUNTS,
    PROFILES,
    REPEATS_OF,
    REQUESTS,
    RULES,
    STREAM_MS,
    TIMERS,
    TURNS,
    exposures,
    profiles,
    requests,
    unowned,
)
from streams.state.chain_index import ChainIndex
from streams.state.index import ABSENT, find
from streams.state.partition import PartitionState
from streams.state.rows import COUNTERS, NOBODY
from streams.state.slots import put, remove, touch

VIEW, OWN, FOREIGN, CLICK, ORDER, REFUND, TIME = range(7)
"""The first number of a note: what it is of. Then
come the number of the event in the run, its time and, but for ``TIME``, offset, user and day; and what the
functions below take out of it."""
HEAD = 6
SLOT_NUMBERS, LINE_NUMBERS = 4, 2
"""Of each slot that a page view asks for, and of each line of an order."""
NO_TICKET = -1
"""Of a slot that asks for no ad."""
NO_PROFILE = -1

_SLOT = CONTEXT.index("slot")

MAX_SEEN = 2000
"""Events of one run."""
TIMERS_OF_EVENT, TIMERS_OF_ROW = 20, 3
"""At most, and room for one event more (``streams.processor.timers.ADDED``)."""


class Tape:
    """What has been noted of one partition's events and is still to be done.

    Attributes
    ----------
    notes
        Numbers of 8 bytes, as the kernel reads them.
    seen
        The events that the notes are of, by number.
    asked
        Slots that the notes ask for, in the same order.
    """

    def __init__(
        self, state: PartitionState, sites: Sites, weights: ServingWeights, settings: Deciding,
        decider: Decider, outcomes: Outcomes,
    ) -> None:  # fmt: skip
        self.notes: list[bytes] = []
        self.seen: list[Seen] = []
        self.asked: list[Asked] = []
        self.timers = Timers(state.books[TIMERS])
        self._turns = Turns(state.books[TURNS])
        self._state = state
        self._sites = sites
        self._weights = weights
        self._lines = weights.lines if settings.calibrated else np.full_like(weights.lines, (1.0, 0.0))
        self._policy = settings.shortlist, settings.temperature, settings.floor
        self._decider = decider
        self._outcomes = outcomes
        self._records = Records(state.books)
        self._rankings = Rankings()
        self._chains = ChainIndex(state.books[CLICKS_OF]), ChainIndex(state.books[REPEATS_OF])
        self._blank = np.zeros(1, PROFILE)
        """Stands for the profile of whoever has none that may be used."""

    def play(self) -> None:
        """Do all that was noted, and write what follows from it."""
        if not self.notes:
            return
        notes, at = np.frombuffer(b"".join(self.notes), np.int64), 0
        while at < len(notes):
            self.reserve(len(self.seen) + 1, len(self.asked))
            at = self._run(notes, at)
            self.write()
        self.notes.clear()
        self.seen.clear()

    def restart(self) -> None:
        """The state has been loaded: set the timers that its rows wait for."""
        state = self._state
        self.timers.reserve(TIMERS_OF_ROW * sum(map(len, state.pools[1:])))
        self._turns.reserve(len(state.purchases))
        for chains, pool in zip(self._chains, (state.clicks, state.repeats), strict=True):
            chains.reserve(len(pool))
        restart(state.books)
        state.settle()

    def reserve(self, events: int, slots: int) -> None:
        """Make room for what so many events can bring."""
        state, waiting = self._state, len(self._state.repeats)
        for pool in state.pools:
            pool.reserve(events)
        state.requests.reserve(slots)
        state.clicks.reserve(events + waiting)
        for chains in self._chains:
            chains.reserve(events + waiting)
        self._turns.reserve(events)
        self.timers.reserve(
            TIMERS_OF_EVENT * events + 2 * slots + 4 * waiting + int(state.books[TURNS, COUNT])
        )
        self._records.reserve(waiting)

    def _run(self, notes: np.ndarray, at: int) -> int:
        sites, catalog, rankings = self._sites, self._sites.catalog, self._rankings
        end: int = run(
            self._state.books, notes, at, sites.words, sites.spans, sites.candidates, sites.id_spans,
            sites.ids, catalog.ads, self._weights.table, self._lines, catalog.mask, self._policy,
            rankings.done, rankings.placed, rankings.drawn, rankings.p_click, rankings.ecpm_micros,
            rankings.reasons, rankings.propensity, rankings.text, self._blank,
        )  # fmt: skip
        return end

    def write(self) -> None:
        """Write what kernels have told."""
        self._name_rows()
        self._outcomes.write(self._records, self.seen)
        if asked := self._rankings.asked:
            self._decider.write(self.asked[:asked], self._rankings)
            del self.asked[:asked]
        counts = self._state.books[COUNTS]
        for counter in np.flatnonzero(counts).tolist():
            self._state.counters[COUNTERS[counter]] += int(counts[counter])
        counts[:] = 0
        self._records.clear()
        self._rankings.clear()
        self._state.settle()

    def _name_rows(self) -> None:
        """Texts, which kernels do not write, of new rows."""
        state, partition_hashes = self._state, self._state.profiles.rows["partition_hash"]
        for what, slot, number in self._records.named():
            seen = self.seen[number]
            if what == PROFILE_ROW:
                partition_hashes[slot] = partition_hash(seen.event.user_id)
                continue
            row = (state.clickers if what == CLICKER_NAMES else state.purchases).rows[slot]
            row["shop_id"], row["user_id"] = seen.event.shop_id, seen.user_id
            if what != CLICKER_NAMES:
                row["order_id"] = cast(Purchase, seen.event).order_id


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    books, notes, at, words, site_spans, candidates, id_spans, ids, ads, weights, lines, mask, policy, done,
    placed, drawn, p_click, ecpm_micros, reasons, propensity, text, blank,
):  # fmt: skip
    """Do what was noted from ``at`` on; returns where it stopped: at the end, or where there is no room."""
    books, notes, words, site_spans = unowned(books), unowned(notes), unowned(words), unowned(site_spans)
    candidates, id_spans, ids = unowned(candidates), unowned(id_spans), unowned(ids)
    weights, lines, propensity, text = unowned(weights), unowned(lines), unowned(propensity), unowned(text)
    p_click, ecpm_micros, reasons = unowned(p_click), unowned(ecpm_micros), unowned(reasons)
    shares, context = np.empty(len(SHARES)), np.empty(len(CONTEXT), np.uint32)
    while at < len(notes):
        kind, event, ts_ms = notes[at], notes[at + 1], notes[at + 2]
        books[RULES, STREAM_MS] = max(ts_ms, books[RULES, STREAM_MS])
        if not expire(books) or not has_room(books) or not timers.has_room(books):
            return at
        if kind == TIME:
            at += 3
            continue
        offset, user, day = notes[at + 3], notes[at + 4], notes[at + 5]
        note = notes[at + HEAD :]
        profile = NO_PROFILE
        if kind == VIEW:
            slots = note[4]
            scores = id_bytes = 0
            for slot in range(slots):
                site = note[5 + SLOT_NUMBERS * slot + 1]
                scores += site_spans[site, 1] - site_spans[site, 0]
                id_bytes += id_spans[site, 1] - id_spans[site, 0]
            if not fits(done, placed, reasons, text, slots, scores, id_bytes):
                return at
            if user != NOBODY:
                profile = profile_of(books, user, event)
                see_view(profiles(books), profile, ts_ms, day, note[0], note[1], note[2])
            known, row, known_user = profiles(books), profile, user
            if note[3]:  # nothing that is known of the user may be used
                known, row, known_user = blank, 0, NOBODY
            for slot in range(slots):
                asked = note[5 + SLOT_NUMBERS * slot :]
                key, site, position, ticket = asked[0], asked[1], asked[2], asked[3]
                done[ASKED] += 1
                request = requests(books)[requested(books, key, ts_ms, user)].context
                context_buckets(known, row, words[site], position, known_user, ts_ms, mask, request)
                if ticket == NO_TICKET:
                    continue
                line = lines[request[_SLOT] % len(lines)]
                first, last = site_spans[site]
                start, end = done[SCORED], done[SCORED] + last - first
                chosen, competing = place(
                    weights, line[0], line[1], request, ads, candidates[first:last], ts_ms, mask, policy[0],
                    policy[1], policy[2], ticket, p_click[start:end], ecpm_micros[start:end],
                    reasons[start:end], propensity[start:end], shares,
                )  # fmt: skip
                write_ranking(
                    done, placed, drawn, text, ids[id_spans[site, 0] : id_spans[site, 1]], chosen, competing,
                    p_click[start:end], ecpm_micros[start:end], propensity[start:end], shares,
                )  # fmt: skip
            at += HEAD + 5 + SLOT_NUMBERS * slots
        elif kind == OWN:
            _own_exposure(books, event, ts_ms, offset, user, day, note, ads, mask)
            at += HEAD + 8
        elif kind == FOREIGN:
            ad, key, site, position, known_user = note[0], note[1], note[4], note[5], note[6]
            if user != NOBODY:
                profile = profile_of(books, user, event)
            exposure = exposed(books, key, ts_ms, offset, user, note[2], note[3], ad != NO_AD, event)
            if ad != NO_AD:
                known, row = profiles(books), profile
                if known_user == NOBODY:
                    known, row = blank, 0
                context_buckets(known, row, words[site], position, known_user, ts_ms, mask, context)
                join_buckets(context, ads, ad, mask, exposures(books)[exposure].buckets)
            if user != NOBODY:
                see_exposure(profiles(books), profile, ts_ms, day, False)
            meet(books, key, event)
            at += HEAD + 7
        elif kind == CLICK:
            if user != NOBODY:
                profile = profile_of(books, user, event)
                see_click(profiles(books), profile, ts_ms, day, note[0] != 0, note[1] != 0, note[2], note[3])
            if note[4]:  # on an ad or a promotion
                clicked(books, note[5], ts_ms, offset, user, note[6], event)
            at += HEAD + 7
        elif kind == ORDER:
            _order(books, event, ts_ms, offset, user, day, note)
            at += HEAD + 3 + LINE_NUMBERS * note[2]
        else:
            amount_micros, key, order = note[0], note[1], note[2]
            see_refund(profiles(books), profile_of(books, user, event), ts_ms, day, amount_micros)
            refunded(books, key, ts_ms, offset, user, order, amount_micros)
            at += HEAD + 3
    return at


@njit(cache=True)
def profile_of(books, user, event):  # type: ignore[no-untyped-def]
    """Slot of a user's profile, which the event is about to change; made if there was none."""
    pool = books[PROFILES]
    slot = find(pool, user)
    if slot == ABSENT:
        slot = put(pool, user)
        name(books, PROFILE_ROW, slot, event)
    else:
        touch(pool, slot)
    return slot


@njit(cache=True)
def _own_exposure(books, event, ts_ms, offset, user, day, note, ads, mask):  # type: ignore[no-untyped-def]
    """What we had chosen was shown: it gets the features of the request, with the ad."""
    ad, decision, key, shown, is_ad = note[0], note[1], note[2], note[3], note[4]
    request = request_of(books, decision, ts_ms, user)
    if request == ABSENT:
        unmatched(books, key, event)
    else:
        slot = exposed(books, key, ts_ms, offset, user, shown, is_ad, ad != NO_AD, event)
        row = exposures(books)[slot]
        row.request_offset, row.request_slot, row.request_origin = note[5], note[6], note[7]
        if ad != NO_AD:
            join_buckets(requests(books)[request].context, ads, ad, mask, row.buckets)
    if user != NOBODY:
        see_exposure(profiles(books), profile_of(books, user, event), ts_ms, day, True)
    if request != ABSENT:
        remove(books[REQUESTS], decision)
        meet(books, key, event)


@njit(cache=True)
def _order(books, event, ts_ms, offset, user, day, note):  # type: ignore[no-untyped-def]
    """An order that is new changes the profile, and waits for the click that earned it."""
    amount_micros, key, lines = note[0], note[1], note[2]
    if has_order(books, key):
        count(books, DUPLICATES)
        return
    count(books, PURCHASES_SEEN)
    profile = profile_of(books, user, event)
    see_purchase(profiles(books), profile, ts_ms, day, amount_micros)
    for line in range(lines):
        bought = note[3 + LINE_NUMBERS * line :]
        see_line(profiles(books), profile, ts_ms, bought[0], bought[1])
    purchased(books, key, ts_ms, offset, user, amount_micros, event)
