"""Which clicks are invalid traffic: the rules, and the counts that they need.

What is known when a click meets its exposure makes it invalid at once: impossible timing. How often its
user has clicked is known for good only when every click of the window has come: then a click that counted
until now is credited (``streams.processor.joins``).
"""

from collections.abc import Iterator
from typing import Literal

from models.hashing import stable_key
from schemas.events import Click
from streams.processor.tape import Tape
from streams.processor.timers import Kind, Timers
from streams.settings import Settings
from streams.state.layout import as_field
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

FIRST_VERSION = 3
"""Of the changelog with room for these counts; the release before knows no invalid outcomes either."""
KEPT_PANES = 4
"""A click at the end of a pane is judged 3 panes after its beginning, and then by the pane before, too."""


class Validity:
    """The rules for clicks of one partition, and how often each user has clicked lately.

    Windows are hopping, made of two panes each (Li et al. 2005, "No pane, no gain"): a user's clicks of a
    pane are one counter, however many they are, so a flood of clicks takes no memory, and their order makes
    no difference. More than ``max_clicks`` within half a window are always found; within a whole one, if it
    begins with a pane.

    Attributes
    ----------
    active
        Whether the rules apply; if not, all is as in the release before them.
    final_ms
        How long after a click's time all is here that its verdict depends on.
    """

    def __init__(self, state: PartitionState, tape: Tape, timers: Timers, settings: Settings) -> None:
        rules = settings.validity
        self.state = state
        self.tape = tape
        self.timers = timers
        self.active = state.write_version >= FIRST_VERSION
        self.lateness_ms = int(settings.processing.lateness_s * 1000)
        self.pane_ms = max(1, int(rules.window_s * 500))
        self.max_clicks = rules.max_clicks if self.active else 0
        self.final_ms = self.lateness_ms + (2 * self.pane_ms if self.max_clicks else 0)
        self.require_page_view = rules.require_page_view and self.active
        self.min_delay_ms = rules.min_click_delay_ms
        self.clock_tolerance_ms = rules.clock_tolerance_ms
        timers.due[Kind.CLICKER] = self._clicker_due

    def count(self, reason: str) -> None:
        """An event is invalid for a reason of ``schemas.outcomes.Invalid``."""
        if self.active:
            self.state.counters[f"invalid_{reason}"] += 1

    def timing(self, delay_ms: int) -> Literal["", "impossible_timing"]:
        """The verdict on a click that comes so long after its exposure.

        A click that is before its exposure by no more than clocks may differ is no fraud, and no click on
        that exposure either.
        """
        if delay_ms >= self.min_delay_ms or -self.clock_tolerance_ms <= delay_ms < 0 or not self.active:
            return ""
        return "impossible_timing"

    def clicked(self, click: Click, user: int, user_id: str, clicker: int) -> None:
        """Count a click on an ad or promotion, whatever becomes of it.

        ``clicker`` is the user, or what stands for a user of whom nothing is to be kept (``NOBODY``).
        """
        if not self.active:
            return
        clickers, pane = self.state.clickers, click.ts_ms // self.pane_ms
        key = _pane_key(clicker, pane)
        slot = clickers.slot_of.get(key)
        if slot is None:
            clickers.put(key, pane * self.pane_ms, user, 1, as_field(click.shop_id), as_field(user_id))
            self.timers.add(self._until_ms(pane * self.pane_ms), Kind.CLICKER, key)
        else:
            clickers.rows["clicks"][slot] += 1
            clickers.touch(key)

    def verdict(self, user: int, clicker: int, ts_ms: int) -> Literal["", "rate", "no_page_view"]:
        """Of a user's click at a time, once all is here that it depends on.

        A first page view soon after the click counts if it has come by now: the one verdict that may depend
        on how late an event is.
        """
        if self.is_burst(clicker, ts_ms):
            return "rate"
        if not self.require_page_view or user == NOBODY or self._has_viewed(user):
            return ""
        return "no_page_view"

    def is_burst(self, clicker: int, ts_ms: int) -> bool:
        """Whether a clicker's clicks around a time are too many for a person, as far as they have come."""
        if not self.max_clicks:
            return False
        before, here, after = (self._clicks(clicker, ts_ms // self.pane_ms + place) for place in (-1, 0, 1))
        return here + max(before, after) > self.max_clicks

    def who(self, clicker: int, ts_ms: int) -> tuple[str, str] | None:
        """Shop and user's id of who has clicked at a time; None where the row has made room for another."""
        row = self.state.clickers.get(_pane_key(clicker, ts_ms // self.pane_ms))
        return None if row is None else (str(row["shop_id"]), str(row["user_id"]))

    def pending(self) -> Iterator[tuple[int, Kind, int]]:
        """Timers of all rows; where the rules rest, the rows go."""
        for row in list(self.state.clickers):
            if self.active:
                yield self._until_ms(int(row["ts_ms"])), Kind.CLICKER, int(row["key"])
            else:
                self.state.clickers.remove(int(row["key"]))

    def _has_viewed(self, user: int) -> bool:
        profiles = self.state.profiles
        slot = profiles.slot_of.get(user)
        if slot is None:
            return False
        if profiles.rows["views"][slot] == 0:
            self.tape.on_full()  # views may still be on the tape; their number never falls
        return bool(profiles.rows["views"][slot])

    def _clicks(self, clicker: int, pane: int) -> int:
        clickers = self.state.clickers
        slot = clickers.slot_of.get(_pane_key(clicker, pane))
        return 0 if slot is None else int(clickers.rows["clicks"][slot])

    def _clicker_due(self, key: int, deadline_ms: int) -> None:
        self.state.clickers.remove(key)

    def _until_ms(self, pane_begins_ms: int) -> int:
        return pane_begins_ms + KEPT_PANES * self.pane_ms + self.lateness_ms


def _pane_key(clicker: int, pane: int) -> int:
    return stable_key(str(pane), seed=clicker)
