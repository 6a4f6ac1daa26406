"""A bounded pool of rows of one kind, found by key."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.state import slots
from streams.state.books import (
    AGE_AT,
    CAPACITY,
    COLUMNS,
    COUNT,
    END,
    FREE,
    FREE_AT,
    GONE,
    GONE_AT,
    INDEX_AT,
    LEFT,
    LEFT_AT,
    MARKS_AT,
    MASK,
    NEWER_AT,
    OLDER_AT,
    OVERFLOWED,
    ROW_BYTES,
    ROWS_AT,
    SLOTS,
    Books,
    address,
)
from streams.state.index import ABSENT, ENTRY, enter_all, find
from streams.state.rows import encode_key, encode_rows
from streams.state.slots import CHANGED, LOGGED, USED

FIRST_SLOTS = 1024


class Pool:
    """Rows of one dtype with a ``key``, first of all, and a time column, in one growing array.

    ``rows[find(key)]`` is the row of a key. Whoever writes to a row calls ``touch``. A full pool makes room
    by dropping its oldest rows (by ``age_field``) and counts them in ``overflowed``.

    Kernels work on the same rows by ``line``, its line in the books (``streams.state.slots``). The slot of a
    removed row is used again only after ``settle``: what was said of it may still be to be written.
    """

    def __init__(
        self, kind: bytes, dtype: np.dtype[Any], capacity: int, age_field: str = "ts_ms",
        line: Books | None = None,
    ) -> None:  # fmt: skip
        self.kind = kind
        self.capacity = capacity
        self.line: Books = np.zeros(COLUMNS, np.int64) if line is None else line
        self.line[CAPACITY] = capacity
        self.line[ROW_BYTES] = dtype.itemsize
        assert dtype.fields is not None
        self.line[AGE_AT] = dtype.fields[age_field][1]
        self._dtype = dtype
        self._clear(np.zeros(min(FIRST_SLOTS, capacity), dtype))

    def __len__(self) -> int:
        return int(self.line[COUNT])

    def __iter__(self) -> Iterator[np.void]:
        for slot in self._used():
            yield self.rows[slot]

    def __getitem__(self, key: int) -> np.void:
        slot = self.find(key)
        if slot == ABSENT:
            raise KeyError(key)
        row: np.void = self.rows[slot]
        return row

    @property
    def overflowed(self) -> int:
        """Rows that had to make room."""
        return int(self.line[OVERFLOWED])

    @overflowed.setter
    def overflowed(self, count: int) -> None:
        self.line[OVERFLOWED] = count

    def keys(self) -> list[int]:
        """Of all rows."""
        keys: list[int] = self.rows["key"][self._used()].tolist()
        return keys

    def content(self) -> npt.NDArray[Any]:
        """A copy of all rows."""
        return self.rows[self._used()]

    def find(self, key: int) -> int:
        """Slot of a key's row; ``ABSENT`` if there is none."""
        return int(find(self.line, key))

    def get(self, key: int) -> np.void | None:
        """The row of a key, as a view into the pool; None if there is none."""
        slot = self.find(key)
        return None if slot == ABSENT else self.rows[slot]

    def add(self, key: int) -> int:
        """Slot of a zeroed row with that key; its caller fills it."""
        self.reserve(1)
        return int(slots.put(self.line, key))

    def touch(self, key: int) -> None:
        """The row of that key has changed."""
        slots.touch(self.line, self.find(key))

    def remove(self, key: int) -> None:
        """Delete a row; a key that is absent is ignored."""
        slots.remove(self.line, key)

    def settle(self) -> None:
        """Whatever was said of removed rows has been written: others may have their slots."""
        if self.line[LEFT]:
            slots.settle(self.line)

    def reserve(self, count: int) -> None:
        """Make room for so many rows more."""
        line = self.line
        size, wanted = len(self.rows), int(line[END] - line[FREE]) + count
        if wanted > size:
            self._grow(max(2 * size, wanted))
        if 2 * (line[COUNT] + count) > line[MASK] + 1:
            self._reindex(count)

    def drain(self) -> list[tuple[bytes, bytes | None]]:
        """Changelog records of all that has changed since the last call, in order of key."""
        line, marks = self.line, self._marks
        changed = np.flatnonzero(marks[: line[END]] & CHANGED)
        gone = [key for key in set(self._gone[: line[GONE]].tolist()) if self.find(key) == ABSENT]
        line[GONE] = 0
        if not len(changed) and not gone:
            return []
        keys = self.rows["key"][changed]
        changed = changed[np.argsort(keys)]
        marks[changed] = USED | LOGGED
        records: list[tuple[bytes, bytes | None]] = [
            (encode_key(self.kind, key), value)
            for key, value in zip(
                self.rows["key"][changed].tolist(), encode_rows(self.rows[changed]), strict=True
            )
        ]
        if gone:
            records += [(encode_key(self.kind, key), None) for key in gone]
            records.sort(key=lambda record: int.from_bytes(record[0][1:], "little"))
        return records

    def load(self, rows: npt.NDArray[Any]) -> None:
        """Replace the content by rows of distinct keys, as the changelog held them; many are taken over."""
        least = min(FIRST_SLOTS, self.capacity)
        held = rows
        if len(rows) < least or not rows.flags.writeable:
            held = np.zeros(max(least, len(rows)), self._dtype)
            held[: len(rows)] = rows
        self._clear(held)
        self.line[COUNT] = self.line[END] = len(rows)
        self._marks[: len(rows)] = USED | LOGGED
        self._reindex(0)

    def _used(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self._marks[: self.line[END]] & USED)

    def _clear(self, rows: npt.NDArray[Any]) -> None:
        self.line[[COUNT, END, FREE, LEFT, GONE]] = 0
        size = len(rows)
        self._hold(
            rows,
            np.zeros(size, np.uint8),
            *(np.zeros(size, np.int32) for _ in range(4)),
            np.zeros(size, np.int64),
        )
        self._index = np.zeros(0, np.int64)
        self._reindex(0)

    def _hold(self, *arrays: npt.NDArray[Any]) -> None:
        self._arrays = arrays
        self.rows, self._marks, *_, self._gone = arrays
        self.line[SLOTS] = len(self.rows)
        columns = ROWS_AT, MARKS_AT, OLDER_AT, NEWER_AT, FREE_AT, LEFT_AT, GONE_AT
        for column, array in zip(columns, arrays, strict=True):
            self.line[column] = address(array)

    def _grow(self, size: int) -> None:
        grown = [np.zeros(size, array.dtype) for array in self._arrays]
        for array, larger in zip(self._arrays, grown, strict=True):
            larger[: len(array)] = array
        self._hold(*grown)

    def _reindex(self, count: int) -> None:
        """An index of at least twice as many places as there will be rows."""
        used = self._used()
        size = 1 << max(2 * (len(used) + count) - 1, FIRST_SLOTS).bit_length()
        self._index = np.zeros(ENTRY * size, np.int64)
        self.line[INDEX_AT], self.line[MASK] = address(self._index), size - 1
        enter_all(self.line, self.rows["key"][used], used)
