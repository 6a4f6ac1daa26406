"""The event ids of the last hour or so, so that a second copy has no second effect."""

from array import array
from collections import deque

import numpy as np
import numpy.typing as npt

from streams.state.rows import EVENT_ID, encode_block, encode_key

KIND = b"I"
MAX_BLOCK = 16_384
"""Ids of one changelog record, at most: 344 KB, well below a broker's message limit of 1 MB."""


class EventIds:
    """A set of event keys with the time of each, in blocks that expire together.

    What was added between two checkpoints makes a block, one changelog record. A block goes when the
    stream time has passed its newest event by ``horizon_ms``, or when ``capacity`` is exceeded (counted
    in ``overflowed``).
    """

    def __init__(self, horizon_ms: int, capacity: int) -> None:
        self.horizon_ms = horizon_ms
        self.capacity = capacity
        self.overflowed = 0
        self.known: set[int] = set()
        """Keys of the events that are known; ``add`` changes it."""
        self._blocks: deque[tuple[int, int, npt.NDArray[np.int64]]] = deque()  # number, newest ts_ms, keys
        self._next_block = 0
        self._new, self._new_ts_ms = array("q"), array("q")

    def __len__(self) -> int:
        return len(self.known)

    def add(self, key: int, ts_ms: int) -> None:
        """Remember an event that is not known yet."""
        self.known.add(key)
        self._new.append(key)
        self._new_ts_ms.append(ts_ms)

    def drain(self, stream_ms: int) -> list[tuple[bytes, bytes | None]]:
        """Changelog records of what came and what expired since the last call."""
        records: list[tuple[bytes, bytes | None]] = []
        new = np.zeros(len(self._new), EVENT_ID)
        new["key"], new["ts_ms"] = self._new, self._new_ts_ms
        self._new, self._new_ts_ms = array("q"), array("q")
        for start in range(0, len(new), MAX_BLOCK):
            rows = new[start : start + MAX_BLOCK]
            self._append(rows)
            records.append((encode_key(KIND, self._next_block - 1), encode_block(rows)))
        while self._blocks:
            number, newest_ms, keys = self._blocks[0]
            expired = newest_ms + self.horizon_ms < stream_ms
            if not expired and len(self.known) <= self.capacity:
                break
            self._blocks.popleft()
            self.known.difference_update(keys.tolist())
            self.overflowed += 0 if expired else len(keys)
            records.append((encode_key(KIND, number), None))
        return records

    def load(self, blocks: list[tuple[int, npt.NDArray[np.void]]]) -> None:
        """Replace the content by numbered blocks of ``EVENT_ID`` rows."""
        self._blocks.clear()
        self.known.clear()
        self._new, self._new_ts_ms = array("q"), array("q")
        for number, rows in sorted(blocks, key=lambda block: block[0]):
            self._next_block = number
            self._append(rows)
            self.known.update(rows["key"].tolist())

    def _append(self, rows: npt.NDArray[np.void]) -> None:
        self._blocks.append((self._next_block, int(rows["ts_ms"].max()), rows["key"].copy()))
        self._next_block += 1
