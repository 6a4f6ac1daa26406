"""Clicks on what the user has clicked already."""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from models.hashing import stable_key
from schemas.events import Click
from streams.state.partition import PartitionState


class Repeat(NamedTuple):
    """A click that waits for the verdict on the one in its place."""

    ts_ms: int
    key: int
    user: int
    offset: int
    origin: int
    click: int
    """Key of the click in its place."""


Place = tuple[int, int, int]
"""Time, key and user of a repeat."""


class Repeats:
    """The repeated clicks of one partition: the next one counts if the one in its place turns out invalid."""

    def __init__(self, state: PartitionState) -> None:
        self.pool = state.repeats
        self._of: dict[int, list[Place]] = {}
        """By key of the click in their place, sorted."""
        self._clicks: dict[int, set[int]] = {}
        """By user, keys of the clicks in their places."""

    def __iter__(self) -> Iterator[Repeat]:
        for key in list(self.pool.slot_of):
            if (repeat := self.get(key)) is not None:
                yield repeat

    def get(self, key: int) -> Repeat | None:
        """A click by its own key; None where it is gone."""
        fields = self.pool.fields(key)
        if fields is None:
            return None
        _, ts_ms, user, offset, click, origin = fields
        return Repeat(ts_ms, key, user, offset, origin, click)

    def clicks(self, user: int) -> Iterable[int]:
        """Keys of the clicks that a user's repeats wait for."""
        return self._clicks.get(user, ())

    def waiting(self, click: int) -> Iterator[Repeat]:
        """Those that wait for the click of a key, the earliest first."""
        for ts_ms, key, _ in self._of.get(click, ()):
            repeat = self.get(key)
            if repeat is not None and (repeat.ts_ms, repeat.click) == (ts_ms, click):
                yield repeat  # else a second copy of the event has taken its row

    def add(self, click: Click, offset: int, user: int, key: int) -> Repeat:
        """A click on what has been clicked; ``key`` is that of the click in its place."""
        repeat = Repeat(click.ts_ms, stable_key(click.event_id, seed=user), user, offset, 0, key)
        is_full = len(self.pool) >= self.pool.capacity
        self.pool.put(repeat.key, repeat.ts_ms, user, offset, key, 0)
        if is_full:
            self.restore()
        else:
            self._list(repeat)
        return repeat

    def next(self, key: int) -> Repeat | None:
        """Take the earliest one out that waits for the click of a key."""
        while waiting := self._of.get(key):
            if (repeat := self.get(waiting[0][1])) is not None:
                self.remove(repeat)
                return repeat
            self._forget(key, waiting[0])  # a second copy of the event has taken its row
        return None

    def remove(self, repeat: Repeat) -> None:
        """It waits no longer."""
        self.pool.remove(repeat.key)
        self._forget(repeat.click, (repeat.ts_ms, repeat.key, repeat.user))

    def restore(self) -> None:
        """Derive anew who waits for whom."""
        self._of, self._clicks = {}, {}
        for repeat in self:
            self._list(repeat)

    def _list(self, repeat: Repeat) -> None:
        insort(self._of.setdefault(repeat.click, []), (repeat.ts_ms, repeat.key, repeat.user))
        self._clicks.setdefault(repeat.user, set()).add(repeat.click)

    def _forget(self, click: int, place: Place) -> None:
        waiting, user = self._of[click], place[2]
        waiting.remove(place)
        if not waiting:
            del self._of[click]
            self._clicks[user].remove(click)
            if not self._clicks[user]:
                del self._clicks[user]
