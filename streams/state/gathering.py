"""The newest record of every key of a changelog, gathered while it is read."""

from collections.abc import Iterable, Iterator

import numpy as np

from streams.state.rows import ChangelogError, Record, Rows, decode_rows


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
        self._block = bytearray()
        self._size = 0
        self._place_of: dict[int, int] = {}
        self._free: list[int] = []
        self._others: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for key, place in self._place_of.items():
            yield key, bytes(self._block[place : place + self._size])
        yield from self._others.items()

    def packed(self) -> list[bytes]:
        """All values in as few pieces as there may be."""
        if not self._place_of:
            return list(self._others.values())
        rows = np.frombuffer(bytes(self._block), f"V{self._size}")
        if self._free:
            places = np.fromiter(self._place_of.values(), np.int64, len(self._place_of))
            rows = rows[places // self._size]
        return [rows.tobytes(), *self._others.values()]

    def put(self, key: int, value: bytes | None) -> None:
        self._others.pop(key, None)
        if not self._size and value:
            self._size = len(value)
        if value is not None and len(value) == self._size:
            place = self._place_of.get(key)
            if place is not None:
                self._block[place : place + self._size] = value
            elif self._free:
                place = self._place_of[key] = self._free.pop()
                self._block[place : place + self._size] = value
            else:
                self._place_of[key] = len(self._block)
                self._block += value
            return
        if (freed := self._place_of.pop(key, None)) is not None:
            self._free.append(freed)
        if value is not None:
            self._others[key] = value
