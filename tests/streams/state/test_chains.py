import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.state import chain_index
from streams.state.books import CLICKS, CLICKS_OF, COUNT, MASK, new_books
from streams.state.chain_index import ChainIndex
from streams.state.chains import link, link_all, newest, older, oldest, unlink
from streams.state.index import ABSENT, find
from streams.state.pool import Pool
from streams.state.rows import REQUEST

OWNERS = [5, 5 + 2 * chain_index.FIRST_OWNERS, 2**63 - 1]
"""The first two have the same home."""


class ChainsMachine(RuleBasedStateMachine):
    """Chains of a pool's rows beside a sorted list of time and key for each owner."""

    def __init__(self):
        super().__init__()
        self.books = new_books()
        self.chains, self.rows = self.books[CLICKS_OF], self.books[CLICKS]
        self.index = ChainIndex(self.chains)
        self.pool = Pool(b"R", REQUEST, 1000, line=self.rows)
        self.expected = {owner: [] for owner in OWNERS}

    @rule(owner=st.sampled_from(OWNERS), ts_ms=st.integers(0, 5), key=st.integers(0, 2**63 - 1))
    def link(self, owner, ts_ms, key):
        """In any order of time; of equal times the key decides."""
        if ABSENT != self.pool.find(key):
            return
        slot = self.pool.add(key)
        self.pool.rows["ts_ms"][slot] = ts_ms
        link(self.chains, self.rows, owner, slot)
        self.expected[owner] = sorted([*self.expected[owner], (ts_ms, key)])

    @precondition(lambda self: any(self.expected.values()))
    @rule(data=st.data())
    def unlink(self, data):
        owner = data.draw(st.sampled_from([owner for owner in OWNERS if self.expected[owner]]))
        row = data.draw(st.sampled_from(self.expected[owner]))
        unlink(self.chains, self.rows, owner, self.pool.find(row[1]))
        self.pool.remove(row[1])
        self.pool.settle()
        self.expected[owner].remove(row)

    @rule()
    def link_anew(self):
        """All at once, by slot, whatever was chained before."""
        owner_of = {key: owner for owner, rows in self.expected.items() for _, key in rows}
        slots = np.array(sorted(map(self.pool.find, owner_of)), np.int64)
        owners = np.array([owner_of[int(key)] for key in self.pool.rows["key"][slots]], np.int64)
        link_all(self.chains, self.rows, owners, slots)

    @invariant()
    def holds_what_a_sorted_list_would(self):
        assert self.expected == {owner: self.walked(owner) for owner in OWNERS}
        assert [rows[0] if rows else None for rows in self.expected.values()] == [
            self.row(oldest(self.chains, self.rows, owner)) for owner in OWNERS
        ]
        assert sum(map(bool, self.expected.values())) == self.chains[COUNT]

    def walked(self, owner):
        """From the newest to the oldest, and back in order of time."""
        found, slot = [], newest(self.chains, owner)
        while slot != ABSENT and len(found) <= len(self.pool):
            found.append(self.row(slot))
            slot = older(self.chains, self.rows, owner, slot)
        return found[::-1]

    def row(self, slot):
        if slot == ABSENT:
            return None
        row = self.pool.rows[slot]
        return int(row["ts_ms"]), int(row["key"])


TestChains = ChainsMachine.TestCase
TestChains.__doc__ = "However rows are linked and unlinked, each owner's chain is a list in order of time."
TestChains.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(st.permutations(range(12)))
def test_rows_are_chained_by_time_however_they_come(times_ms):
    """One owner's rows, and all slots in another order than their times."""
    books = new_books()
    index = ChainIndex(books[CLICKS_OF])
    pool = Pool(b"R", REQUEST, 100, line=books[CLICKS])
    for key, ts_ms in enumerate(times_ms):
        slot = pool.add(key)
        pool.rows["ts_ms"][slot] = ts_ms
        link(books[CLICKS_OF], books[CLICKS], 1, slot)
    found, slot = [], newest(books[CLICKS_OF], 1)
    while slot != ABSENT:
        found.append(int(pool.rows["ts_ms"][slot]))
        slot = older(books[CLICKS_OF], books[CLICKS], 1, slot)
    assert list(range(12))[::-1] == found
    assert 1 == index.line[COUNT]


@given(st.sets(st.integers(0, 2**63 - 1), max_size=100), st.integers(1, 40))
def test_an_index_of_chains_grows(owners, at_once):
    """Whose chains there were is known afterwards, and at least half of the places are free."""
    line = new_books()[CLICKS_OF]
    index = ChainIndex(line)
    index._hold(np.zeros(4, np.int64))
    rows = Pool(b"R", REQUEST, 1000, line=np.zeros(len(line), np.int64))
    slots = {owner: rows.add(owner) for owner in sorted(owners)}
    ordered = sorted(slots.items(), key=lambda item: item[1])
    for first in range(0, len(ordered), at_once):
        some = ordered[first : first + at_once]
        index.reserve(len(some))
        assert 2 * (line[COUNT] + len(some)) <= line[MASK] + 1
        for owner, slot in some:
            link(line, rows.line, owner, slot)
    assert slots == {owner: find(line, owner) for owner in owners}
    assert len(owners) == line[COUNT]
