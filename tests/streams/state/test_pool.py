import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.features import CONTEXT
from streams.state import pool as pools
from streams.state.index import ABSENT
from streams.state.pool import Pool
from streams.state.rows import REQUEST, decode_rows, encode_key
from streams.state.slots import EVICTED_SHARE

KIND = b"R"
CAPACITY = 6

keys = st.integers(0, 12)
times_ms = st.integers(1, 9)


def new_pool(capacity=CAPACITY):
    return Pool(KIND, REQUEST, capacity)


def put(pool, key, ts_ms, user=0, context=b""):
    """A row in place of whatever the key had."""
    slot = pool.add(key)
    row = pool.rows[slot]
    row["ts_ms"], row["user"] = ts_ms, user
    row["context"] = np.frombuffer(context.ljust(4 * len(CONTEXT), b"\0"), np.uint32)


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
        put(self.pool, key, ts_ms, user)
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
    def settle(self):
        """Slots of removed rows may be used again."""
        self.pool.settle()

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
        assert sorted(self.expected) == sorted(self.pool.keys())
        assert (len(self.expected), self.overflowed) == (len(self.pool), self.pool.overflowed)


TestPool = PoolMachine.TestCase
TestPool.__doc__ = (
    "Whatever is put, changed, removed, settled, drained and loaded, a pool and its changelog equal a dict."
)
TestPool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_full_pool_drops_its_oldest_rows_together():
    """Room is made for 1/64 of the rows at once, oldest first, and every dropped row is counted."""
    capacity = 10 * EVICTED_SHARE
    pool = new_pool(capacity)
    for key in range(capacity):
        put(pool, key, 1_000 + key)
    put(pool, capacity, 0)
    assert list(range(10, capacity + 1)) == sorted(pool.keys())
    assert 10 == pool.overflowed


def test_a_pool_grows_and_keeps_its_rows():
    """Rows stay what they are while the array behind them grows."""
    pool = new_pool(5_000)
    for key in range(5_000):
        put(pool, key, key + 1, 2 * key, np.full(len(CONTEXT), key % 7, np.uint32).tobytes())
    assert {key: (key + 1, 2 * key) for key in range(5_000)} == content(pool)
    assert {(key, key % 7) for key in range(5_000)} == {
        (int(row["key"]), int(context)) for row in pool for context in set(row["context"])
    }


def test_a_row_comes_back_as_it_was_put():
    """All numbers of it, arrays as the bytes that they fill; another key has none."""
    pool, context = new_pool(), bytes(range(4 * len(CONTEXT)))
    put(pool, 1, -5, 6, context)
    row = pool[1]
    assert (1, -5, 6, context) == (row["key"], row["ts_ms"], row["user"], row["context"].tobytes())
    assert pool.get(2) is None


def test_what_comes_and_goes_between_two_checkpoints_leaves_no_record():
    """A row that the changelog never held needs no tombstone there; one that it held does."""
    pool = new_pool()
    put(pool, 1, 1)
    pool.drain()
    for key in (1, 2):
        pool.remove(key)
        put(pool, key, 2)
        pool.remove(key)
    put(pool, 3, 3)
    pool.remove(3)
    assert [(encode_key(KIND, 1), None)] == pool.drain()


def test_a_slot_that_is_used_again_is_zero():
    """Nothing of a removed row shows in the next one at its place."""
    pool = new_pool()
    put(pool, 1, 5, 6, b"seven")
    slot = pool.find(1)
    pool.remove(1)
    pool.settle()
    assert slot == pool.add(2)
    row = pool.rows[slot]
    assert (2, 0, 0, [0] * len(CONTEXT)) == (row["key"], row["ts_ms"], row["user"], row["context"].tolist())


def test_a_row_that_is_put_again_is_zero():
    """A key that has a row keeps its slot, and nothing else of it."""
    pool = new_pool()
    put(pool, 1, 5, 6, b"seven")
    slot = pool.find(1)
    assert slot == pool.add(1)
    row = pool.rows[slot]
    assert (1, 0, 0, [0] * len(CONTEXT)) == (row["key"], row["ts_ms"], row["user"], row["context"].tolist())
    assert 1 == len(pool)


@pytest.mark.parametrize("leave", ["removed", "evicted"])
def test_a_removed_row_is_readable_until_it_is_settled(leave):
    """Its slot is not used again before, however many rows come; then it is."""
    pool = new_pool()
    put(pool, 1, 5, 6, b"seven")
    slot = pool.find(1)
    if leave == "removed":
        pool.remove(1)
    for key in range(2, 2 + CAPACITY):
        put(pool, key, 10 + key)
    assert ABSENT == pool.find(1)
    assert (1, 5, 6) == tuple(pool.rows[slot].tolist())[:3]
    pool.settle()
    pool.remove(2)
    put(pool, 20, 20)
    assert slot == pool.find(20)


def test_a_row_is_said_to_be_gone_once():
    """However often a key comes and goes until the changelog is written, it is deleted there once."""
    pool = new_pool()
    for _ in range(3):
        put(pool, 1, 5)
        pool.drain()
        for _ in range(3):
            pool.remove(1)
            put(pool, 1, 6)
            pool.settle()
        pool.remove(1)
        assert [(encode_key(KIND, 1), None)] == pool.drain()
        pool.settle()


def test_rows_outlive_the_growth_of_everything(monkeypatch):
    """Arrays and index that begin with a slot or two grow with the rows, their marks and what is free."""
    monkeypatch.setattr(pools, "FIRST_SLOTS", 1)
    pool, expected, changelog = new_pool(500), {}, {}
    for key in range(300):
        put(pool, 7 * key, key + 1, key)
        expected[7 * key] = key + 1, key
        if key % 3 == 0:
            pool.remove(7 * (key // 2))
            expected.pop(7 * (key // 2), None)
        if key % 10 == 0:
            pool.settle()
        if key % 17 == 0:
            changelog |= dict(pool.drain())
    changelog |= dict(pool.drain())
    assert expected == content(pool)
    logged = [value for value in changelog.values() if value is not None]
    assert expected == content(decode_rows(KIND, logged))


def test_a_smaller_capacity_takes_effect_after_a_restart():
    """Rows loaded beyond the capacity go with the next addition, oldest first."""
    pool = new_pool(2)
    rows = np.zeros(5, REQUEST)
    rows["key"], rows["ts_ms"] = range(5), range(1, 6)
    pool.load(rows)
    put(pool, 9, 9)
    assert {4, 9} == set(pool.keys())
    assert 4 == pool.overflowed


def test_one_number_of_a_row_is_written():
    """The others stay, and the row goes to the changelog."""
    pool = new_pool()
    put(pool, 3, 5, 7)
    pool.drain()
    pool.rows["user"][pool.find(3)] = -8
    pool.touch(3)
    [(key, value)] = pool.drain()
    assert {3: (5, -8)} == content(decode_rows(KIND, [value]))
    assert encode_key(KIND, 3) == key


def test_rows_that_may_not_be_written_to_are_copied():
    """Kernels write by address: what is loaded from bytes must not be changed behind Python's back."""
    rows = np.frombuffer(bytes(REQUEST.itemsize), REQUEST)
    pool = new_pool(1)
    pool.load(rows)
    pool.rows["user"][pool.find(0)] = 7
    assert (0, 7) == (int(rows["user"][0]), int(pool[0]["user"]))


def test_an_absent_key_has_no_row():
    """``get`` says None, indexing raises KeyError."""
    pool = new_pool()
    assert pool.get(1) is None
    with pytest.raises(KeyError):
        pool[1]
