"""Request -> exposure -> click: the joins that give outcomes and labels of clicks.

Each side may come first: what waits for its partner lies in a pool of the state until event time (stream
time) says that the partner can no longer come. Nothing here depends on the order of arrival inside the
lateness horizon, with one exception: of several valid clicks that a user makes on one exposure the first to
arrive counts.

A click that is invalid (``streams.processor.validity``) is passed over as if it had never been: its exposure
may still be clicked, and becomes a negative if it is not. An order that may be earned by a click that waits
for such a place is settled once it is known whose the place is.
"""

from collections.abc import Iterator

from models.hashing import stable_key
from schemas.events import Click, Exposure
from schemas.outcomes import Invalid
from streams.processor.joined import WAITS, JoinedClicks
from streams.processor.outcomes import NO_OFFSET, Outcomes
from streams.processor.pairs import Clicked, Shown, clicked, clicked_of, shown
from streams.processor.repeats import Repeat, Repeats
from streams.processor.tape import NOTHING, Tape
from streams.processor.timers import Kind, Timers
from streams.processor.turns import Turns
from streams.processor.validity import Validity
from streams.settings import Settings
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY

UNKNOWN = "", ""
"""Shop and user of a click, where the row that says so has made room for another."""


class Joins:
    """The pending requests, exposures and clicks of one partition, and what becomes of them."""

    def __init__(
        self, state: PartitionState, outcomes: Outcomes, tape: Tape, timers: Timers, settings: Settings
    ) -> None:
        self.state = state
        self.outcomes = outcomes
        self.tape = tape
        self.timers = timers
        self.validity = Validity(state, tape, timers, settings)
        self.repeats = Repeats(state)
        self.turns = Turns(timers)
        windows = settings.processing
        self.lateness_ms = int(windows.lateness_s * 1000)
        self.final_ms = self.validity.final_ms
        self.request_window_ms = int(windows.request_window_s * 1000)
        self.click_window_ms = int(windows.click_window_s * 1000)
        self.joined = JoinedClicks(state, outcomes, tape, timers, self.validity, self.turns, windows)
        timers.due[Kind.REQUEST] = self._request_due
        timers.due[Kind.VERDICT] = self._verdict_due
        timers.due[Kind.EXPOSURE] = self._exposure_due
        timers.due[Kind.REPEAT] = self._repeat_due

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

    def unmatched(self, exposure: Exposure, offset: int, user: int) -> None:
        """There is no such decision of ours: it is forged, or the exposure has come before."""
        self.state.counters["unmatched_exposures"] += 1
        if self.validity.active:
            key = _join_key(user, exposure.decision_id, "")
            reason: Invalid = "repeated" if key in self.state.exposures.slot_of else "no_decision"
            self.validity.count(reason)
            self.outcomes.exposed(exposure, offset, _id(user, exposure.user_id), reason)

    def exposed(self, exposure: Exposure, offset: int, user: int, learnable: bool) -> tuple[int, int]:
        """An ad or promotion was shown; returns its key and its row.

        ``learnable`` says that it has features: once they are noted, ``meet`` may join it.
        """
        decision_id = exposure.decision_id
        key = _join_key(user, decision_id, exposure.event_id)
        request_offset, request_slot, request_origin = NO_OFFSET, 0, 0
        if decision_id:
            # The decision is one of ours, so its identity is ``views-<partition>-<offset>-<slot>[-nobody]``.
            _, place, offset_of_request, index = decision_id.split("-")[:4]
            request_offset, request_slot = int(offset_of_request), int(index)
            request_origin = 0 if int(place) == self.outcomes.partition else int(place) + 1
        slot = self.state.exposures.put(
            key, exposure.ts_ms, user, offset, request_offset, request_slot, False,
            stable_key(exposure.ad_id or exposure.promotion_id), bool(exposure.ad_id), learnable, b"", 0,
            request_origin,
        )  # fmt: skip
        self.timers.add(exposure.ts_ms + self.click_window_ms + self.final_ms, Kind.EXPOSURE, key)
        self.outcomes.exposed(exposure, offset, _id(user, exposure.user_id))
        return key, slot

    def meet(self, key: int, exposure: Exposure) -> None:
        """Now that an exposure's features are noted, drop its request, and join a click that came first."""
        if exposure.decision_id:
            self.state.requests.remove(stable_key(exposure.decision_id))
        click = clicked(self.state.clicks, key)
        if click is not None:
            now_ms, user_id = self.state.stream_ms, _id(click.user, exposure.user_id)
            if not self._join(key, exposure.shop_id, user_id, now_ms):
                self._let_next(key, exposure.shop_id, user_id, now_ms)

    def clicked(self, click: Click, offset: int, user: int) -> None:
        """An ad or promotion was clicked; the exposure may be still to come."""
        key = _join_key(user, click.decision_id, click.exposure_id)
        now_ms, user_id = self.state.stream_ms, _id(user, click.user_id)
        self.validity.clicked(click, user, user_id, _clicker(user, key))
        if key not in self.state.clicks.slot_of:
            self._put(key, click.ts_ms, user, offset, 0, click.shop_id, user_id, now_ms)
        elif self.validity.active:
            repeat = self.repeats.add(click, offset, user, key)
            self.timers.add(self._repeat_until_ms(repeat, now_ms), Kind.REPEAT, repeat.key)

    def awaited(self, user: int, ts_ms: int, deadline_ms: int) -> Clicked | None:
        """The click whose verdict comes next of those that decide what earns a user's order of a time.

        All verdicts up to the deadline have been given. One on a click after the order may free its place for
        one before it.
        """
        found = []
        for key in self.repeats.clicks(user):
            click = clicked(self.state.clicks, key)
            if click is None or click.ts_ms + self.final_ms <= deadline_ms:
                continue
            next_ms = self._next_ms(key, ts_ms)
            if next_ms is None or ts_ms - next_ms > self.joined.attribution_window_ms:
                continue
            last = self.joined.last(user, ts_ms)
            if last is None or (last.ts_ms, last.key) < (next_ms, key):
                found.append(click)
        return min(found, key=lambda click: (click.ts_ms, click.key), default=None)

    def pending(self) -> Iterator[tuple[int, Kind, int]]:
        """Timers of all rows; the clicks by user are derived anew on the way."""
        state, lateness_ms = self.state, self.lateness_ms
        for row in state.requests:
            yield int(row["ts_ms"]) + self.request_window_ms + lateness_ms, Kind.REQUEST, int(row["key"])
        for row in state.exposures:
            yield int(row["ts_ms"]) + self.click_window_ms + self.final_ms, Kind.EXPOSURE, int(row["key"])
        self.joined.clear()
        for row in state.clicks:
            ts_ms, key = int(row["ts_ms"]), int(row["key"])
            is_joined = row["exposure_offset"] != NO_OFFSET
            if not is_joined or ts_ms + self.final_ms >= state.stream_ms:  # else there was a verdict
                yield ts_ms + self.final_ms, Kind.VERDICT, key
            if is_joined:
                yield from self.joined.restored(clicked_of(row))
        self.repeats.restore()
        for repeat in self.repeats:
            if self.validity.active:
                yield self._repeat_until_ms(repeat, state.stream_ms), Kind.REPEAT, repeat.key
            else:
                self.repeats.remove(repeat)
        yield from self.validity.pending()

    def _put(
        self, key: int, ts_ms: int, user: int, offset: int, origin: int, shop_id: str, user_id: str,
        now_ms: int, credited: bool = False,
    ) -> bool:  # fmt: skip
        """Let a click wait for its exposure, or join it; False where it cannot count any more."""
        click = Clicked(
            key, ts_ms, user, offset, NO_OFFSET, NO_OFFSET, 0, False, 0, False, 0, b"", origin, 0, 0, 0
        )
        self.state.clicks.put(*click)
        if ts_ms + self.final_ms >= now_ms:
            self.timers.add(ts_ms + self.final_ms, Kind.VERDICT, key)
        if key in self.state.exposures.slot_of:
            return self._join(key, shop_id, user_id, now_ms, credited)
        if ts_ms + self.final_ms >= now_ms:
            return True
        self._lose(click, shop_id, user_id)
        return False

    def _let_next(self, key: int, shop_id: str, user_id: str, now_ms: int, credited: bool = False) -> None:
        """The place of a click is free: the user's next click on the same may take it."""
        while (next_ := self.repeats.next(key)) is not None:
            place = key, next_.ts_ms, next_.user, next_.offset, next_.origin
            if self._put(*place, shop_id, user_id, now_ms, credited):
                return

    def _next_ms(self, key: int, before_ms: int) -> int | None:
        """Time of the click that takes the place of a key when it is free, if it is not after a time."""
        exposure = shown(self.state.exposures, key)
        if exposure is None:
            return None
        for repeat in self.repeats.waiting(key):
            if repeat.ts_ms > before_ms:
                return None
            delay_ms = repeat.ts_ms - exposure.ts_ms
            is_inside = 0 <= delay_ms <= self.click_window_ms and not self.validity.timing(delay_ms)
            if is_inside and not self.validity.is_burst(_clicker(repeat.user, key), repeat.ts_ms):
                return repeat.ts_ms
        return None

    def _join(self, key: int, shop_id: str, user_id: str, now_ms: int, credited: bool = False) -> bool:
        """A click and its exposure are both here: label the exposure, and open the wait for an order.

        False where the click is outside the window or known to be invalid; then it is gone. Its rate is
        looked at only if it is known for good, or the click has the place of one that was ``credited``.
        """
        state, outcomes = self.state, self.outcomes
        exposure, found = shown(state.exposures, key), clicked(state.clicks, key)
        assert exposure is not None
        assert found is not None
        ts_ms, user = found.ts_ms, found.user
        delay_ms = ts_ms - exposure.ts_ms
        invalid: Invalid = self.validity.timing(delay_ms)
        if not invalid and not 0 <= delay_ms <= self.click_window_ms:
            # Outside the window it must not stand in the way of a click inside it.
            self._lose(found, shop_id, user_id)
            return False
        click = Clicked(
            key, ts_ms, user, found.offset, exposure.offset, exposure.request_offset, exposure.request_slot,
            exposure.is_ad, exposure.shown, exposure.learnable, found.converted, found.buckets, found.origin,
            exposure.origin, exposure.request_origin, found.held_until_ms,
        )  # fmt: skip
        if not invalid:
            clicker = _clicker(user, key)
            if exposure.clicked % 2 and self.validity.active:
                invalid = "repeated"  # the click that counts went with its user, or has made room for another
            elif ts_ms + self.final_ms < now_ms:
                invalid = self.validity.verdict(user, clicker, ts_ms)
            elif credited and self.validity.is_burst(clicker, ts_ms):
                invalid = "rate"
        outcomes.followed(
            "click", f"clicks-{outcomes.place(click)}", ts_ms, shop_id, user_id, click, delay_ms,
            invalid=invalid,
        )  # fmt: skip
        if invalid:
            self.validity.count(invalid)
            state.clicks.remove(key)
            return False
        click_slot, exposure_slot = state.clicks.put(*click), state.exposures.slot_of[key]
        self.tape.join(exposure_slot, click_slot)
        self.joined.add(click)
        if exposure.learnable:
            features = self.tape.learn_exposure(exposure_slot)
            label = self._label(exposure)
            outcomes.example("ctr", label, exposure.ts_ms, exposure.request_offset, features, 1)
            self.joined.await_negative(click, now_ms)
        state.exposures.write(key, "clicked", exposure.clicked + 1 - exposure.clicked % 2)
        return True

    def _credit(self, click: Clicked, shop_id: str, user_id: str, invalid: Invalid) -> None:
        """A click that has counted turns out to be invalid: take back what followed from it."""
        key, ts_ms, click_at = click.key, click.ts_ms, self.outcomes.place(click)
        exposure = shown(self.state.exposures, key)  # None where it has made room for another
        exposed_ms = ts_ms if exposure is None else exposure.ts_ms
        self.validity.count(invalid)
        cause, delay_ms = f"clicks-{click_at}", ts_ms - exposed_ms
        self.outcomes.followed("credit", cause, ts_ms, shop_id, user_id, click, delay_ms, invalid=invalid)
        if click.learnable:
            features = self.tape.learn_click(self.state.clicks.slot_of[key])
            shown_at = f"{self.outcomes.partition_of(click.exposure_origin)}-{click.exposure_offset}"
            label = f"{shown_at}-1" if exposure is None else self._label(exposure)
            self.outcomes.example(
                "ctr", f"{label}-credited", exposed_ms, click.request_offset, features, 1, weight=-1.0
            )
            if click.learnable != WAITS:  # the release before learned it at once
                self.outcomes.example(
                    "cvr", f"{click_at}-0-credited", ts_ms, click.request_offset, features, 0, weight=-1.0
                )
        if exposure is not None:
            self.state.exposures.write(key, "clicked", exposure.clicked + 1)
        self.joined.forget(click)

    def _label(self, exposure: Shown) -> str:
        """What names the positive example of an exposure; after a credit it is another one."""
        credits = exposure.clicked // 2
        return f"{self.outcomes.place(exposure)}-1" + (f"-{credits}" if credits else "")

    def _lose(self, click: Clicked, shop_id: str, user_id: str) -> None:
        """What a click names was not shown in the window before it.

        The outcome is the same whether an exposure outside the window is still known or not.
        """
        self.state.counters["unmatched_clicks"] += 1
        if self.validity.active:
            self.validity.count("no_exposure")
            self.outcomes.unfounded(
                f"clicks-{self.outcomes.place(click)}", click.ts_ms, shop_id, user_id, "no_exposure"
            )
        self.state.clicks.remove(click.key)

    def _request_due(self, key: int, deadline_ms: int) -> None:
        self.state.requests.remove(key)

    def _exposure_due(self, key: int, deadline_ms: int) -> None:
        exposure = self.state.exposures.fields(key)
        if exposure is not None:
            _, ts_ms, _, offset, request_offset, _, clicked, _, _, learnable, _, origin, _ = exposure
            if learnable and not clicked % 2:
                place = f"{self.outcomes.partition_of(origin)}-{offset}-0"
                if self.outcomes.keeps_negative(place):
                    number = self.tape.learn_exposure(self.state.exposures.slot_of[key])
                    weight = self.outcomes.negative_weight
                    self.outcomes.example("ctr", place, ts_ms, request_offset, number, 0, weight)
            self.state.exposures.remove(key)

    def _verdict_due(self, key: int, deadline_ms: int) -> None:
        click = clicked(self.state.clicks, key)
        if click is None or deadline_ms != click.ts_ms + self.final_ms:
            return  # it has gone, and perhaps another has its place
        is_joined = click.exposure_offset != NO_OFFSET
        clicker = _clicker(click.user, key)
        invalid = self.validity.verdict(click.user, clicker, click.ts_ms) if is_joined else "no_exposure"
        if not invalid:
            return
        who = self.validity.who(clicker, click.ts_ms) or UNKNOWN
        if is_joined:
            self._credit(click, *who, invalid)
        else:
            self._lose(click, *who)
        self._let_next(key, *who, deadline_ms, credited=True)

    def _repeat_due(self, key: int, deadline_ms: int) -> None:
        repeat = self.repeats.get(key)
        if repeat is None:
            return
        click = clicked(self.state.clicks, repeat.click)
        clicker = _clicker(repeat.user, repeat.click)
        is_burst = self.validity.is_burst(clicker, repeat.ts_ms)
        if click is not None and not is_burst and click.ts_ms + self.final_ms > deadline_ms:
            self.timers.add(click.ts_ms + self.final_ms, Kind.REPEAT, key)
            return
        who = self.validity.who(clicker, repeat.ts_ms)
        if who is None and click is not None:
            who = self.validity.who(clicker, click.ts_ms)
        shop_id, user_id = who or UNKNOWN
        cause = f"clicks-{self.outcomes.partition_of(repeat.origin)}-{repeat.offset}"
        invalid: Invalid = "rate" if is_burst else "repeated"
        self.validity.count(invalid)
        if click is None or click.exposure_offset == NO_OFFSET:
            self.outcomes.unfounded(cause, repeat.ts_ms, shop_id, user_id, invalid)
        else:
            exposure = shown(self.state.exposures, repeat.click)
            delay_ms = 0 if exposure is None else repeat.ts_ms - exposure.ts_ms
            self.outcomes.followed(
                "click", cause, repeat.ts_ms, shop_id, user_id, click, delay_ms, invalid=invalid
            )
        self.repeats.remove(repeat)

    def _repeat_until_ms(self, repeat: Repeat, now_ms: int) -> int:
        """When a repeated click is looked at: once its rate is known, then once its place is settled."""
        final_ms = repeat.ts_ms + self.final_ms
        click = clicked(self.state.clicks, repeat.click)
        if click is None or final_ms >= now_ms:
            return final_ms
        return max(final_ms, click.ts_ms + self.final_ms)


def _id(user: int, user_id: str) -> str:
    """Of a user, as records have it; empty of nobody."""
    return "" if user == NOBODY else user_id


def _clicker(user: int, key: int) -> int:
    """Whose clicks are counted together: a user's; of nobody, those on the same decision."""
    return key if user == NOBODY else user


def _join_key(user: int, decision_id: str, exposure_id: str) -> int:
    """Key under which a user's click meets the exposure: of our decision, or of another system's choice.

    With the user in it, nobody else's click can take the place of the user's; of nobody's decision the
    identity alone counts.
    """
    return stable_key(f"own/{decision_id}" if decision_id else f"foreign/{exposure_id}", seed=user)
