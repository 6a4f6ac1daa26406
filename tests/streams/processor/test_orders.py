"""Orders and refunds one by one; in any order of arrival they are in ``test_joins``."""

import pytest
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor, purchase, refund, view

from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.settings import State, Validity

HOUR_MS = 3_600_000
LATENESS_MS, ATTRIBUTION_MS, ORDER_LATENESS_MS, REFUND_MS = 10_000, 60_000, 20_000, 80_000
ECHO = {"decision_id": "views-0-0-0"}
CLICKED_MS = T0_MS + 2000
CLICKED = (view(T0_MS, slots="a"), exposure(T0_MS + 1000, **ECHO), click(CLICKED_MS, **ECHO))


def clicked_ad(settings=SETTINGS):
    """A processor whose user u1 has clicked an ad; what that brought is taken away."""
    processor = new_processor(settings)
    processor.process(arrivals(CLICKED))
    processor.output.take_committed()
    return processor


def followed(processor, *events):
    """Kind, revenue and delay of each outcome; id, label and weight of each example with a conversion."""
    processor.process(arrivals(events))
    processor.advance(T0_MS + HOUR_MS)
    outcomes, examples, _ = processor.output.take_committed()
    learned = [decode_example(value) for _, value in examples]
    return (
        [(o.kind, o.revenue_micros, o.delay_ms) for o in (decode_outcome(value) for _, value in outcomes)],
        [(e.example_id, e.label, e.weight) for e in learned if e.task == "cvr" and e.label],
    )


def test_a_whole_refund_takes_back_revenue_and_label():
    """The click that earned the order has earned nothing any more, and its example is taken back."""
    outcomes, examples = followed(
        clicked_ad(), purchase(T0_MS + 3000), refund(T0_MS + 9000, amount_micros=5_000_000)
    )
    assert [("purchase", 5_000_000, 1000), ("refund", -5_000_000, 6000)] == outcomes
    assert [("cvr-0-0-1", 1, 1.0), ("cvr-0-1-retracted", 1, -1.0)] == examples


def test_a_part_that_is_refunded_leaves_the_label():
    """Part by part revenue is taken back; with the last part the label goes, too."""
    processor = clicked_ad()
    parts = [refund(T0_MS + ms, amount_micros=2_500_000) for ms in (4000, 5000)]
    outcomes, examples = followed(processor, purchase(T0_MS + 3000), parts[0])
    assert [("purchase", 5_000_000, 1000), ("refund", -2_500_000, 1000)] == outcomes
    assert [("cvr-0-0-1", 1, 1.0)] == examples
    outcomes, examples = followed(clicked_ad(), purchase(T0_MS + 3000), *parts)
    assert [-2_500_000, -2_500_000] == [revenue for kind, revenue, _ in outcomes if kind == "refund"]
    assert ("cvr-0-2-retracted", 1, -1.0) == examples[-1]


def test_no_more_is_taken_back_than_the_order_brought():
    """What is paid back beyond the revenue, postage for example, is not the click's."""
    outcomes, examples = followed(
        clicked_ad(),
        purchase(T0_MS + 3000),
        refund(T0_MS + 4000, amount_micros=6_000_000),
        refund(T0_MS + 5000, amount_micros=1_000_000),
    )
    assert [("purchase", 5_000_000, 1000), ("refund", -5_000_000, 1000)] == outcomes
    assert 2 == len(examples)


def test_a_click_stays_converted_while_one_of_its_orders_is_left():
    """Two orders after a click are one positive example, which goes with the second refund."""
    orders = [purchase(T0_MS + 3000 + n, order_id=f"o{n}") for n in (1, 2)]
    refunds = [refund(T0_MS + 5000 + n, order_id=f"o{n}", amount_micros=5_000_000) for n in (1, 2)]
    _, examples = followed(clicked_ad(), *orders, refunds[0])
    assert [("cvr-0-0-1", 1, 1.0)] == examples
    _, examples = followed(clicked_ad(), *orders, *refunds)
    assert [("cvr-0-0-1", 1, 1.0), ("cvr-0-3-retracted", 1, -1.0)] == examples


