from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from traffic import SETTINGS, new_processor

from models.profiles import DAY_MS
from schemas.topics import INPUTS
from streams.bench.mix import generate
from streams.processor import tape
from streams.processor.arrival import decode
from streams.processor.rankings import CANDIDATE_TEXT, SHARES_TEXT
from streams.processor.records import EXAMPLE_TEXT, RESERVE
from streams.processor.tape import run
from streams.settings import Learning, State

MIX = generate(3000, seed=5, partitions=1)
ARRIVALS = sorted(
    (
        decode(number, 0, offset, ts_ms, value, 10**9)
        for number, topic in enumerate(INPUTS)
        for offset, (_, value, ts_ms) in enumerate(MIX.records[topic.name, 0])
    ),
    key=lambda arrival: arrival.event.ts_ms,
)
BY_DEFAULT = replace(SETTINGS, learning=Learning(bits=10))


def processed(cuts=(), settings=BY_DEFAULT):
    """All that a processor says of the mix, in runs that end at these places, and its changelog."""
    processor = new_processor(settings, MIX.catalog, weights_seed=1)
    for start, end in pairwise((0, *sorted(cuts), len(ARRIVALS))):
        processor.process(ARRIVALS[start:end])
    processor.advance(ARRIVALS[-1].event.ts_ms + DAY_MS // 2)
    return processor.output.take_decisions(), processor.output.take_committed(), processor.state.drain()


@given(st.lists(st.integers(0, len(ARRIVALS)), max_size=40))
@settings(max_examples=10, deadline=None)
def test_it_makes_no_difference_where_a_run_of_events_ends(cuts):
    """Whatever is noted together gives the same bytes as what is done event by event."""
    assert processed() == processed(cuts)


def test_each_event_by_itself_gives_the_same():
    """The extreme case: the kernel is called after each event."""
    assert processed() == processed(range(len(ARRIVALS)))


@pytest.fixture
def runs(monkeypatch):
    """Where each run has ended, and how many notes there were."""
    ends = []

    def counting(books, notes, at, *others):
        ends.append((run(books, notes, at, *others), len(notes)))
        return ends[-1][0]

    monkeypatch.setattr(tape, "run", counting)
    return ends


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("rankings.MAX_RANKINGS", 3),
        ("rankings.MAX_SCORES", 64),
        ("rankings.MAX_TEXT", 3 * (SHARES_TEXT + 64 * CANDIDATE_TEXT)),
        ("records.FIRST_RECORDS", RESERVE + 3),
        ("records.FIRST_TEXT", RESERVE * EXAMPLE_TEXT + 2000),
    ],
)
def test_a_run_stops_where_there_is_no_room(monkeypatch, runs, name, room):
    """With room for a few rankings, scores or records only, what is left is done next, to the same bytes."""
    expected, whole = processed(), len(runs)
    assert all(end == size for end, size in runs)
    monkeypatch.setattr(f"streams.processor.{name}", room)
    runs.clear()
    assert expected == processed()
    assert whole == sum(end == size for end, size in runs)
    assert 10 < sum(end < size for end, size in runs)


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("streams.state.pool.FIRST_SLOTS", 1),
        ("streams.state.chain_index.FIRST_OWNERS", 1),
        ("streams.processor.timers.FIRST_TIMERS", 1),
    ],
)
@pytest.mark.parametrize("cuts", [(), range(0, len(ARRIVALS), 7)])
def test_arrays_that_grow_make_no_difference(monkeypatch, name, room, cuts):
    """Kernels find what was moved to a larger one."""
    expected = processed()
    monkeypatch.setattr(name, room)
    assert expected == processed(cuts)


def test_rows_that_make_room_have_been_brought_up_to_date():
    """Which profiles go when the pool is full depends on their newest events, also on those just noted."""
    small = replace(BY_DEFAULT, state=State(max_profiles=100, max_requests=40, max_exposures=50))
    assert processed(range(len(ARRIVALS)), small) == processed((), small)
