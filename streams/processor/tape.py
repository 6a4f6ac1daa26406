"""The numeric work of a run of events: noted in order while they are looked at, done by one kernel call.

A kernel call from Python costs more than what the kernel does for one event. So the processor keeps keys,
joins and timers in Python, and notes here what is to be computed: rows of profiles, features, rankings. It is
done in the order in which it was noted, so it makes no difference where a run ends.

What ``play`` writes (profiles, and the features of requests, exposures and clicks) nobody may read before.
A row is removed after the last note that needs it: any note may play those before, and free its slot.
"""

from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from models.features import CONTEXT, FEATURES, context_buckets, join_buckets
from models.placement import SHARES, place
from models.profiles import PROFILE, see_click, see_exposure, see_line, see_purchase, see_refund, see_view
from models.serving import ServingWeights
from streams.processor.sites import Site, Sites
from streams.settings import Deciding
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

MAX_RESULTS = 4096
"""Rankings, and examples: a chunk of 1,000 events makes some 250, and 500."""
MAX_SCORES = 32_768
"""Candidates of all rankings together."""
NOTHING = -1
"""No ad, no ranking, no exposure, no profile."""

VIEW, REQUEST, OWN, FOREIGN, CLICK, ORDER, LINE, REFUND, JOIN, LEARN_EXPOSURE, LEARN_CLICK = range(11)
"""The first number of a note: what it asks for. Those behind it are what the method of ``Tape`` takes."""


_SLOT = CONTEXT.index("slot")


class Ranking(NamedTuple):
    """What came of one slot that asked for an ad; lists have one entry a candidate."""

    chosen: int
    """Index of the candidate; ``NOTHING`` where none competes."""
    competing: int
    p_click: list[float]
    ecpm_micros: list[int]
    reasons: list[int]
    propensity: list[float]
    shares: list[float]
    """What each of ``SHARES`` adds to the logit of the chosen one."""