@pytest.mark.parametrize("are_late", [False, True])
def test_orders_and_refunds_take_effect_in_the_order_of_their_times(are_late):
    """A refund shortly after another order comes second, also where all are too late to wait for anything."""
    processor = clicked_ad(replace(SETTINGS, validity=Validity(window_s=10.0)))
    if are_late:
        processor.advance(T0_MS + 40_000)
    orders = [purchase(T0_MS + ms, order_id=f"o{ms}") for ms in (3000, 8000)]
    paid_back = refund(T0_MS + 8500, order_id="o3000", amount_micros=5_000_000)
    _, examples = followed(processor, *orders, paid_back)
    assert [("cvr-0-0-1", 1, 1.0)] == examples


@pytest.mark.parametrize(("late_ms", "counts"), [(0, True), (1, False)])
def test_a_refund_counts_inside_its_window(late_ms, counts):
    """An order is remembered for refunds to the last millisecond of the window, and no longer."""
    bought_ms = T0_MS + 3000
    paid_back = refund(bought_ms + REFUND_MS + late_ms)
    processor = clicked_ad()
    outcomes, _ = followed(processor, purchase(bought_ms), paid_back)
    assert (["purchase", "refund"] if counts else ["purchase"]) == [kind for kind, *_ in outcomes]
    assert (not counts) == processor.state.counters["unmatched_refunds"]


@pytest.mark.parametrize(("late_ms", "finds"), [(0, True), (1, False)])
def test_an_order_that_arrives_late_finds_its_click(late_ms, finds):
    """A click is kept for orders inside its window that come later by as much as is set."""
    processor = clicked_ad()
    processor.advance(CLICKED_MS + ATTRIBUTION_MS + ORDER_LATENESS_MS + late_ms)
    outcomes, _ = followed(processor, purchase(CLICKED_MS + 30_000))
    assert ([("purchase", 5_000_000, 30_000)] if finds else []) == outcomes


def test_an_order_that_is_sent_again_counts_once():
    """The same order under another event id is a duplicate: no second outcome, no second spend."""
    processor = clicked_ad()
    outcomes, _ = followed(processor, purchase(T0_MS + 3000), purchase(T0_MS + 4000))
    assert [("purchase", 5_000_000, 1000)] == outcomes
    (profile,) = processor.state.profiles
    assert (1, 5_000_000) == (profile["purchases"], profile["spend_micros"])
    assert 1 == processor.state.counters["duplicates"]


def test_an_older_changelog_has_no_room_for_refunds():
    """While version 1 is written no order is remembered once it is settled, and a refund is counted."""
    processor = clicked_ad(replace(SETTINGS, state=State(write_version=1)))
    outcomes, _ = followed(processor, purchase(T0_MS + 3000), refund(T0_MS + 20_000))
    assert [("purchase", 5_000_000, 1000)] == outcomes
    assert (1, 0) == (processor.state.counters["unmatched_refunds"], len(processor.state.purchases))


def test_settled_orders_go_when_the_older_version_is_to_be_written():
    """An older release would settle them again; what refunds could still take back is given up."""
    processor = clicked_ad()
    processor.process(arrivals([purchase(T0_MS + 3000)]))
    processor.advance(T0_MS + 20_000)
    successor = new_processor(replace(SETTINGS, state=State(write_version=1)))
    successor.state.restore(processor.state.drain())
    successor.restored()
    assert (1, 0) == (len(processor.state.purchases), len(successor.state.purchases))


def test_a_refund_takes_nothing_from_a_click_that_has_the_key_of_the_one_that_earned():
    """The click that earned the order has made room, and one that earned nothing has its key."""
    processor = new_processor(replace(SETTINGS, state=State(max_clicks=1)))
    events = [
        exposure(T0_MS, event_id="x", propensity=0.5),
        click(T0_MS + 1000, exposure_id="x"),
        purchase(T0_MS + 2000),
        exposure(T0_MS + 51_000, event_id="y", propensity=0.5),
        click(T0_MS + 52_000, exposure_id="y"),
        refund(T0_MS + 52_500, amount_micros=5_000_000),
        click(T0_MS + 53_000, exposure_id="x"),
        view(T0_MS + 62_600),
    ]
    processor.process(arrivals(events))
    (waiting,) = processor.state.clicks
    kinds = {decode_outcome(value).kind for _, value in processor.output.outcomes}
    assert (T0_MS + 53_000, 0) == (waiting["ts_ms"], waiting["converted"])
    assert {"exposure", "click", "purchase"} == kinds
    assert 1 == processor.state.counters["unmatched_refunds"]
