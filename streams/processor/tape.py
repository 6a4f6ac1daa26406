"""The numeric work of a run of events: noted in order while they are looked at, done by one kernel call.

A kernel call from Python costs more than what the kernel does for one event. So the processor keeps keys,
joins and timers in Python, and notes here what is to be computed: rows of profiles, features, rankings. It is
done in the order in which it was noted, so it makes no difference where a run ends.

What ``play`` writes (profiles, and the features of requests, exposures and clicks) nobody may read before.
A row is removed after the last note that needs it: any note may play those before, and free its slot.
"""

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from models.features import CONTEXT, FEATURES, Buckets, context_buckets, join_buckets
from models.placement import place
from models.profiles import PROFILE, see_click, see_exposure, see_line, see_purchase, see_refund, see_view
from models.serving import ServingWeights
from streams.processor.sites import Site, Sites
from streams.settings import Deciding
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

MAX_NOTES = 4096
"""A chunk of 1,000 events makes some 2,500."""
MAX_SCORES = 32_768
"""Candidates of all rankings together."""
NOTHING = -1
"""No ad, no ranking, no exposure, no profile."""

VIEW, REQUEST, OWN, FOREIGN, CLICK, ORDER, LINE, REFUND, JOIN, LEARN_EXPOSURE, LEARN_CLICK = range(11)
"""What a note asks for; see the method of ``Tape`` that makes it."""

NOTE_FIELDS = 9
"""The kind and up to 8 numbers."""
_NOTE_BYTES = 8 * NOTE_FIELDS
_PACKS = [Struct(f"<{fields}q").pack_into for fields in range(NOTE_FIELDS + 1)]
"""By the number of fields."""


class Ranking(NamedTuple):
    """What came of one slot that asked for an ad; arrays have one entry a candidate."""

    chosen: int
    """Index of the candidate; ``NOTHING`` where none competes."""
    competing: int
    p_click: npt.NDArray[np.float64]
    ecpm_micros: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.int64]
    propensity: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    """What each of ``FEATURES`` adds to the logit of the chosen one."""


class Tape:
    """What has been noted of one partition's events and is still to be done.

    Rows are named by their slots in the pools of the state. ``on_full`` is called when there is no room for
    another note; it plays the tape, takes the results, and clears it.
    """

    def __init__(
        self, state: PartitionState, sites: Sites, weights: ServingWeights, settings: Deciding
    ) -> None:
        self.on_full: Callable[[], None] = self.play
        self.rankings = 0
        self.examples = 0
        self._state = state
        self._sites = sites
        self._weights = weights
        self._policy = settings.shortlist, settings.temperature, settings.floor
        self._notes = np.zeros((MAX_NOTES, NOTE_FIELDS), np.int64)
        self._bytes = self._notes.view(np.uint8).reshape(-1).data
        self._count = self._scores = 0
        self._spans = np.zeros((MAX_NOTES, 2), np.int64)
        self._placed = np.zeros((MAX_NOTES, 2), np.int64)
        self._shares = np.zeros((MAX_NOTES, len(FEATURES)))
        self._p_click, self._propensity = np.zeros(MAX_SCORES), np.zeros(MAX_SCORES)
        self._ecpm_micros, self._reasons = np.zeros(MAX_SCORES, np.int64), np.zeros(MAX_SCORES, np.int64)
        self._buckets = np.zeros((MAX_NOTES, len(FEATURES)), np.uint32)
        self._blank = np.zeros(1, PROFILE)
        """Stands for the profile of whoever has none that may be used."""

    def view(self, profile: int, ts_ms: int, day: int, page: int, category: int, price_micros: int) -> None:
        """See ``models.profiles.see_view``."""
        self._note(VIEW, profile, ts_ms, day, page, category, price_micros)

    def request(
        self, profile: int, ts_ms: int, request: int, site: Site, position: int, user: int, ticket: int
    ) -> int:
        """A slot asked: its context into the row ``request``; with a ``ticket``, the site's ads are ranked.

        Without a ``profile`` (``NOTHING``) the context is that of a user of whom nothing is known.
        Returns the number of the ranking; ``NOTHING`` where the ticket is that.
        """
        if self._count == MAX_NOTES or self._scores + len(site.ids) > MAX_SCORES:
            self.on_full()
        if ticket == NOTHING:
            self._note(REQUEST, profile, ts_ms, request, site.number, position, user, NOTHING)
            return NOTHING
        self._note(REQUEST, profile, ts_ms, request, site.number, position, user, ticket)
        self._scores += len(site.ids)
        self.rankings += 1
        return self.rankings - 1

    def own_exposure(self, profile: int, ts_ms: int, day: int, exposure: int, request: int, ad: int) -> None:
        """What we had chosen was shown: the row ``exposure`` gets the features of the request with the ad.

        ``exposure`` may be ``NOTHING`` (it counts in the profile only), ``ad`` too (nothing is learned), and
        so may ``profile`` (it counts nowhere).
        """
        self._note(OWN, profile, ts_ms, day, exposure, request, ad)

    def foreign_exposure(
        self, profile: int, ts_ms: int, day: int, exposure: int, site: Site, position: int, user: int, ad: int
    ) -> None:
        """What another system had chosen was shown: the row gets the features of now with the ad.

        Without a ``user`` (``NOBODY``) they are those of a user of whom nothing is known.
        """
        self._note(FOREIGN, profile, ts_ms, day, exposure, site.number, position, user, ad)

    def click(
        self, profile: int, ts_ms: int, day: int, own: bool, to_cart: bool, category: int, price_micros: int
    ) -> None:
        """See ``models.profiles.see_click``."""
        self._note(CLICK, profile, ts_ms, day, own, to_cart, category, price_micros)

    def order(self, profile: int, ts_ms: int, day: int, amount_micros: int) -> None:
        """See ``models.profiles.see_purchase``; then ``line`` for each line."""
        self._note(ORDER, profile, ts_ms, day, amount_micros)

    def line(self, profile: int, ts_ms: int, category: int, price_micros: int) -> None:
        """See ``models.profiles.see_line``."""
        self._note(LINE, profile, ts_ms, category, price_micros)

    def refund(self, profile: int, ts_ms: int, day: int, amount_micros: int) -> None:
        """See ``models.profiles.see_refund``."""
        self._note(REFUND, profile, ts_ms, day, amount_micros)

    def join(self, exposure: int, click: int) -> None:
        """A click has found its exposure: it has the same features."""
        self._note(JOIN, exposure, click)

    def learn_exposure(self, exposure: int) -> int:
        """Take the features of an exposure for an example; returns the example's number."""
        return self._learn(LEARN_EXPOSURE, exposure)

    def learn_click(self, click: int) -> int:
        """Take the features of a click for an example; returns the example's number."""
        return self._learn(LEARN_CLICK, click)

    def play(self) -> None:
        """Do all that was noted; the results stay until ``clear``."""
        state, sites, catalog, weights = self._state, self._sites, self._sites.catalog, self._weights
        if self._count:
            _play(
                self._notes, self._count, state.profiles.rows, state.requests.rows, state.exposures.rows,
                state.clicks.rows, sites.words, sites.spans, sites.candidates, catalog.ads, weights.table,
                catalog.mask, *self._policy, self._spans, self._placed, self._shares, self._p_click,
                self._ecpm_micros, self._reasons, self._propensity, self._buckets, self._blank,
            )  # fmt: skip

    def ranking(self, number: int) -> Ranking:
        """Of a slot, by the number that ``request`` gave; valid until the next note."""
        first, end = self._spans[number].tolist()
        chosen, competing = self._placed[number].tolist()
        return Ranking(
            chosen, competing, self._p_click[first:end], self._ecpm_micros[first:end],
            self._reasons[first:end], self._propensity[first:end], self._shares[number],
        )  # fmt: skip

    def features(self, number: int) -> Buckets:
        """Of an example, by the number that ``learn_exposure`` or ``learn_click`` gave; uint32[features]."""
        buckets: Buckets = self._buckets[number]
        return buckets

    def clear(self) -> None:
        """Begin anew; rows that were removed meanwhile may give their slots to others."""
        self._count = self._scores = self.rankings = self.examples = 0
        self._state.settle()

    def _learn(self, kind: int, slot: int) -> int:
        if self._count == MAX_NOTES:
            self.on_full()
        self._note(kind, slot, self.examples)
        self.examples += 1
        return self.examples - 1

    def _note(self, *note: int) -> None:
        if self._count == MAX_NOTES:
            self.on_full()
        _PACKS[len(note)](self._bytes, self._count * _NOTE_BYTES, *note)
        self._count += 1


