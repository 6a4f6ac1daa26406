from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor, purchase, refund, view

from models.profiles import DAY_MS
from schemas.catalog import Rate, Shop
from schemas.dead_letters import decode_dead_letter
from schemas.decisions import decode_decision
from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from schemas.topics import INPUTS
from streams.bench.mix import generate
from streams.processor.arrival import Arrival, decode
from streams.processor.processor import Processor
from streams.settings import Processing, State
from streams.state.rows import encode_rows

EVENTS = 1200
# The mix sends 100 events a second: windows that close within its 12 seconds.
MIX_SETTINGS = replace(
    SETTINGS,
    processing=Processing(
        lateness_s=0.5, request_window_s=4, click_window_s=2, attribution_window_s=6, max_ahead_s=10
    ),
)


@cache
def mix():
    """The standard mix on one partition, every tenth record of it broken, and its catalogue."""
    generated = generate(EVENTS, seed=1, partitions=1)
    found = [
        decode(topic, 0, offset, ts_ms, value[:-1] if offset % 10 == 9 else value, 10_000)
        for topic, name in enumerate(topic.name for topic in INPUTS)
        for offset, (_, value, ts_ms) in enumerate(generated.records[name, 0])
    ]
    return sorted(found, key=lambda arrival: arrival.ts_ms), generated.catalog


def new_mix_processor() -> Processor:
    return new_processor(MIX_SETTINGS, mix()[1], weights_seed=1)


def outputs(processor):
    """Everything a processor has said, as bytes."""
    output = processor.output
    return {
        name: list(getattr(output, name)) for name in ("decisions", "outcomes", "examples", "dead_letters")
    }


def pending(processor):
    """Every row of every pool, by key."""
    return [{int(row["key"]): encode_rows(np.array([row])) for row in pool} for pool in processor.state.pools]


def test_the_same_events_give_the_same_bytes():
    """Two runs over the same events say and remember the same, byte for byte."""
    arrived, _ = mix()
    runs = [new_mix_processor(), new_mix_processor()]
    for processor in runs:
        processor.process(arrived)
    assert outputs(runs[0]) == outputs(runs[1])
    assert runs[0].state.drain() == runs[1].state.drain()
    assert all(outputs(runs[0]).values())


@given(st.lists(st.integers(0, EVENTS), max_size=3))
@settings(max_examples=15)
def test_a_restart_at_any_checkpoint_changes_nothing(cuts):
    """A processor that is restored from its changelog goes on as the one that never stopped."""
    arrived, _ = mix()
    steady, said = new_mix_processor(), {}
    restarted, changelog = new_mix_processor(), []
    start = 0
    for cut in [*sorted(cuts), EVENTS]:
        steady.process(arrived[start:cut])
        restarted.process(arrived[start:cut])
        records = restarted.state.drain()
        assert steady.state.drain() == records
        changelog += records
        for name, messages in outputs(restarted).items():
            said[name] = said.get(name, []) + messages
        restarted = new_mix_processor()
        restarted.state.restore(changelog)
        restarted.restored()
        start = cut
    assert outputs(steady) == said


def test_duplicates_have_no_second_effect():
    """Events that come again, in any place behind the first copy, change nothing but their counter."""
    arrived, _ = mix()
    usable = [arrival for arrival in arrived if arrival.event is not None]
    copies = [Arrival(one.topic, 0, one.offset + EVENTS, one.ts_ms, one.raw, one.event) for one in usable]
    once, twice = new_mix_processor(), new_mix_processor()
    once.process(usable)
    for first in range(0, len(usable), 100):
        twice.process(usable[first : first + 100])
        twice.process(copies[max(first - 50, 0) : first + 50])
    twice.process(copies)
    assert outputs(once) == outputs(twice)
    assert pending(once) == pending(twice)
    changed = {name for name, count in once.state.counters.items() if twice.state.counters[name] != count}
    # A copy of an event that is late by now counts as late again.
    assert {"events", "duplicates"} <= changed <= {"events", "duplicates", "late"}


def test_every_output_is_of_its_schema():
    """Decisions, outcomes, examples and dead letters decode as promised, each under its own identity."""
    processor = new_mix_processor()
    processor.process(mix()[0])
    decoders = {
        "decisions": (decode_decision, lambda record: record.decision_id),
        "outcomes": (decode_outcome, lambda record: record.outcome_id),
        "examples": (decode_example, lambda record: record.example_id),
        "dead_letters": (decode_dead_letter, lambda record: (record.topic, record.offset)),
    }
    for name, messages in outputs(processor).items():
        decoder, identity = decoders[name]
        assert len(messages) == len({identity(decoder(value)) for _, value in messages}), name


