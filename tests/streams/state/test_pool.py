import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.features import CONTEXT
from streams.state.pool import EVICTED_SHARE, Pool
from streams.state.rows import REQUEST, decode_rows, encode_key

KIND = b"R"
CAPACITY = 6

keys = st.integers(0, 12)
times_ms = st.integers(1, 9)


def new_pool(capacity=CAPACITY):
    return Pool(KIND, REQUEST, capacity)


def content(rows):
    """(time, user) by key."""
    return {int(row["key"]): (int(row["ts_ms"]), int(row["user"])) for row in rows}


class PoolMachine(RuleBasedStateMachine):
    """A pool beside a plain dict that does the same, and the changelog that the pool wrote."""

    def __init__(self):
        super().__init__()
        self.pool = new_pool()
        self.expected = {}
        self.changelog = {}
        self.overflowed = 0

    @rule(key=keys, ts_ms=times_ms, user=st.integers(0, 99))
    def put(self, key, ts_ms, user):
        if key not in self.expected and len(self.expected) == CAPACITY:
            oldest_ms = min(ts_ms for ts_ms, _ in self.expected.values())
            dropped = [other for other, row in self.expected.items() if row[0] == oldest_ms]
            self.overflowed += len(dropped)
            for other in dropped:
                del self.expected[other]
        self.pool.put(key, ts_ms, user, b"")
        self.expected[key] = ts_ms, user

    @rule(key=keys, user=st.integers(0, 99))
    def change_in_place(self, key, user):
        row = self.pool.get(key)
        if row is not None:
            row["user"] = user
            self.pool.touch(key)
            self.expected[key] = self.expected[key][0], user

    @rule(key=keys)
    def remove(self, key):
        self.pool.remove(key)
        self.expected.pop(key, None)

    @rule()
    def drain(self):
        records = self.pool.drain()
        assert sorted(key for key, _ in records) == sorted({key for key, _ in records})
        self.changelog |= dict(records)
        assert self.expected == content(self.logged_rows())

    @rule()
    def restore(self):
        """A new pool goes on from the changelog."""
        self.drain()
        overflowed = self.pool.overflowed
        self.pool = new_pool()
        self.pool.load(self.logged_rows())
        self.pool.overflowed = overflowed
        assert [] == self.pool.drain()

    def logged_rows(self):
        return decode_rows(KIND, [value for value in self.changelog.values() if value is not None])

    @invariant()
    def holds_what_a_dict_would(self):
        assert self.expected == content(self.pool)
        assert self.expected == {
            key: (int(row["ts_ms"]), int(row["user"]))
            for key in range(13)
            if (row := self.pool.get(key)) is not None
        }
        assert (len(self.expected), self.overflowed) == (len(self.pool), self.pool.overflowed)


TestPool = PoolMachine.TestCase
TestPool.__doc__ = (
    "Whatever is put, changed, removed, drained and loaded, a pool and its changelog equal a dict."
)
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_full_pool_drops_its_oldest_rows_together():
    """Room is made for 1/64 of the rows at once, oldest first, and every dropped row is counted."""
    capacity = 10 * EVICTED_SHARE
    pool = new_pool(capacity)
    for key in range(capacity):
        pool.put(key, 1_000 + key, 0, b"")
    pool.put(capacity, 0, 0, b"")
    assert list(range(10, capacity + 1)) == sorted(pool.slot_of)
    assert 10 == pool.overflowed


def test_a_pool_grows_and_keeps_its_rows():
    """Rows stay what they are while the array behind them grows."""
    pool = new_pool(5_000)
    for key in range(5_000):
        pool.put(key, key + 1, 2 * key, np.full(len(CONTEXT), key % 7, np.uint32).tobytes())
    assert {key: (key + 1, 2 * key) for key in range(5_000)} == content(pool)
    assert {(key, key % 7) for key in range(5_000)} == {
        (int(row["key"]), int(context)) for row in pool for context in set(row["context"])
    }


def test_a_row_comes_back_as_it_was_put():
    """``fields`` gives what ``put`` took, arrays as the bytes that they fill."""
    pool, context = new_pool(), bytes(range(4 * len(CONTEXT)))
    pool.put(1, -5, 6, context)
    assert ((1, -5, 6, context), None) == (pool.fields(1), pool.fields(2))
    assert context == pool[1]["context"].tobytes()


def test_what_comes_and_goes_between_two_checkpoints_leaves_no_record():
    """A row that the changelog never held needs no tombstone there; one that it held does."""
    pool = new_pool()
    pool.put(1, 1, 0, b"")
    pool.drain()
    for key in (1, 2):
        pool.remove(key)
        pool.put(key, 2, 0, b"")
        pool.remove(key)
    pool.put(3, 3, 0, b"")
    pool.remove(3)
    assert [(encode_key(KIND, 1), None)] == pool.drain()


def test_a_slot_that_is_used_again_is_zero():
    """Nothing of a removed row shows in the next one at its place."""
    pool = new_pool()
    pool.put(1, 5, 6, b"seven")
    pool.remove(1)
    row = pool.rows[pool.add(2)]
    assert (2, 0, 0, [0] * len(CONTEXT)) == (row["key"], row["ts_ms"], row["user"], row["context"].tolist())


def test_a_smaller_capacity_takes_effect_after_a_restart():
    """Rows loaded beyond the capacity go with the next addition, oldest first."""
    pool = new_pool(2)
    rows = np.zeros(5, REQUEST)
    rows["key"], rows["ts_ms"] = range(5), range(1, 6)
    pool.load(rows)
    pool.put(9, 9, 0, b"")
    assert {4, 9} == set(pool.slot_of)
    assert 4 == pool.overflowed


def test_one_number_of_a_row_is_written():
    """The others stay, and the row goes to the changelog."""
    pool = new_pool()
    pool.put(3, 5, 7, bytes(4 * len(CONTEXT)))
    pool.drain()
    pool.write(3, "user", -8)
    [(key, value)] = pool.drain()
    assert {3: (5, -8)} == content(decode_rows(KIND, [value]))
    assert encode_key(KIND, 3) == key


def test_an_absent_key_has_no_row():
    """``get`` says None, indexing raises KeyError."""
    pool = new_pool()
    assert pool.get(1) is None
    with pytest.raises(KeyError):
        pool[1]
