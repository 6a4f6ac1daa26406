"""Invalid traffic: all rules at once, in any order of arrival."""

from collections import Counter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from judging import (
    CLICK_MS,
    END_MS,
    LATENESS_MS,
    MAX_CLICKS,
    MIN_DELAY_MS,
    PANE_MS,
    STRICT,
    label_changes,
    labels,
    taken,
)
from traffic import T0_MS, TOPICS, click, exposure, new_processor, purchase, refund

from models.hashing import stable_key
from streams.processor.arrival import Arrival

MAX_KEY = 2**63 - 1
"""Above all keys."""


class Pressed(NamedTuple):
    """A click, by a user on an exposure."""

    number: int
    user: str
    exposure: int
    ts_ms: int


class Bought(NamedTuple):
    """An order, and when all of it was paid back; None where it was kept."""

    number: int
    user: str
    ts_ms: int
    refunded_ms: int | None

    @property
    def key(self):
        """Of orders at the same time the one with the lower key comes first."""
        return stable_key(f"o{self.number}", seed=stable_key(self.user, seed=stable_key("main")))


@st.composite
def mixtures(draw):
    """When exposures were shown to whom, clicks on them and on nothing, and orders."""
    shown_ms = draw(st.lists(st.integers(0, 12_000), min_size=1, max_size=6))
    exposures = [(f"u{draw(st.integers(1, 2))}", T0_MS + ms) for ms in shown_ms]
    delays_ms = st.sampled_from([-1001, -1, 0, 99, 100, 300, 600, 1500, 2500, 6000, CLICK_MS, CLICK_MS + 1])
    pressed = []
    for number in range(draw(st.integers(0, 12))):
        place = draw(st.integers(0, len(exposures)))
        user, ts_ms = exposures[place] if place < len(exposures) else ("u1", T0_MS + 5000)
        pressed.append(Pressed(number, user, place, ts_ms + draw(delays_ms)))
    times_ms = st.integers(T0_MS, T0_MS + 60_000)
    if pressed:
        times_ms |= st.sampled_from([each.ts_ms for each in pressed])
    orders = []
    for number in range(3):
        user, ts_ms = f"u{draw(st.integers(1, 2))}", draw(times_ms)
        after_ms = draw(st.none() | st.sampled_from([3, 1000, 5000, 20_000]))
        # A millisecond of its own for each refund: of two at the same time none would be the last.
        refunded_ms = None if after_ms is None else (ts_ms + after_ms) // 3 * 3 + number
        orders.append(Bought(number, user, ts_ms, refunded_ms))
    return exposures, pressed, orders


def arriving(mixture, lateness):
    """Its events in order of arrival."""
    exposures, pressed, orders = mixture
    found = []

    def tell(offset, event):
        arrival = Arrival(TOPICS[type(event)], 0, offset, event.ts_ms, b"", event)
        found.append((event.ts_ms + next(lateness), len(found), arrival))

    for number, (user, ts_ms) in enumerate(exposures):
        tell(number, exposure(ts_ms, user, event_id=f"x{number}", propensity=0.5))
    for each in pressed:
        tell(each.number, click(each.ts_ms, each.user, exposure_id=f"x{each.exposure}"))
    for each in orders:
        order = {"order_id": f"o{each.number}", "amount_micros": 5_000_000}
        tell(each.number, purchase(each.ts_ms, each.user, **order))
        if each.refunded_ms is not None:
            tell(100 + each.number, refund(each.refunded_ms, each.user, **order))
    return [arrival for _, _, arrival in sorted(found, key=lambda one: one[:2])]