class Tape:
    """What has been noted of one partition's events and is still to be done.

    Rows are named by their slots in the pools of the state. ``on_full`` is called when there is no room for
    another result; it plays the tape, takes the results, and clears it.
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
        self._lines = weights.lines if settings.calibrated else np.full_like(weights.lines, (1.0, 0.0))
        self._policy = settings.shortlist, settings.temperature, settings.floor
        self._notes: list[int] = []
        self._scores = 0
        self._spans = np.zeros((MAX_RESULTS, 2), np.int64)
        self._placed = np.zeros((MAX_RESULTS, 2), np.int64)
        self._shares = np.zeros((MAX_RESULTS, len(SHARES)))
        self._p_click, self._propensity = np.zeros(MAX_SCORES), np.zeros(MAX_SCORES)
        self._ecpm_micros, self._reasons = np.zeros(MAX_SCORES, np.int64), np.zeros(MAX_SCORES, np.int64)
        self._buckets = np.zeros((MAX_RESULTS, len(FEATURES)), np.uint32)
        self._rankings: list[Ranking] = []
        self._features: list[list[int]] = []
        self._blank = np.zeros(1, PROFILE)
        """Stands for the profile of whoever has none that may be used."""

    def view(self, profile: int, ts_ms: int, day: int, page: int, category: int, price_micros: int) -> None:
        """See ``models.profiles.see_view``."""
        self._notes += (VIEW, profile, ts_ms, day, page, category, price_micros)

    def request(
        self, profile: int, ts_ms: int, request: int, site: Site, position: int, user: int, ticket: int
    ) -> int:
        """A slot asked: its context into the row ``request``; with a ``ticket``, the site's ads are ranked.

        Without a ``profile`` (``NOTHING``) the context is that of a user of whom nothing is known.
        Returns the number of the ranking; ``NOTHING`` where the ticket is that.
        """
        if self.rankings == MAX_RESULTS or self._scores + len(site.ids) > MAX_SCORES:
            self.on_full()
        self._notes += (REQUEST, profile, ts_ms, request, site.number, position, user, ticket)
        if ticket == NOTHING:
            return NOTHING
        self._scores += len(site.ids)
        self.rankings += 1
        return self.rankings - 1

    def own_exposure(self, profile: int, ts_ms: int, day: int, exposure: int, request: int, ad: int) -> None:
        """What we had chosen was shown: the row ``exposure`` gets the features of the request with the ad.

        ``exposure`` may be ``NOTHING`` (it counts in the profile only), ``ad`` too (nothing is learned), and
        so may ``profile`` (it counts nowhere).
        """
        self._notes += (OWN, profile, ts_ms, day, exposure, request, ad)

    def foreign_exposure(
        self, profile: int, ts_ms: int, day: int, exposure: int, site: Site, position: int, user: int, ad: int
    ) -> None:
        """What another system had chosen was shown: the row gets the features of now with the ad.

        Without a ``user`` (``NOBODY``) they are those of a user of whom nothing is known.
        """
        self._notes += (FOREIGN, profile, ts_ms, day, exposure, site.number, position, user, ad)

    def click(
        self, profile: int, ts_ms: int, day: int, own: bool, to_cart: bool, category: int, price_micros: int
    ) -> None:
        """See ``models.profiles.see_click``."""
        self._notes += (CLICK, profile, ts_ms, day, own, to_cart, category, price_micros)

    def order(self, profile: int, ts_ms: int, day: int, amount_micros: int) -> None:
        """See ``models.profiles.see_purchase``; then ``line`` for each line."""
        self._notes += (ORDER, profile, ts_ms, day, amount_micros)

    def line(self, profile: int, ts_ms: int, category: int, price_micros: int) -> None:
        """See ``models.profiles.see_line``."""
        self._notes += (LINE, profile, ts_ms, category, price_micros)

    def refund(self, profile: int, ts_ms: int, day: int, amount_micros: int) -> None:
        """See ``models.profiles.see_refund``."""
        self._notes += (REFUND, profile, ts_ms, day, amount_micros)

    def join(self, exposure: int, click: int) -> None:
        """A click has found its exposure: it has the same features."""
        self._notes += (JOIN, exposure, click)

    def learn_exposure(self, exposure: int) -> int:
        """Take the features of an exposure for an example; returns the example's number."""
        return self._learn(LEARN_EXPOSURE, exposure)

    def learn_click(self, click: int) -> int:
        """Take the features of a click for an example; returns the example's number."""
        return self._learn(LEARN_CLICK, click)

    def play(self) -> None:
        """Do all that was noted; the results stay until ``clear``."""
        state, sites, catalog, weights = self._state, self._sites, self._sites.catalog, self._weights
        if self._notes:
            _play(
                np.frombuffer(array("q", self._notes), np.int64), state.profiles.rows, state.requests.rows,
                state.exposures.rows, state.clicks.rows, sites.words, sites.spans, sites.candidates,
                catalog.ads, weights.table, self._lines, catalog.mask, *self._policy, self._spans,
                self._placed, self._shares, self._p_click, self._ecpm_micros, self._reasons,
                self._propensity, self._buckets, self._blank,
            )  # fmt: skip
        self._rankings = self._list_rankings()
        self._features = self._buckets[: self.examples].tolist()

    def ranking(self, number: int) -> Ranking:
        """Of a slot, by the number that ``request`` gave; valid until the next note."""
        return self._rankings[number]

    def features(self, number: int) -> list[int]:
        """Buckets of an example, by the number that ``learn_exposure`` or ``learn_click`` gave."""
        return self._features[number]

    def clear(self) -> None:
        """Begin anew; rows that were removed meanwhile may give their slots to others."""
        self._notes.clear()
        self._scores = self.rankings = self.examples = 0
        self._state.settle()

    def _list_rankings(self) -> list[Ranking]:
        """All at once: lists are sliced and encoded faster than arrays of a few numbers."""
        p_click, ecpm_micros, reasons, propensity = (
            scores[: self._scores].tolist()
            for scores in (self._p_click, self._ecpm_micros, self._reasons, self._propensity)
        )
        placed = (each[: self.rankings].tolist() for each in (self._spans, self._placed, self._shares))
        return [
            Ranking(
                chosen, competing, p_click[first:end], ecpm_micros[first:end], reasons[first:end],
                propensity[first:end], shares,
            )
            for (first, end), (chosen, competing), shares in zip(*placed, strict=True)
        ]  # fmt: skip

    def _learn(self, kind: int, slot: int) -> int:
        if self.examples == MAX_RESULTS:
            self.on_full()
        self._notes += (kind, slot, self.examples)
        self.examples += 1
        return self.examples - 1