def test_broken_records_become_dead_letters_and_nothing_else():
    """The events around a broken record fare as they do without it; the letter has its bytes and place."""
    arrived, _ = mix()
    broken = [arrival for arrival in arrived if arrival.event is None]
    with_broken, without = new_mix_processor(), new_mix_processor()
    with_broken.process(arrived)
    without.process(arrival for arrival in arrived if arrival.event is not None)
    said, expected = outputs(with_broken), outputs(without)
    letters = [decode_dead_letter(value) for _, value in said.pop("dead_letters")]
    assert [] == expected.pop("dead_letters")
    assert expected == said
    assert pending(without) == pending(with_broken)
    assert [
        (INPUTS[one.topic].name, 0, one.offset, one.ts_ms, "Input data was truncated", one.raw)
        for one in broken
    ] == [(one.topic, one.partition, one.offset, one.ts_ms, one.reason, one.raw) for one in letters]
    assert without.state.counters | {"dead_letters": len(broken)} == with_broken.state.counters


@pytest.mark.parametrize("event", [purchase(T0_MS, currency="GBP"), refund(T0_MS, currency="GBP")])
def test_an_unknown_currency_is_a_dead_letter_until_there_is_a_rate(event):
    """An amount that cannot be converted changes no profile; sent again after the rate came, it counts."""
    processor = new_processor()
    processor.process(arrivals([event]))
    ((_, value),) = processor.output.dead_letters
    expected = "Expected `USD` or a currency with a rate in the catalogue, got `GBP` - at `$.currency`"
    assert expected == decode_dead_letter(value).reason
    assert not any(pending(processor))
    processor.catalog.put(Shop("main", "USD", rates=(Rate("GBP", "2025-01-01", 2_000_000),)))
    processor.process(arrivals([event]))
    (profile,) = processor.state.profiles
    assert 2 * event.amount_micros == abs(profile["spend_micros"])


def test_counters_say_what_was_seen():
    """Each event is counted once, under its kind."""
    processor = new_processor()
    events = [
        view(T0_MS, slots="ap"),
        exposure(T0_MS, decision_id="views-0-0-0"),
        exposure(T0_MS, decision_id="unknown"),
        click(T0_MS, decision_id="views-0-0-0"),
        click(T0_MS, kind="item", item_id="i1"),
        purchase(T0_MS),
        refund(T0_MS),
    ]
    processor.process(arrivals(events))
    counted = {name: count for name, count in processor.state.counters.items() if count}
    assert {
        "events": 7,
        "views": 1,
        "slots": 2,
        "decisions": 2,
        "exposures": 2,
        "unmatched_exposures": 1,
        "invalid_no_decision": 1,
        "clicks": 2,
        "ad_clicks": 1,
        "purchases": 1,
        "refunds": 1,
    } == counted
    assert [3, 2, 2] == processor.state.offsets


def test_an_event_behind_the_horizon_is_counted_as_late_and_still_used():
    """Beyond the horizon an event joins nothing for sure, but it is part of the profile."""
    processor = new_processor()
    processor.process(arrivals([view(T0_MS + 10_001), view(T0_MS + 1), view(T0_MS)]))
    (profile,) = processor.state.profiles
    assert (1, 3) == (processor.state.counters["late"], profile["views"])


def test_stream_time_never_goes_back():
    """Neither a late event nor a tick of the past moves the stream time."""
    processor = new_processor()
    processor.process(arrivals([view(T0_MS), view(T0_MS - 5)]))
    processor.advance(T0_MS - 1)
    assert T0_MS == processor.state.stream_ms


def test_users_of_two_shops_are_two_users():
    """The same user id in another shop has a profile of its own, and event ids are those of a shop."""
    processor = new_processor()
    processor.process(arrivals([view(T0_MS, shop_id=shop, event_id="e") for shop in ("main", "other")]))
    assert [1, 1] == [profile["views"] for profile in processor.state.profiles]
    assert 0 == processor.state.counters["duplicates"]


def test_a_user_who_was_away_too_long_starts_anew():
    """A profile that nobody needs for ``profile_ttl_s`` is forgotten; the next event begins another."""
    processor = new_processor(replace(SETTINGS, state=State(profile_ttl_s=86400)))
    processor.process(arrivals([view(T0_MS), view(T0_MS + 1), view(T0_MS + 3 * DAY_MS)]))
    (profile,) = processor.state.profiles
    assert (1, T0_MS + 3 * DAY_MS) == (profile["views"], profile["first_ms"])
