"""Whose chains of rows there are: the newest row of each owner."""

import numpy as np
import numpy.typing as npt
from numba import njit

from streams.state.books import COUNT, INDEX_AT, MASK, Books, address
from streams.state.index import ENTRY, enter

FIRST_OWNERS = 1024


class ChainIndex:
    """Room for the chains of as many owners as ``reserve`` was told (``streams.state.chains``)."""

    def __init__(self, line: Books) -> None:
        self.line = line
        self._hold(np.zeros(ENTRY * 2 * FIRST_OWNERS, np.int64))

    def reserve(self, owners: int) -> None:
        """Make room for so many more."""
        wanted = int(self.line[COUNT]) + owners
        if 2 * wanted > self.line[MASK] + 1:
            entries = self._entries
            self._hold(np.zeros(ENTRY << (2 * wanted).bit_length(), np.int64))
            _enter_again(self.line, entries)

    def _hold(self, entries: npt.NDArray[np.int64]) -> None:
        self._entries = entries
        self.line[INDEX_AT], self.line[MASK] = address(entries), len(entries) // ENTRY - 1


@njit(cache=True)
def _enter_again(line, entries):  # type: ignore[no-untyped-def]
    for at in range(0, len(entries), ENTRY):
        if entries[at + 1]:
            enter(line, entries[at], entries[at + 1] - 1)