@njit(cache=True)
def _play(  # type: ignore[no-untyped-def]
    notes, profiles, requests, exposures, clicks, words, site_spans, candidates, ads, weights, lines, mask,
    shortlist, temperature, floor, spans, placed, shares, p_click, ecpm_micros, reasons, propensity, buckets,
    blank,
):  # fmt: skip
    context = np.empty(len(CONTEXT), np.uint32)
    at = rankings = end = 0
    while at < len(notes):
        kind, n = notes[at], notes[at + 1 :]
        if kind == VIEW:
            see_view(profiles, n[0], n[1], n[2], n[3], n[4], n[5])
            at += 7
        elif kind == REQUEST:
            profile, ts_ms, request, site, position, user, ticket = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
            asked = requests[request].context
            known, row = (blank, 0) if profile == NOTHING else (profiles, profile)
            context_buckets(known, row, words[site], position, user, ts_ms, mask, asked)
            at += 8
            if ticket == NOTHING:
                continue
            start, (first, last) = end, site_spans[site]
            end += last - first
            spans[rankings] = start, end
            line = lines[asked[_SLOT] % len(lines)]
            placed[rankings] = place(
                weights, line[0], line[1], asked, ads, candidates[first:last], ts_ms, mask,
                shortlist, temperature, floor, ticket,
                p_click[start:end], ecpm_micros[start:end], reasons[start:end], propensity[start:end],
                shares[rankings],
            )  # fmt: skip
            rankings += 1
        elif kind == OWN:
            exposure, request, ad = n[3], n[4], n[5]
            if exposure != NOTHING and ad != NOTHING:
                join_buckets(requests[request].context, ads, ad, mask, exposures[exposure].buckets)
            if n[0] != NOTHING:
                see_exposure(profiles, n[0], n[1], n[2], True)
            at += 7
        elif kind == FOREIGN:
            profile, ts_ms, exposure, site, position, user, ad = n[0], n[1], n[3], n[4], n[5], n[6], n[7]
            if ad != NOTHING:
                known, row = (blank, 0) if user == NOBODY else (profiles, profile)
                context_buckets(known, row, words[site], position, user, ts_ms, mask, context)
                join_buckets(context, ads, ad, mask, exposures[exposure].buckets)
            if profile != NOTHING:
                see_exposure(profiles, profile, ts_ms, n[2], False)
            at += 9
        elif kind == CLICK:
            see_click(profiles, n[0], n[1], n[2], n[3] != 0, n[4] != 0, n[5], n[6])
            at += 8
        elif kind == ORDER:
            see_purchase(profiles, n[0], n[1], n[2], n[3])
            at += 5
        elif kind == LINE:
            see_line(profiles, n[0], n[1], n[2], n[3])
            at += 5
        elif kind == REFUND:
            see_refund(profiles, n[0], n[1], n[2], n[3])
            at += 5
        elif kind == JOIN:
            clicks[n[1]].buckets[:] = exposures[n[0]].buckets
            at += 3
        elif kind == LEARN_EXPOSURE:
            buckets[n[1]] = exposures[n[0]].buckets
            at += 3
        else:
            buckets[n[1]] = clicks[n[0]].buckets
            at += 3
