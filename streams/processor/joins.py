"""Request -> exposure -> click: the joins that give outcomes and labels of clicks.

Each side may come first: what waits for its partner lies in a pool of the state until event time (stream
time) says that the partner can no longer come. Nothing here depends on the order of arrival inside the
lateness horizon, with one exception: of several clicks that a user makes on one exposure the first to
arrive counts.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator

import numpy as np

from models.delays import draw_age_ms
from models.hashing import stable_key
from schemas.events import Click, Exposure
from streams.processor.outcomes import NO_OFFSET, Outcomes
from streams.processor.tape import NOTHING, Tape
from streams.processor.timers import Kind, Timers
from streams.settings import Processing
from streams.state.partition import PartitionState

MAX_KEY = 2**63 - 1
LEARNABLE, WAITS = 1, 2
"""Of a click: it has features; it is still to be learned as a negative."""


class Joins:
    """The pending requests, exposures and clicks of one partition, and what becomes of them."""

    def __init__(
        self, state: PartitionState, outcomes: Outcomes, tape: Tape, timers: Timers, settings: Processing
    ) -> None:
        self.state = state
        self.outcomes = outcomes
        self.tape = tape
        self.timers = timers
        self.lateness_ms = int(settings.lateness_s * 1000)
        self.request_window_ms = int(settings.request_window_s * 1000)
        self.click_window_ms = int(settings.click_window_s * 1000)
        self.attribution_window_ms = int(settings.attribution_window_s * 1000)
        self.order_lateness_ms = int(max(settings.order_lateness_s, settings.lateness_s) * 1000)
        self._clicks_of: dict[int, list[tuple[int, int]]] = {}
        """By user, time and key of the joined clicks, sorted."""
        timers.due[Kind.REQUEST] = self._request_due
        timers.due[Kind.EXPOSURE] = self._exposure_due
        timers.due[Kind.NEGATIVE] = self._negative_due
        timers.due[Kind.CLICK] = self._click_due

    def requested(self, decision_id: str, ts_ms: int, user: int) -> int:
        """A decision was asked for: a row for what was known then, for the exposure that may follow."""
        key = stable_key(decision_id)
        slot = self.state.requests.put(key, ts_ms, user, b"")
        self.timers.add(ts_ms + self.request_window_ms + self.lateness_ms, Kind.REQUEST, key)
        return slot

    def request_of(self, exposure: Exposure, user: int) -> int:
        """Row of our decision; ``NOTHING`` if there was no such one for this user in the window."""
        key = stable_key(exposure.decision_id)
        request = self.state.requests.fields(key)
        if request is None:
            return NOTHING
        _, ts_ms, requester, _ = request
        if requester != user or exposure.ts_ms > ts_ms + self.request_window_ms:
            return NOTHING
        return self.state.requests.slot_of[key]

    def exposed(self, exposure: Exposure, offset: int, user: int, learnable: bool) -> tuple[int, int]:
        """An ad or promotion was shown; returns its key and its row.

        ``learnable`` says that it has features: once they are noted, ``meet`` may join it.
        """
        decision_id = exposure.decision_id
        key = _join_key(user, decision_id, exposure.event_id)
        request_offset, request_slot, request_origin = NO_OFFSET, 0, 0
        if decision_id:
            # The decision is one of ours, so its identity is ``views-<partition>-<offset>-<slot>``.
            _, place, offset_of_request, index = decision_id.split("-")
            request_offset, request_slot = int(offset_of_request), int(index)
            request_origin = 0 if int(place) == self.outcomes.partition else int(place) + 1
        slot = self.state.exposures.put(
            key, exposure.ts_ms, user, offset, request_offset, request_slot, False,
            stable_key(exposure.ad_id or exposure.promotion_id), bool(exposure.ad_id), learnable, b"", 0,
            request_origin,
        )  # fmt: skip
        self.timers.add(exposure.ts_ms + self.click_window_ms + self.lateness_ms, Kind.EXPOSURE, key)
        self.outcomes.exposed(exposure, offset)
        return key, slot

    def meet(self, key: int, exposure: Exposure) -> None:
        """Now that an exposure's features are noted, drop its request, and join a click that came first."""
        if exposure.decision_id:
            self.state.requests.remove(stable_key(exposure.decision_id))
        if key in self.state.clicks.slot_of:
            self._join(key, exposure.shop_id, exposure.user_id)

    def clicked(self, click: Click, offset: int, user: int) -> None:
        """An ad or promotion was clicked; the exposure may be still to come."""
        key = _join_key(user, click.decision_id, click.exposure_id)
        if key in self.state.clicks.slot_of:
            return
        self.state.clicks.put(
            key, click.ts_ms, user, offset, NO_OFFSET, NO_OFFSET, 0, False, 0, False, 0, b"", 0, 0, 0, 0
        )
        self.timers.add(click.ts_ms + self.lateness_ms, Kind.CLICK, key)
        if key in self.state.exposures.slot_of:
            self._join(key, click.shop_id, click.user_id)

    def last_click(self, user: int, ts_ms: int) -> np.void | None:
        """The user's newest joined click at or before a time and inside the attribution window."""
        clicks = self._clicks_of.get(user, [])
        for click_ms, key in reversed(clicks[: bisect_right(clicks, (ts_ms, MAX_KEY))]):
            if ts_ms - click_ms > self.attribution_window_ms:
                break
            if key in self.state.clicks.slot_of:  # else it has made room for another
                return self.state.clicks[key]
        return None

    def hold(self, click: np.void, until_ms: int) -> None:
        """Keep a joined click beyond its window, for the refunds of an order that it earned."""
        if until_ms > self._click_until_ms(click):
            click["held_until_ms"] = until_ms
            self.timers.add(until_ms, Kind.CLICK, int(click["key"]))
        self.state.clicks.touch(int(click["key"]))

    def pending(self) -> Iterator[tuple[int, Kind, int]]:
        """Timers of all rows; the clicks by user are derived anew on the way."""
        state, lateness_ms = self.state, self.lateness_ms
        for row in state.requests:
            yield int(row["ts_ms"]) + self.request_window_ms + lateness_ms, Kind.REQUEST, int(row["key"])
        for row in state.exposures:
            yield int(row["ts_ms"]) + self.click_window_ms + lateness_ms, Kind.EXPOSURE, int(row["key"])
        self._clicks_of = {}
        for row in state.clicks:
            yield self._click_until_ms(row), Kind.CLICK, int(row["key"])
            if row["learnable"] == WAITS:
                yield self._negative_ms(row), Kind.NEGATIVE, int(row["key"])
            if row["exposure_offset"] != NO_OFFSET:
                insort(self._clicks_of.setdefault(int(row["user"]), []), (int(row["ts_ms"]), int(row["key"])))

    def _join(self, key: int, shop_id: str, user_id: str) -> None:
        """A click and its exposure are both here: label the exposure, and open the wait for an order."""
        exposure, click = self.state.exposures[key], self.state.clicks[key]
        ts_ms = int(click["ts_ms"])
        delay_ms = ts_ms - int(exposure["ts_ms"])
        if not 0 <= delay_ms <= self.click_window_ms:
            # Outside the window it must not stand in the way of a click inside it.
            self.state.counters["unmatched_clicks"] += 1
            self.state.clicks.remove(key)
            return
        exposure["clicked"] = 1
        for field in ("request_offset", "request_slot", "request_origin", "shown", "is_ad", "learnable"):
            click[field] = exposure[field]
        self.tape.join(self.state.exposures.slot_of[key], self.state.clicks.slot_of[key])
        click["exposure_offset"], click["exposure_origin"] = exposure["offset"], exposure["origin"]
        self.state.exposures.touch(key)
        self.state.clicks.touch(key)
        insort(self._clicks_of.setdefault(int(click["user"]), []), (ts_ms, key))
        self.timers.add(self._click_until_ms(click), Kind.CLICK, key)
        self.outcomes.followed(
            "click", f"clicks-{self._click_at(click)}", ts_ms, shop_id, user_id, click, delay_ms
        )
        if exposure["learnable"]:
            exposure_at = f"{self.outcomes.partition_of(exposure['origin'])}-{exposure['offset']}"
            request_offset, exposed_ms = int(exposure["request_offset"]), int(exposure["ts_ms"])
            features = self.tape.learn_exposure(self.state.exposures.slot_of[key])
            self.outcomes.example("ctr", f"{exposure_at}-1", exposed_ms, request_offset, features, 1)
            click["learnable"] = WAITS
            due_ms = self._negative_ms(click)
            if due_ms < self.state.stream_ms:
                self._negative_due(key, due_ms)
            else:
                self.timers.add(due_ms, Kind.NEGATIVE, key)

    def _request_due(self, key: int, deadline_ms: int) -> None:
        self.state.requests.remove(key)

    def _exposure_due(self, key: int, deadline_ms: int) -> None:
        exposure = self.state.exposures.fields(key)
        if exposure is not None:
            _, ts_ms, _, offset, request_offset, _, clicked, _, _, learnable, _, origin, _ = exposure
            place = f"{self.outcomes.partition_of(origin)}-{offset}-0"
            if learnable and not clicked and self.outcomes.keeps_negative(place):
                number = self.tape.learn_exposure(self.state.exposures.slot_of[key])
                weight = self.outcomes.negative_weight
                self.outcomes.example("ctr", place, ts_ms, request_offset, number, 0, weight)
            self.state.exposures.remove(key)

    def _negative_due(self, key: int, deadline_ms: int) -> None:
        """A click has reached the age at which it is learned as a negative, whatever comes of it."""
        click = self.state.clicks.get(key)
        if click is None or click["learnable"] != WAITS:
            return
        age_ms, stands_for = self._negative_age(click)
        if deadline_ms < int(click["ts_ms"]) + age_ms + self.lateness_ms:
            return  # set for another click that had the key
        click["learnable"] = LEARNABLE
        self.state.clicks.touch(key)
        number = self.tape.learn_click(self.state.clicks.slot_of[key])
        self.outcomes.example(
            "cvr", f"{self._click_at(click)}-0", int(click["ts_ms"]), int(click["request_offset"]), number, 0,
            stands_for, age_ms,
        )  # fmt: skip

    def _click_due(self, key: int, deadline_ms: int) -> None:
        click = self.state.clicks.get(key)
        if click is None or deadline_ms < self._click_until_ms(click):
            return  # set before it was joined, held, or for another click: it has a later one
        if click["exposure_offset"] == NO_OFFSET:
            self.state.counters["unmatched_clicks"] += 1
        else:
            clicks = self._clicks_of[int(click["user"])]
            clicks.remove((int(click["ts_ms"]), key))
            if not clicks:
                del self._clicks_of[int(click["user"])]
        self.state.clicks.remove(key)

    def _click_at(self, click: np.void) -> str:
        return f"{self.outcomes.partition_of(click['origin'])}-{click['offset']}"

    def _negative_age(self, click: np.void) -> tuple[int, float]:
        """At what age it is learned as a negative, and how many clicks it then stands for.

        Told by the click itself, not by its place: it is the same wherever `headrace repartition` moves it.
        """
        ticket = stable_key(f"{click['ts_ms']}", seed=int(click["user"]))
        return draw_age_ms(ticket, self.attribution_window_ms)

    def _negative_ms(self, click: np.void) -> int:
        """When: as much later as orders are settled."""
        return int(click["ts_ms"]) + self._negative_age(click)[0] + self.lateness_ms

    def _click_until_ms(self, click: np.void) -> int:
        """Until when a click is kept: for its exposure, or for the orders that it may earn."""
        if click["exposure_offset"] == NO_OFFSET:
            return int(click["ts_ms"]) + self.lateness_ms
        window_ms = self.attribution_window_ms + self.order_lateness_ms
        return max(int(click["ts_ms"]) + window_ms, int(click["held_until_ms"]))


def _join_key(user: int, decision_id: str, exposure_id: str) -> int:
    """Key under which a user's click meets the exposure: of our decision, or of another system's choice.

    With the user in it, nobody else's click can take the place of the user's.
    """
    return stable_key(f"own/{decision_id}" if decision_id else f"foreign/{exposure_id}", seed=user)