def expected_of(mixture):
    """Billed exposures, net labels of click-through, and what earned each order with its examples.

    All is read from the whole. The orders are left open where one exposure has several valid clicks (which of
    them counts is not said) or valid clicks come at the same time (none of them is the last).
    """
    exposures, pressed, orders = mixture
    panes = Counter((each.user, each.ts_ms // PANE_MS) for each in pressed)

    def is_valid(each):
        if each.exposure == len(exposures):
            return False
        here = (each.user, each.ts_ms // PANE_MS)
        beside = max(panes[here[0], here[1] + place] for place in (-1, 1))
        delay_ms = each.ts_ms - exposures[each.exposure][1]
        return MIN_DELAY_MS <= delay_ms <= CLICK_MS and panes[here] + beside <= MAX_CLICKS

    valid = [each for each in pressed if is_valid(each)]
    billed = {each.exposure for each in valid}
    net = {(f"ctr-0-{number}", int(number in billed)): 1 for number in range(len(exposures))}
    earned, turns = {}, []
    for order in orders:
        before = [(each.ts_ms, each.exposure) for each in valid if each.user == order.user]
        before = [one for one in before if 0 <= order.ts_ms - one[0] <= 60_000]
        if not before:
            continue
        earned[order.number] = exposure = max(before)[1]
        turns.append((order.ts_ms, order.key, exposure, 1, f"cvr-0-{order.number}-1"))
        if order.refunded_ms is not None:
            refunded = f"cvr-0-{100 + order.number}-retracted"
            turns.append((order.refunded_ms, MAX_KEY, exposure, -1, refunded))
    is_open = len(valid) > len(billed) or len({each.ts_ms for each in valid}) < len(valid)
    return billed, net, None if is_open else (earned, sorted(label_changes(turns)))


def came_of(processor):
    """What ``expected_of`` says, from what the processor has said; each record under its own identity."""
    outcomes, examples = taken(processor)
    assert len(outcomes) == len({o.outcome_id for o in outcomes})
    assert len(examples) == len({each.example_id for each in examples})
    bill = Counter()
    for o in outcomes:
        if o.kind == "credit" or (o.kind == "click" and not o.invalid):
            bill[int(o.exposure_id.split("-")[2])] += -1 if o.kind == "credit" else 1
    assert set(bill.values()) <= {0, 1}
    billed = {number for number, count in bill.items() if count}
    net = labels(examples)
    conversions = [weight for (name, label), weight in net.items() if (name[:3], label) == ("cvr", 0)]
    assert [1.0] * len(billed) == conversions
    clickthrough = {key: weight for key, weight in net.items() if key[0].startswith("ctr")}
    earned = {int(o.order_id[1:]): int(o.exposure_id.split("-")[2]) for o in outcomes if o.kind == "purchase"}
    converted = [(each.example_id, each.weight) for each in examples if each.task == "cvr" and each.label]
    return billed, clickthrough, (earned, sorted(converted))


LATENESS = st.lists(st.integers(0, 4).map(lambda part: part * LATENESS_MS // 4), min_size=24, max_size=24)


@given(mixtures(), LATENESS)
def test_any_order_of_arrival_comes_to_the_same_labels_and_bill(mixture, lateness):
    """What is left after credits is what a reader of it all would say, whatever came late by how much."""
    processor = new_processor(STRICT)
    processor.process(arriving(mixture, iter(lateness)))
    processor.advance(END_MS)
    billed, net, bought = expected_of(mixture)
    said = came_of(processor)
    assert (billed, net) == said[:2]
    assert bought is None or bought == said[2]


@given(mixtures(), LATENESS)
def test_every_click_has_an_outcome(mixture, lateness):
    """Never silently dropped: a click on an ad is told once, as valid or with a reason that is counted."""
    processor = new_processor(STRICT)
    processor.process(arriving(mixture, iter(lateness)))
    processor.advance(END_MS)
    outcomes, _ = taken(processor)
    counters = processor.state.counters
    assert counters["ad_clicks"] == sum(o.kind == "click" for o in outcomes)
    reasons = Counter(o.invalid for o in outcomes if o.invalid)
    assert reasons == {reason: counters[f"invalid_{reason}"] for reason in reasons}
    assert reasons.total() == sum(n for name, n in counters.items() if name.startswith("invalid_"))


@given(mixtures(), LATENESS, st.integers(0, 20), st.integers(0, 20_000))
def test_a_restart_before_the_verdict_changes_nothing(mixture, lateness, cut, waited_ms):
    """Whatever is pending at a checkpoint goes on from the changelog, to the same bytes."""
    arrived = arriving(mixture, iter(lateness))
    steady, before, after = (new_processor(STRICT) for _ in range(3))
    for processor, part in ((steady, arrived[:cut]), (before, arrived[:cut])):
        processor.process(part)
        processor.advance(processor.state.stream_ms + waited_ms)
    after.state.restore(before.state.drain())
    after.restored()
    for processor in (steady, after):
        processor.process(arrived[cut:])
        processor.advance(END_MS)
    assert steady.output.outcomes == before.output.outcomes + after.output.outcomes
    assert steady.output.examples == before.output.examples + after.output.examples
    assert steady.state.counters == after.state.counters
    assert not any(len(pool) for pool in after.state.pools if pool is not after.state.profiles)


@given(mixtures(), LATENESS, st.integers(1, 9))
def test_how_often_time_is_told_makes_no_difference(mixture, lateness, seconds):
    """Verdicts follow event time: ticks in small steps come to the same bytes as one leap."""
    arrived = arriving(mixture, iter(lateness))
    leaping, ticking = new_processor(STRICT), new_processor(STRICT)
    for processor in (leaping, ticking):
        processor.process(arrived)
    for ms in range(T0_MS, T0_MS + 200_000, seconds * 1000):
        ticking.advance(ms)
    for processor in (leaping, ticking):
        processor.advance(END_MS)
    assert leaping.output.outcomes == ticking.output.outcomes
    assert leaping.output.examples == ticking.output.examples
