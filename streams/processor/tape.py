"""A run of events: noted as numbers in order, done by one kernel call, and what follows written as records.

A kernel call from Python costs more than what the kernel does for one event. So the processor notes here what
is to be done for each; ``play`` does it. It makes no difference where a run ends.
"""

from typing import cast

import numpy as np

from models.profiles import PROFILE
from models.serving import ServingWeights
from schemas.events import Purchase
from streams.processor.deciding import Asked, Decider
from streams.processor.happening import restart
from streams.processor.outcomes import Outcomes, Seen
from streams.processor.rankings import Rankings
from streams.processor.records import CLICKER_NAMES, PROFILE_ROW, Records
from streams.processor.run import run
from streams.processor.sites import Sites
from streams.processor.timers import Timers
from streams.processor.turns import Turns
from streams.routing import partition_hash
from streams.settings import Deciding
from streams.state.books import CLICKS_OF, COUNT, COUNTS, REPEATS_OF, TIMERS, TURNS
from streams.state.chain_index import ChainIndex
from streams.state.partition import PartitionState
from streams.state.rows import COUNTERS

MAX_SEEN = 1000
"""Events of one run."""
TIMERS_OF_EVENT, TIMERS_OF_ROW = 20, 3
"""At most, and room for one event more (``streams.processor.timers.ADDED``)."""


class Tape:
    """What has been noted of one partition's events and is still to be done.

    Attributes
    ----------
    notes
        Numbers of 8 bytes, as ``streams.processor.run`` reads them.
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
        for place in np.flatnonzero(counts).tolist():
            self._state.counters[COUNTERS[place]] += int(counts[place])
        counts[:] = 0
        self._records.clear()
        self._rankings.clear()
        self._state.settle()

    def _name_rows(self) -> None:
        """Texts, which kernels do not write, of new rows."""
        state = self._state
        for what, slot, number in self._records.named():
            seen = self.seen[number]
            if what == PROFILE_ROW:
                state.profiles.rows["partition_hash"][slot] = partition_hash(seen.event.user_id)
                continue
            row = (state.clickers if what == CLICKER_NAMES else state.purchases).rows[slot]
            row["shop_id"], row["user_id"] = seen.event.shop_id, seen.user_id
            if what != CLICKER_NAMES:
                row["order_id"] = cast(Purchase, seen.event).order_id