@njit(cache=True)
def _play(  # type: ignore[no-untyped-def]
    notes, count, profiles, requests, exposures, clicks, words, site_spans, candidates, ads, weights, mask,
    shortlist, temperature, floor, spans, placed, shares, p_click, ecpm_micros, reasons, propensity, buckets,
    blank,
):  # fmt: skip
    context = np.empty(len(CONTEXT), np.uint32)
    rankings = end = 0
    for i in range(count):
        kind, profile, ts_ms = notes[i, 0], notes[i, 1], notes[i, 2]
        day, a, b, c, d, e = notes[i, 3], notes[i, 4], notes[i, 5], notes[i, 6], notes[i, 7], notes[i, 8]
        if kind == VIEW:
            see_view(profiles, profile, ts_ms, day, a, b, c)
        elif kind == REQUEST:
            request, site, position, user, ticket = day, a, b, c, d
            asked = requests[request].context
            known, at = (blank, 0) if profile == NOTHING else (profiles, profile)
            context_buckets(known, at, words[site], position, user, ts_ms, mask, asked)
            if ticket == NOTHING:
                continue
            start, (first, last) = end, site_spans[site]
            end += last - first
            spans[rankings] = start, end
            placed[rankings] = place(
                weights, asked, ads, candidates[first:last], ts_ms, mask,
                shortlist, temperature, floor, ticket,
                p_click[start:end], ecpm_micros[start:end], reasons[start:end], propensity[start:end],
                shares[rankings],
            )  # fmt: skip
            rankings += 1
        elif kind == OWN:
            if a != NOTHING and c != NOTHING:
                join_buckets(requests[b].context, ads, c, mask, exposures[a].buckets)
            if profile != NOTHING:
                see_exposure(profiles, profile, ts_ms, day, True)
        elif kind == FOREIGN:
            if e != NOTHING:
                known, at = (blank, 0) if d == NOBODY else (profiles, profile)
                context_buckets(known, at, words[b], c, d, ts_ms, mask, context)
                join_buckets(context, ads, e, mask, exposures[a].buckets)
            if profile != NOTHING:
                see_exposure(profiles, profile, ts_ms, day, False)
        elif kind == CLICK:
            see_click(profiles, profile, ts_ms, day, a != 0, b != 0, c, d)
        elif kind == ORDER:
            see_purchase(profiles, profile, ts_ms, day, a)
        elif kind == LINE:
            see_line(profiles, profile, ts_ms, day, a)
        elif kind == REFUND:
            see_refund(profiles, profile, ts_ms, day, a)
        elif kind == JOIN:
            clicks[ts_ms].buckets[:] = exposures[profile].buckets
        elif kind == LEARN_EXPOSURE:
            buckets[ts_ms] = exposures[profile].buckets
        else:
            buckets[ts_ms] = clicks[profile].buckets
