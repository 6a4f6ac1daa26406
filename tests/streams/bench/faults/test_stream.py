"""The disturbed stream."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Exposure, View
from schemas.topics import INPUTS, PURCHASES
from streams.bench.faults.stream import DUPLICATE_SHARE, OUT_OF_ORDER_SHARE, POISON, SHIFT_MS, disturb
from streams.bench.mix import Mix, generate
from streams.processor.arrival import DECODERS, decode

EVENTS = 20_000
PARTITIONS = 3
seeds = st.integers(min_value=0, max_value=2**32)


@pytest.fixture(scope="module")
def mix() -> Mix:
    """What is disturbed."""
    return generate(EVENTS, 1, PARTITIONS)


def test_shares_are_as_stated(mix: Mix) -> None:
    """2% come twice, 5% too late, and what is added is counted."""
    disturbed = disturb(mix, 1, skewed=False)
    counts = disturbed.disturbances
    assert DUPLICATE_SHARE == pytest.approx(counts.duplicates / EVENTS, rel=0.2)
    assert OUT_OF_ORDER_SHARE == pytest.approx(counts.out_of_order / EVENTS, rel=0.2)
    assert counts.events == sum(map(len, disturbed.mix.records.values()))
    assert counts.events == EVENTS + counts.duplicates + counts.resent + counts.refunds + counts.poison
    assert counts.refunds > 10


@given(seeds)
@settings(max_examples=3)
def test_no_event_is_lost(seed: int) -> None:
    """Every event of the mix is there, poison apart, on its partition, by its key."""
    mix = generate(2000, 1, PARTITIONS)
    for place, rows in disturb(mix, seed, skewed=True).mix.records.items():
        events = {event_id(place[0], value) for _, value, _ in rows if value not in POISON}
        refunds = {each for each in events if each.startswith("r-")}
        assert {event_id(place[0], value) for _, value, _ in mix.records[place]} == events - refunds


def test_exposures_name_the_request_that_asked(mix: Mix) -> None:
    """Offsets have moved: a decision that is shown is still one that the same user's page view asks for."""
    records = disturb(mix, 1, skewed=False).mix.records
    named = 0
    for partition in range(PARTITIONS):
        views = [decode(0, partition, 0, -1, value, 0).event for _, value, _ in records["views", partition]]
        for exposure in views:
            if isinstance(exposure, Exposure) and exposure.decision_id:
                _, its_partition, offset, index = exposure.decision_id.split("-")
                request = views[int(offset)]
                assert isinstance(request, View)
                assert (str(partition), exposure.user_id) == (its_partition, request.user_id)
                assert int(index) < len(request.slots)
                named += 1
    assert named > 1000


def test_poison_is_no_event_on_any_topic() -> None:
    """Every kind of poison becomes a dead letter wherever it lies."""
    for topic in range(len(INPUTS)):
        assert [] == [value for value in POISON if decode(topic, 0, 0, -1, value, 0).event is not None]


def test_only_skewed_purchases_come_much_too_late(mix: Mix) -> None:
    """Purchases lag up to an hour; all else comes in step, within the shift."""
    late_ms: Counter[str] = Counter()
    disturbed = disturb(mix, 1, skewed=True)
    for (topic, _), rows in disturbed.mix.records.items():
        seen: set[str] = set()
        for _, value, comes_ms in rows:
            if value in POISON or event_id(topic, value) in seen:
                continue
            seen.add(event_id(topic, value))
            event = DECODERS[[each.name for each in INPUTS].index(topic)](value)
            late_ms[topic] = max(late_ms[topic], comes_ms - event.ts_ms)
    lag_ms = late_ms.pop(PURCHASES.name)
    assert 10 * SHIFT_MS < lag_ms < 3_600_000
    assert max(late_ms.values()) < SHIFT_MS


def test_the_same_seed_gives_the_same_bytes(mix: Mix) -> None:
    """A seed that fails can be run again."""
    assert disturb(mix, 7, skewed=True) == disturb(mix, 7, skewed=True)


def event_id(topic: str, value: bytes) -> str:
    return DECODERS[[each.name for each in INPUTS].index(topic)](value).event_id
