"""Clicks that have met their exposure: whose they are, what they may earn, when each is a negative."""

from bisect import bisect_right, insort
from collections.abc import Iterator

from models.delays import draw_age_ms
from models.hashing import stable_key
from streams.processor.outcomes import NO_OFFSET, Outcomes
from streams.processor.pairs import Clicked, clicked, clicked_of
from streams.processor.tape import Tape
from streams.processor.timers import Kind, Timer, Timers
from streams.processor.turns import Turns
from streams.processor.validity import Validity
from streams.settings import Processing
from streams.state.partition import PartitionState
from streams.state.rows import NOBODY, Rows

MAX_KEY = 2**63 - 1
LEARNABLE, WAITS = 1, 2
"""Of a click: it has features; it is still to be learned as a negative."""


class JoinedClicks:
    """The joined clicks of one partition, from the join until no order can be theirs any more."""

    def __init__(
        self, state: PartitionState, outcomes: Outcomes, tape: Tape, timers: Timers, validity: Validity,
        turns: Turns, windows: Processing,
    ) -> None:  # fmt: skip
        self.state = state
        self.pool = state.clicks
        self.outcomes = outcomes
        self.tape = tape
        self.timers = timers
        self.validity = validity
        self.turns = turns
        self.attribution_window_ms = int(windows.attribution_window_s * 1000)
        self.order_lateness_ms = max(int(windows.order_lateness_s * 1000), validity.final_ms)
        self._of: dict[int, list[tuple[int, int]]] = {}
        """By user, time and key of each, sorted."""
        timers.due[Kind.NEGATIVE] = self._negative_due
        timers.due[Kind.CLICK] = self._click_due

    def add(self, click: Clicked) -> None:
        """A click has met its exposure."""
        self._list(click)
        self.timers.add(self._until_ms(click), Kind.CLICK, click.key)

    def last(self, user: int, ts_ms: int) -> Clicked | None:
        """The user's newest at or before a time and inside the attribution window."""
        clicks = self._of.get(user, [])
        for click_ms, key in reversed(clicks[: bisect_right(clicks, (ts_ms, MAX_KEY))]):
            if ts_ms - click_ms > self.attribution_window_ms:
                break
            if (click := clicked(self.pool, key)) is not None:  # else it has made room for another
                return click
        return None

    def hold(self, click: Clicked, until_ms: int) -> None:
        """Keep a click beyond its window, for the refunds of an order that it earned."""
        if until_ms > self._until_ms(click):
            self.pool.write(click.key, "held_until_ms", until_ms)
            self.timers.add(until_ms, Kind.CLICK, click.key)

    def forget(self, click: Clicked) -> None:
        """A click earns nothing any more."""
        if click.user != NOBODY:
            clicks = self._of[click.user]
            clicks.remove((click.ts_ms, click.key))
            if not clicks:
                del self._of[click.user]
        self.pool.remove(click.key)

    def has(self, user: int) -> bool:
        """Whether there are any of a user."""
        return user in self._of

    def take(self, user: int, limit: int) -> Rows:
        """A user's newest that have earned nothing yet: they are another user's from now on.

        Those that have stay, for the refunds of what they earned; and those that look like a burst, where the
        verdict finds them.
        """
        rows = self.pool.rows
        kept: list[tuple[int, int]] = []
        taken: list[int] = []
        for ts_ms, key in reversed(self._of.pop(user, [])):
            slot = self.pool.slot_of.get(key)
            if slot is None:  # it has made room for another
                continue
            has_earned = rows["converted"][slot] or rows["held_until_ms"][slot]
            if len(taken) == limit or has_earned or self.validity.is_burst(user, ts_ms):
                kept.append((ts_ms, key))
            else:
                taken.append(slot)
        clicks = rows[taken]
        for key in clicks["key"].tolist():
            self.pool.remove(key)
        if kept:
            self._of[user] = kept[::-1]
        return clicks

    def receive(self, clicks: Rows, user: int) -> None:
        """Clicks of another user that are this one's from now on."""
        for row in clicks:
            slot = self.pool.add(int(row["key"]))
            self.pool.rows[slot] = row
            self.pool.rows["user"][slot] = user
            click = clicked_of(self.pool.rows[slot])
            judged_ms = click.ts_ms + self.validity.final_ms
            if judged_ms >= self.state.stream_ms:
                self.timers.add(judged_ms, Kind.VERDICT, click.key)
            self.add(click)
            if click.learnable == WAITS:
                self.await_negative(click, self.state.stream_ms)

    def restored(self, click: Clicked) -> Iterator[Timer]:
        """Timers of a click that has been loaded."""
        self._list(click)
        yield self._until_ms(click), Kind.CLICK, click.key
        if click.learnable == WAITS:
            yield self._negative_ms(click), Kind.NEGATIVE, click.key

    def clear(self) -> None:
        """All are about to be loaded anew."""
        self._of = {}

    def await_negative(self, click: Clicked, now_ms: int) -> None:
        """Learn a click as a negative when it has reached the age that is drawn for it."""
        due_ms = self._negative_ms(click)
        self.pool.write(click.key, "learnable", WAITS)
        if due_ms < now_ms:
            self._negative_due(click.key, due_ms)
        else:
            self.timers.add(due_ms, Kind.NEGATIVE, click.key)

    def _list(self, click: Clicked) -> None:
        if click.user != NOBODY:
            insort(self._of.setdefault(click.user, []), (click.ts_ms, click.key))

    def _negative_due(self, key: int, deadline_ms: int) -> None:
        """A click has reached its age, whatever comes of it."""
        click = clicked(self.pool, key)
        if click is None or click.learnable != WAITS:
            return
        age_ms, stands_for = self._negative_age(click)
        if deadline_ms < click.ts_ms + age_ms + self.validity.final_ms:
            return  # set for another click that had the key
        self.pool.write(key, "learnable", LEARNABLE)
        number = self.tape.learn_click(self.pool.slot_of[key])
        self.outcomes.example(
            "cvr", f"{self.outcomes.place(click)}-0", click.ts_ms, click.request_offset, number, 0,
            stands_for, age_ms,
        )  # fmt: skip

    def _click_due(self, key: int, deadline_ms: int) -> None:
        click = clicked(self.pool, key)
        if click is None or click.exposure_offset == NO_OFFSET:
            return  # set for the one that was here before
        if deadline_ms < self._until_ms(click):
            return  # held, or as above: it has a later one
        if not self.turns.is_behind(click.user, (deadline_ms, Kind.CLICK, key)):
            self.forget(click)

    def _negative_age(self, click: Clicked) -> tuple[int, float]:
        """At what age it is learned as a negative, and how many clicks it then stands for.

        Told by the click itself, not by its place: it is the same wherever `headrace repartition` moves it. A
        click that moves with a login before it was learned draws anew.
        """
        return draw_age_ms(stable_key(str(click.ts_ms), seed=click.user), self.attribution_window_ms)

    def _negative_ms(self, click: Clicked) -> int:
        """When: as much later as orders are settled."""
        return click.ts_ms + self._negative_age(click)[0] + self.validity.final_ms

    def _until_ms(self, click: Clicked) -> int:
        """Until when it is kept for the orders that it may earn."""
        window_ms = self.attribution_window_ms + self.order_lateness_ms
        return max(click.ts_ms + window_ms, click.held_until_ms)
