"""A bounded pool of rows of one kind, found by key."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.state.layout import field_structs, row_struct
from streams.state.rows import encode_key, encode_rows

FIRST_SLOTS = 1024
EVICTED_SHARE = 64
"""A full pool drops the oldest 1/64 of its rows at once: one pass over the times pays for many rows."""

_KEY = Struct("<q")


class Pool:
    """Rows of one dtype with a ``key``, first of all, and a time column, in one growing array.

    ``rows[slot_of[key]]`` is the row of a key. Whoever writes to a row calls ``touch``. A full pool makes
    room by dropping its oldest rows (by ``age_field``) and counts them in ``overflowed``; which rows go
    depends only on the rows, never on where they lie.

    ``put``, ``fields`` and ``write`` go by ``struct``: numpy takes longer for one field than ``fields`` for
    all. Text and arrays in a row are bytes there.

    The slot of a removed row is used again only after ``settle``: until then work that has been noted for the
    row may still be to be done (``streams.processor.tape``).
    """

    def __init__(self, kind: bytes, dtype: np.dtype[Any], capacity: int, age_field: str = "ts_ms") -> None:
        self.kind = kind
        self.capacity = capacity
        self.age_field = age_field
        self.slot_of: dict[int, int] = {}
        self.overflowed = 0
        self.before_evicting: Callable[[], None] | None = None
        """Called before rows are chosen by their age: whoever owes them a change makes it now."""
        self._free: list[int] = []
        self._left: list[int] = []
        self._end = 0
        """Slots from here on were never used."""
        self._changed: set[int] = set()
        self._unlogged: set[int] = set()
        """Of the changed ones, those that the changelog does not hold: removed again they leave no trace."""
        layout = row_struct(dtype)
        self._size = layout.size
        self._pack, self._unpack = layout.pack_into, layout.unpack_from
        self._fields = field_structs(dtype)
        self._blank = bytes(layout.size)
        self._hold(np.zeros(min(FIRST_SLOTS, capacity), dtype))

    def __len__(self) -> int:
        return len(self.slot_of)

    def __iter__(self) -> Iterator[np.void]:
        for slot in self.slot_of.values():
            yield self.rows[slot]

    def __getitem__(self, key: int) -> np.void:
        row: np.void = self.rows[self.slot_of[key]]
        return row

    def get(self, key: int) -> np.void | None:
        """The row of a key, as a view into the pool; None if there is none."""
        slot = self.slot_of.get(key)
        return None if slot is None else self.rows[slot]

    def fields(self, key: int) -> tuple[Any, ...] | None:
        """All fields of a key's row, in the order of its dtype; None if there is none."""
        slot = self.slot_of.get(key)
        return None if slot is None else self._unpack(self._bytes, slot * self._size)

    def add(self, key: int) -> int:
        """Slot of a new zeroed row with that key; its caller fills it. The key must be absent."""
        slot = self._take_slot(key)
        start = slot * self._size
        self._bytes[start : start + self._size] = self._blank
        _KEY.pack_into(self._bytes, start, key)
        return slot

    def put(self, *row: Any) -> int:
        """Write a whole row, its fields in the order of the dtype, the key first; returns its slot."""
        key = row[0]
        slot = self.slot_of.get(key)
        if slot is None:
            slot = self._take_slot(key)
        else:
            self._changed.add(key)
        self._pack(self._bytes, slot * self._size, *row)
        return slot

    def write(self, key: int, field: str, value: int) -> None:
        """Write one number of a key's row, which has then changed."""
        layout, offset = self._fields[field]
        layout.pack_into(self._bytes, self.slot_of[key] * self._size + offset, value)
        self._changed.add(key)

    def touch(self, key: int) -> None:
        """The row of that key has changed."""
        self._changed.add(key)

    def remove(self, key: int) -> None:
        """Delete a row; a key that is absent is ignored."""
        slot = self.slot_of.pop(key, None)
        if slot is not None:
            self._left.append(slot)
            if key in self._unlogged:
                self._unlogged.remove(key)
                self._changed.remove(key)
            else:
                self._changed.add(key)

    def settle(self) -> None:
        """Nothing is to be done any more for the rows that have been removed: others may have their slots."""
        self._free += self._left
        self._left.clear()

    def drain(self) -> list[tuple[bytes, bytes | None]]:
        """Changelog records of all that has changed since the last call, in order of key."""
        changed = sorted(self._changed)
        self._changed.clear()
        self._unlogged.clear()
        kept = [key for key in changed if key in self.slot_of]
        slots = [self.slot_of[key] for key in kept]
        values = dict(zip(kept, encode_rows(self.rows[slots]), strict=True)) if kept else {}
        return [(encode_key(self.kind, key), values.get(key)) for key in changed]

    def load(self, rows: npt.NDArray[Any]) -> None:
        """Replace the content by rows of distinct keys, as the changelog held them; many are taken over."""
        if len(rows) < min(FIRST_SLOTS, self.capacity):
            held = np.zeros(min(FIRST_SLOTS, self.capacity), self.rows.dtype)
            held[: len(rows)] = rows
            self._hold(held)
        else:
            self._hold(rows)
        self.slot_of = dict(zip(rows["key"].tolist(), range(len(rows)), strict=True))
        self._end = len(rows)
        self._free.clear()
        self._left.clear()
        self._changed.clear()
        self._unlogged.clear()

    def _hold(self, rows: npt.NDArray[Any]) -> None:
        self.rows = rows
        self._bytes = rows.view(np.uint8).data

    def _take_slot(self, key: int) -> int:
        if len(self.slot_of) >= self.capacity:
            self._evict()
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._end
            self._end += 1
            if slot == len(self.rows):
                self._grow()
        self.slot_of[key] = slot
        if key not in self._changed:
            self._changed.add(key)
            self._unlogged.add(key)
        return slot

    def _grow(self) -> None:
        size = len(self.rows)
        # Beyond the capacity by what is removed between two calls of ``settle``.
        grown = np.zeros(
            min(2 * size, self.capacity) if size < self.capacity else size + FIRST_SLOTS, self.rows.dtype
        )
        grown[:size] = self.rows
        self._hold(grown)

    def _evict(self) -> None:
        if self.before_evicting is not None:
            self.before_evicting()
        keys = np.fromiter(self.slot_of.keys(), np.int64, len(self.slot_of))
        slots = np.fromiter(self.slot_of.values(), np.int64, len(self.slot_of))
        ages = self.rows[self.age_field][slots]
        # More than one too many where the capacity was made smaller since the rows were written.
        count = max(1 + len(keys) - self.capacity, len(keys) // EVICTED_SHARE)
        newest_dropped = np.partition(ages, count - 1)[count - 1]
        for key in keys[ages <= newest_dropped].tolist():
            self.remove(key)
            self.overflowed += 1
