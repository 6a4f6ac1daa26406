"""The newest record of every key of a changelog, gathered while it is read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from streams.state.rows import ChangelogError, Record, Rows, decode_rows

FIRST_BYTES = 4096
KEY = np.dtype([("kind", "S1"), ("number", "<u8")])


class Gathering:
    """Takes records, oldest first.

    Values of one size lie side by side in one block for each kind, and a newer one takes the place of the
    older: as objects of their own a million of them would leave the heap in pieces, 200 bytes a row. Those of
    a poll are laid there together.
    """

    def __init__(self) -> None:
        self._kinds: dict[bytes, _Values] = {}

    def add(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Take the next records; a value of None deletes what there was."""
        newest = dict(zip(keys, values, strict=True))
        kinds = {key[:1] for key in newest}
        for kind in kinds:
            of_kind = newest if len(kinds) == 1 else {key: newest[key] for key in newest if key[:1] == kind}
            held = self._kinds.get(kind)
            if held is None:
                held = self._kinds[kind] = _Values()
            held.put(of_kind)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Gathering":
        """All of these records."""
        made, listed = cls(), list(records)
        made.add([key for key, _ in listed], [value for _, value in listed])
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
        self._block = np.zeros(FIRST_BYTES, np.uint8)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for key, place in self._place_of.items():
            yield key, self._block[place : place + self._size].tobytes()
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

    def put(self, newest: Mapping[bytes, bytes | None]) -> None:
        """Take values by whole keys."""
        values = [value for value in newest.values() if value]
        sizes = {*map(len, values)}
        if not self._size and sizes:
            self._size = min(sizes)
        alike = len(values) == len(newest) and sizes == {self._size}
        if alike and {*map(len, newest)} == {KEY.itemsize}:
            self._put_alike(np.frombuffer(b"".join(newest), KEY)["number"].tolist(), b"".join(values))
            return
        for key, value in newest.items():
            self._put_one(int.from_bytes(key[1:], "little"), value)

    def _put_alike(self, keys: list[int], values: bytes) -> None:
        """Values of the usual size, one after the other, for keys that differ."""
        if self._others:
            for key in keys:
                self._others.pop(key, None)
        place_of = self._place_of
        places = [place_of.get(key, -1) for key in keys]
        for index, place in enumerate(places):
            if place < 0:
                places[index] = place_of[keys[index]] = self._new_place()
        count = len(self._block) // self._size
        rows = self._block[: count * self._size].reshape(count, self._size)
        rows[np.array(places) // self._size] = np.frombuffer(values, np.uint8).reshape(-1, self._size)

    def _put_one(self, key: int, value: bytes | None) -> None:
        self._others.pop(key, None)
        if not value or len(value) != self._size:
            if (freed := self._place_of.pop(key, None)) is not None:
                self._free.append(freed)
            if value is not None:
                self._others[key] = value
            return
        place = self._place_of.get(key)
        if place is None:
            place = self._place_of[key] = self._new_place()
        self._block.data[place : place + self._size] = value

    def _new_place(self) -> int:
        return self._free.pop() if self._free else self._next_place()

    def _next_place(self) -> int:
        place = self._end
        self._end += self._size
        if self._end > len(self._block):
            # Of a large block the system moves the pages to a larger place: nothing is copied.
            self._block.resize(2 * self._end, refcheck=False)
        return place
