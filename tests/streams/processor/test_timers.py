from heapq import heappop, heappush

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.processor import timers
from streams.processor.timers import ADDED, Timers, add, has_room, is_due, pop
from streams.state.books import COUNT, REPEATS, SIZE, TIMERS, new_books

FIRST = 3
"""Timers that there is room for at first."""

times_ms = st.integers(0, 20) | st.integers(-(2**63), 2**63 - 1)
kinds = st.integers(0, 9)
keys = st.integers(0, 3) | st.integers(0, 2**63 - 1)
rows = st.tuples(times_ms, kinds, keys)


def new_timers():
    """With room for a few."""
    first, timers.FIRST_TIMERS = timers.FIRST_TIMERS, FIRST
    try:
        return Timers(new_books()[TIMERS])
    finally:
        timers.FIRST_TIMERS = first


class TimersMachine(RuleBasedStateMachine):
    """Timers beside a heap of tuples."""

    def __init__(self):
        super().__init__()
        self.timers = new_timers()
        self.expected = []

    @rule(row=rows)
    def set(self, row):
        self.timers.set(*row)
        heappush(self.expected, row)

    @rule(some=st.lists(rows, max_size=9))
    def reserve_and_add(self, some):
        """As a run of events does."""
        self.timers.reserve(len(some))
        for row in some:
            add(self.timers.line, *row)
            heappush(self.expected, row)

    @rule(row=rows)
    def set_twice(self, row):
        self.set(row)
        self.set(row)

    @precondition(lambda self: self.expected)
    @rule()
    def pop(self):
        assert heappop(self.expected) == pop(self.timers.line)

    @rule(stream_ms=times_ms)
    def pop_what_is_due(self, stream_ms):
        """Nothing is due at its deadline."""
        due = []
        while is_due(self.timers.line, stream_ms):
            due.append(pop(self.timers.line))
        expected = []
        while self.expected and self.expected[0][0] < stream_ms:
            expected.append(heappop(self.expected))
        assert expected == due

    @invariant()
    def has_as_many(self):
        assert len(self.expected) == self.timers.line[COUNT] <= self.timers.line[SIZE]

    def teardown(self):
        assert sorted(self.expected) == [pop(self.timers.line) for _ in self.expected]


TestTimers = TimersMachine.TestCase
TestTimers.__doc__ = "Whatever is set and taken, timers go off in order of deadline, kind and key."
TestTimers.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(st.integers(0, 100), st.integers(0, 100))
def test_there_is_room_for_an_event_and_all_repeats_that_wait(count, waiting):
    """Or there is said to be none."""
    books = new_books()
    held = Timers(books[TIMERS])
    books[TIMERS, COUNT] = held.line[SIZE] - count
    books[REPEATS, COUNT] = waiting
    assert (count >= ADDED + waiting) == has_room(books)


def test_nothing_is_due_of_none():
    """Whatever is left in the array of those that were taken out."""
    held = new_timers()
    held.set(5, 1, 2)
    assert (5, 1, 2) == pop(held.line)
    assert not is_due(held.line, 100)
