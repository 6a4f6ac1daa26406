import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.state.books import COLUMNS, INDEX_AT, MASK, address
from streams.state.index import ABSENT, ENTRY, drop, enter, enter_all, find

PLACES = 16
# Few homes, the last places among them: what is pushed aside goes on at the beginning.
keys = st.builds(
    lambda home, lap: home + lap * PLACES,
    st.sampled_from([0, 1, 2, PLACES - 2, PLACES - 1]),
    st.integers(0, 4) | st.integers(0, 2**59 - 1),
)
numbers = st.integers(0, 2**31 - 1)


class IndexMachine(RuleBasedStateMachine):
    """An index of few places, of which one is always free, beside a dict."""

    @initialize(rows=st.dictionaries(keys, numbers, max_size=PLACES - 1))
    def begin(self, rows):
        self.entries = np.zeros(ENTRY * PLACES, np.int64)
        self.line = np.zeros(COLUMNS, np.int64)
        self.line[INDEX_AT], self.line[MASK] = address(self.entries), PLACES - 1
        enter_all(self.line, np.array(list(rows), np.int64), np.array(list(rows.values()), np.int64))
        self.expected = dict(rows)
        self.dropped = set()

    @precondition(lambda self: len(self.expected) < PLACES - 1)
    @rule(key=keys, number=numbers)
    def enter(self, key, number):
        enter(self.line, key, number)
        self.expected[key] = number
        self.dropped.discard(key)

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), number=numbers)
    def enter_again(self, data, number):
        """A key that is there stands for another number."""
        key = data.draw(st.sampled_from(sorted(self.expected)))
        enter(self.line, key, number)
        self.expected[key] = number

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def drop(self, data):
        key = data.draw(st.sampled_from(sorted(self.expected)))
        drop(self.line, key)
        del self.expected[key]
        self.dropped.add(key)

    @rule(key=keys)
    def find(self, key):
        assert self.expected.get(key, ABSENT) == find(self.line, key)

    @invariant()
    def holds_what_a_dict_would(self):
        assert self.expected == {key: find(self.line, key) for key in self.expected}
        assert {ABSENT} >= {find(self.line, key) for key in self.dropped}
        assert len(self.expected) == np.count_nonzero(self.entries[1::ENTRY])


TestIndex = IndexMachine.TestCase
TestIndex.__doc__ = "Whatever is entered and dropped, an index of colliding keys equals a dict."
TestIndex.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_the_key_zero_is_a_key():
    """Nobody's key is 0, which a free place has, too: it is there only once it was entered."""
    entries, line = np.zeros(ENTRY * PLACES, np.int64), np.zeros(COLUMNS, np.int64)
    line[INDEX_AT], line[MASK] = address(entries), PLACES - 1
    assert ABSENT == find(line, 0)
    enter(line, PLACES, 1)
    enter(line, 0, 2)
    drop(line, PLACES)
    assert (2, ABSENT) == (find(line, 0), find(line, PLACES))
    drop(line, 0)
    assert ABSENT == find(line, 0)
