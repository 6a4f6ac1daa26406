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


@pytest.mark.parametrize(("name", "room"), [("MAX_RESULTS", 3), ("MAX_SCORES", 64)])
def test_a_full_tape_is_played_first(monkeypatch, name, room):
    """With room for a few results or scores only, in the middle of an event, the bytes are the same."""
    expected = processed()
    monkeypatch.setattr(tape, name, room)
    assert expected == processed()


def test_rows_that_make_room_have_been_brought_up_to_date():
    """Which profiles go when the pool is full depends on their newest events, also on those just noted."""
    small = replace(BY_DEFAULT, state=State(max_profiles=100, max_requests=40, max_exposures=50))
    assert processed(range(len(ARRIVALS)), small) == processed((), small)
