"""The newest record of every key of a changelog, gathered while it is read."""

from collections.abc import Iterable, Iterator

import numpy as np

from streams.state.rows import ChangelogError, Record, Rows, decode_rows

FIRST_BYTES = 4096


class Gathering:
    """Takes records one by one, oldest first.

    Values of one size lie side by side in one block for each kind, and a newer one takes the place of the
    older: as objects of their own a million of them would leave the heap in pieces, 200 bytes a row.
    """

    def __init__(self) -> None:
        self._kinds: dict[bytes, _Values] = {}

    def add(self, key: bytes, value: bytes | None) -> None:
        """Take the next record; a value of None deletes what there was."""
        kind = key[:1]
        values = self._kinds.get(kind)
        if values is None:
            values = self._kinds[kind] = _Values()
        values.put(int.from_bytes(key[1:], "little"), value)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Gathering":
        """All of these records."""
        made = cls()
        for key, value in records:
            made.add(key, value)
        return made

    def rows(self, kind: bytes) -> Rows:
        """The rows of a kind in its newest layout; raises ``ChangelogError``."""
        values = self._kinds.get(kind, _Values())
        try:
            return decode_rows(kind, values.packed())
        except ChangelogError:
            # Of several versions; or one is damaged, and only a value by itself tells which.
            return decode_rows(kind, [value for _, value in values])

    def values(self, kind: bytes) -> Iterator[tuple[int, bytes]]:
        """Keys and values of a kind."""
        return iter(self._kinds.get(kind, _Values()))


class _Values:
    """The newest values of one kind by key."""

    def __init__(self) -> None:
        self._size = 0
        self._place_of: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0
        self._others: dict[int, bytes] = {}
        self._block = np.empty(FIRST_BYTES, np.uint8)
        self._bytes = self._block.data

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for key, place in self._place_of.items():
            yield key, bytes(self._bytes[place : place + self._size])
        yield from self._others.items()

    def packed(self) -> list[bytes | memoryview]:
        """All values in as few pieces as there may be."""
        others: list[bytes | memoryview] = list(self._others.values())
        if not self._place_of:
            return others
        block = self._block[: self._end]
        if self._free:
            places = np.fromiter(self._place_of.values(), np.int64, len(self._place_of))
            block = block.reshape(-1, self._size)[places // self._size].reshape(-1)
        return [block.data.toreadonly(), *others]

    def put(self, key: int, value: bytes | None) -> None:
        if self._others:
            self._others.pop(key, None)
        if not self._size and value:
            self._size = len(value)
        if value is None or len(value) != self._size:
            if (freed := self._place_of.pop(key, None)) is not None:
                self._free.append(freed)
            if value is not None:
                self._others[key] = value
            return
        place = self._place_of.get(key)
        if place is None:
            place = self._place_of[key] = self._free.pop() if self._free else self._next_place()
        self._bytes[place : place + self._size] = value

    def _next_place(self) -> int:
        place = self._end
        self._end += self._size
        if self._end > len(self._block):
            self._grow(2 * self._end)
        return place

    def _grow(self, size: int) -> None:
        # By numpy, which asks for large pages: on some machines they make the difference.
        grown = np.empty(size, np.uint8)
        grown[: len(self._block)] = self._block
        self._block, self._bytes = grown, grown.data
