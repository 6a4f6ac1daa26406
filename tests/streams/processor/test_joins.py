from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import label_changes
from traffic import T0_MS, TOPICS, arrivals, click, exposure, new_processor, purchase, refund, view

from models.hashing import stable_key
from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.processor.arrival import Arrival

LATENESS_MS, REQUEST_MS, CLICK_MS, ATTRIBUTION_MS = 10_000, 40_000, 30_000, 60_000
REVENUE_MICROS, REFUNDS_MICROS = 5_000_000, [2_000_000, 5_000_000, 6_000_000]
END_MS = T0_MS + 10**7
OWN, FOREIGN, FORGED = "own", "foreign", "forged"
MAX_KEY = 2**63 - 1
"""Behind every key: a refund is taken after the orders of its millisecond."""


class Journey(NamedTuple):
    """From a page view to clicks, as far as it went; None where it ended before."""

    number: int
    source: str
    user: str
    stranger: str
    viewed_ms: int
    shown_ms: int | None
    clicked_ms: int | None
    stranger_clicked_ms: int | None

    @property
    def echo(self):
        """What names the choice in a click."""
        if self.source == FOREIGN:
            return {"exposure_id": f"x{self.number}"}
        return {"decision_id": f"views-0-{self.number + (900 if self.source == FORGED else 0)}-0"}


class Order(NamedTuple):
    """An order of 5 units, and what of it was paid back; None where it was kept."""

    number: int
    user: str
    ts_ms: int
    refunded_ms: int | None
    refund_micros: int

    @property
    def place_in_queue(self):
        """Orders are settled by their times; of equal ones the key decides."""
        return self.ts_ms, stable_key(f"o{self.number}", seed=stable_key(self.user, seed=stable_key("main")))


@st.composite
def journeys(draw, number):
    user, stranger = draw(st.permutations(["u1", "u2"]))
    # A millisecond of its own for each journey: of two clicks at the same time none would be the last.
    viewed_ms = T0_MS + 5000 * draw(st.integers(0, 9)) + number
    after_ms = st.sampled_from([0, 1000, 10_000, 30_000, 30_001, 40_000, 40_001])
    shown_ms = draw(st.none() | after_ms.map(lambda ms: viewed_ms + ms))
    clicked_ms = stranger_clicked_ms = None
    if shown_ms is not None:
        clicks = st.none() | (after_ms | st.just(-1)).map(lambda ms: shown_ms + ms)
        clicked_ms, stranger_clicked_ms = draw(clicks), draw(clicks)
    source = draw(st.sampled_from([OWN, OWN, FOREIGN, FORGED]))
    return Journey(number, source, user, stranger, viewed_ms, shown_ms, clicked_ms, stranger_clicked_ms)


@st.composite
def stories(draw):
    """Journeys and orders of two users."""
    found = [draw(journeys(number)) for number in range(draw(st.integers(1, 4)))]
    after_ms = st.sampled_from([-1, 0, 5000, 60_000, 60_001])
    times_ms = [j.clicked_ms for j in found if j.clicked_ms is not None] or [T0_MS]
    orders = []
    for number in range(draw(st.integers(0, 4))):
        user, ts_ms = draw(st.sampled_from(["u1", "u2"])), draw(st.sampled_from(times_ms)) + draw(after_ms)
        # A millisecond of its own for each refund, as above.
        refund_after_ms = draw(st.none() | st.sampled_from([0, 5000, 20_000]))
        refunded_ms = None if refund_after_ms is None else ts_ms + refund_after_ms + number
        orders.append(Order(number, user, ts_ms, refunded_ms, draw(st.sampled_from(REFUNDS_MICROS))))
    return found, orders


def told(story, lateness):
    """The events of a story in order of arrival, each by its part of the lateness horizon late.

    A view is on time: nothing can be shown before it has been decided.
    """
    found = []

    def tell(offset, event, late):
        arrival = Arrival(TOPICS[type(event)], 0, offset, event.ts_ms, b"", event)
        found.append((event.ts_ms + late, len(found), arrival))

    for journey in story[0]:
        number, user = journey.number, journey.user
        if journey.source == OWN:
            tell(number, view(journey.viewed_ms, user, slots="a"), 0)
        if journey.shown_ms is not None:
            shown = {"propensity": 0.5} if journey.source == FOREIGN else journey.echo
            tell(
                100 + number, exposure(journey.shown_ms, user, event_id=f"x{number}", **shown), next(lateness)
            )
        if journey.clicked_ms is not None:
            tell(number, click(journey.clicked_ms, user, **journey.echo), next(lateness))
        if journey.stranger_clicked_ms is not None:
            tell(
                100 + number,
                click(journey.stranger_clicked_ms, journey.stranger, **journey.echo),
                next(lateness),
            )
    for order in story[1]:
        order_id = f"o{order.number}"
        tell(order.number, purchase(order.ts_ms, order.user, order_id=order_id), next(lateness))
        if order.refunded_ms is not None:
            paid_back = refund(
                order.refunded_ms, order.user, order_id=order_id, amount_micros=order.refund_micros
            )
            tell(100 + order.number, paid_back, next(lateness))
    return [arrival for _, _, arrival in sorted(found, key=lambda one: one[:2])]


def settled(story):
    """What must come of a story, by reading it with all of it at hand."""
    outcomes, examples, clicks = [], [], []
    for journey in story[0]:
        is_known = journey.source == FOREIGN or (
            journey.source == OWN
            and journey.shown_ms is not None
            and journey.shown_ms <= journey.viewed_ms + REQUEST_MS
        )
        if journey.shown_ms is None or not is_known:
            continue
        number = journey.number
        decision_id = journey.echo.get("decision_id", "")
        outcomes.append((f"exposure-views-0-{100 + number}", decision_id, "ad0", 0))
        delay_ms = -1 if journey.clicked_ms is None else journey.clicked_ms - journey.shown_ms
        is_clicked = 0 <= delay_ms <= CLICK_MS
        examples.append((f"ctr-0-{100 + number}-{int(is_clicked)}", int(is_clicked)))
        if is_clicked:
            outcomes.append((f"click-clicks-0-{number}", decision_id, "ad0", 0))
            examples.append((f"cvr-0-{number}-0", 0))
            clicks.append(journey)
    turns = []
    for order in story[1]:
        earning = [
            j for j in clicks if j.user == order.user and 0 <= order.ts_ms - j.clicked_ms <= ATTRIBUTION_MS
        ]
        if not earning:
            continue
        last = max(earning, key=lambda journey: journey.clicked_ms)
        decision_id = last.echo.get("decision_id", "")
        outcomes.append((f"purchase-purchases-0-{order.number}", decision_id, "ad0", REVENUE_MICROS))
        turns.append((*order.place_in_queue, last.number, 1, f"cvr-0-{order.number}-1"))
        if order.refunded_ms is not None:
            back_micros, offset = min(order.refund_micros, REVENUE_MICROS), 100 + order.number
            outcomes.append((f"refund-purchases-0-{offset}", decision_id, "ad0", -back_micros))
            if back_micros == REVENUE_MICROS:
                turns.append((order.refunded_ms, MAX_KEY, last.number, -1, f"cvr-0-{offset}-retracted"))
    return sorted(outcomes), sorted([*examples, *label_changes(turns)])


def said(processor):
    """Identity, decision, ad and revenue of each valid outcome; identity and signed label of each example."""
    outcomes, examples, _ = processor.output.take_committed()
    return (
        sorted(
            (o.outcome_id, o.decision_id, o.ad_id, o.revenue_micros)
            for o in map(decode_outcome, values(outcomes))
            if not o.invalid
        ),
        sorted((e.example_id, int(e.label * e.weight)) for e in map(decode_example, values(examples))),
    )


def values(messages):
    return [value for _, value in messages]


@given(stories(), st.lists(st.integers(0, 4), min_size=20, max_size=20))
def test_any_order_of_arrival_inside_the_horizon_comes_to_the_same(story, quarters):
    """Windows, users, forged ids and last-click attribution: the joins say what a reader of it all would."""
    processor = new_processor()
    processor.process(told(story, (LATENESS_MS // 4 * quarter for quarter in quarters)))
    processor.advance(END_MS)
    assert settled(story) == said(processor)


@given(stories(), st.integers(0, 20))
def test_restoring_between_any_two_events_changes_nothing(story, cut):
    """What is pending at a checkpoint goes on from the changelog as if nothing had happened."""
    told_arrivals = told(story, iter([0] * 20))
    before, after = told_arrivals[:cut], told_arrivals[cut:]
    processor, successor = new_processor(), new_processor()
    processor.process(before)
    successor.state.restore(processor.state.drain())
    successor.restored()
    successor.output.outcomes, successor.output.examples, _ = processor.output.take_committed()
    successor.process(after)
    successor.advance(END_MS)
    assert settled(story) == said(successor)


def shown_ad(**fields):
    """A processor that has decided on a placement at T0 and seen its exposure a second later."""
    processor = new_processor()
    processor.process(
        arrivals([view(T0_MS, slots="a"), exposure(T0_MS + 1000, decision_id="views-0-0-0", **fields)])
    )
    return processor


def test_an_exposure_is_a_negative_example_after_window_and_lateness():
    """Until no click can come any more there is no label; then there is one."""
    processor = shown_ad()
    last_ms = T0_MS + 1000 + CLICK_MS + LATENESS_MS
    processor.advance(last_ms)
    assert [] == processor.output.examples
    processor.advance(last_ms + 1)
    ((_, value),) = processor.output.examples
    example = decode_example(value)
    assert ("ctr-0-1-0", 0, T0_MS + 1000, "own") == (
        example.example_id,
        example.label,
        example.ts_ms,
        example.source,
    )


def test_an_outcome_says_what_was_shown_where_and_how_long_it_took():
    """Exposure, click and order of one decision, each with its own part of the facts."""
    processor = shown_ad(slot_id="top", position=2, ad_id="ad3")
    processor.process([Arrival(1, 0, 7, 0, b"", click(T0_MS + 5000, decision_id="views-0-0-0"))])
    processor.process([Arrival(2, 0, 8, 0, b"", purchase(T0_MS + 9000, currency="EUR"))])
    processor.advance(END_MS)
    shown, clicked, bought = (decode_outcome(value) for _, value in processor.output.outcomes)
    same = {
        (o.decision_id, o.exposure_id, o.ad_id, o.campaign_id, o.user_id) for o in (shown, clicked, bought)
    }
    assert {("views-0-0-0", "views-0-1", "ad3", "c1", "u1")} == same
    assert ("top", 2, 0.0, 0) == (shown.slot_id, shown.position, shown.propensity, shown.delay_ms)
    assert ("clicks-0-7", 4000) == (clicked.outcome_id.removeprefix("click-"), clicked.delay_ms)
    assert (4000, 5_500_000, "o1") == (bought.delay_ms, bought.revenue_micros, bought.order_id)


def test_an_ad_that_the_catalogue_does_not_know_is_named_and_not_learned():
    """Another system may show ads of its own: the exposure says which, and makes no example."""
    processor = new_processor()
    processor.process(arrivals([exposure(T0_MS, ad_id="theirs", propensity=0.25)]))
    processor.advance(END_MS)
    ((_, value),) = processor.output.outcomes
    outcome = decode_outcome(value)
    assert ("theirs", "", 0.25) == (outcome.ad_id, outcome.decision_id, outcome.propensity)
    assert [] == processor.output.examples


def test_a_promotion_has_outcomes_and_no_examples():
    """Promotions are not what the click learners learn from."""
    processor = new_processor()
    echo = {"decision_id": "views-0-0-0", "promotion_id": "p1"}
    shown = exposure(T0_MS, **echo)
    processor.process(arrivals([view(T0_MS, slots="p"), shown, click(T0_MS + 1, kind="promotion", **echo)]))
    processor.advance(END_MS)
    kinds = [
        (o.kind, o.promotion_id, o.ad_id) for o in map(decode_outcome, values(processor.output.outcomes))
    ]
    assert [("exposure", "p1", ""), ("click", "p1", "")] == kinds
    assert [] == processor.output.examples


def test_an_ad_shown_in_place_of_a_promotion_is_learned_in_its_context():
    """What is learned goes by what the exposure says was shown, in the context of the request."""
    learned = []
    for asked_for in ("a", "p"):
        processor = new_processor()
        asked = view(T0_MS, slots=asked_for)
        processor.process(arrivals([asked, exposure(T0_MS, decision_id="views-0-0-0")]))
        processor.advance(END_MS)
        learned.append(decode_example(processor.output.examples[0][1]).buckets)
    assert learned[0] == learned[1]


def test_an_exposure_that_is_repeated_counts_once():
    """A second exposure of the same decision, under another event id, has an outcome that says so."""
    processor = shown_ad()
    processor.process([Arrival(0, 0, 2, 0, b"", exposure(T0_MS + 2000, decision_id="views-0-0-0"))])
    outcomes = [(o.outcome_id, o.invalid) for o in map(decode_outcome, values(processor.output.outcomes))]
    assert [("exposure-views-0-1", ""), ("exposure-views-0-2", "repeated")] == outcomes
    assert 1 == processor.state.counters["unmatched_exposures"]


@pytest.mark.parametrize("first_after_ms", [-1, CLICK_MS + 1])
def test_a_click_outside_the_window_leaves_room_for_one_inside(first_after_ms):
    """A click that counts for nothing does not keep the user's next click from counting."""
    processor = shown_ad()
    echo = {"decision_id": "views-0-0-0"}
    clicks = [click(T0_MS + 1000 + first_after_ms, **echo), click(T0_MS + 2000, **echo)]
    processor.process(Arrival(1, 0, offset, 0, b"", event) for offset, event in enumerate(clicks))
    told = [(o.outcome_id, o.invalid) for o in map(decode_outcome, values(processor.output.outcomes))]
    first = ("click-clicks-0-0", "no_exposure")
    assert [("exposure-views-0-1", ""), first, ("click-clicks-0-1", "")] == told
    assert 1 == processor.state.counters["unmatched_clicks"]


def test_of_several_clicks_on_one_exposure_one_counts():
    """A double click is one click."""
    processor = shown_ad()
    clicks = [click(T0_MS + ms, decision_id="views-0-0-0") for ms in (2000, 2001)]
    processor.process(Arrival(1, 0, offset, 0, b"", event) for offset, event in enumerate(clicks))
    assert 2 == len(processor.output.outcomes)


def test_a_click_converts_once():
    """Two orders after one click are two outcomes and one positive example."""
    processor = shown_ad()
    orders = [purchase(T0_MS + ms, order_id=f"o{ms}") for ms in (3000, 4000)]
    processor.process([Arrival(1, 0, 0, 0, b"", click(T0_MS + 2000, decision_id="views-0-0-0"))])
    processor.process(Arrival(2, 0, offset, 0, b"", event) for offset, event in enumerate(orders))
    processor.advance(END_MS)
    outcomes, examples = said(processor)
    assert 2 == sum(identity.startswith("purchase") for identity, *_ in outcomes)
    assert ["cvr-0-0-0", "cvr-0-0-1"] == [identity for identity, _ in examples if identity.startswith("cvr")]


def test_a_click_converts_once_even_across_a_restart():
    """That a click has converted is part of the state: an order after a restart is no second conversion."""
    processor, successor = shown_ad(), new_processor()
    processor.process([Arrival(1, 0, 0, 0, b"", click(T0_MS + 2000, decision_id="views-0-0-0"))])
    changelog = processor.state.drain()
    processor.process([Arrival(2, 0, 0, 0, b"", purchase(T0_MS + 3000))])
    processor.advance(T0_MS + 3001 + LATENESS_MS)
    assert "cvr-0-0-1" in [identity for identity, _ in said(processor)[1]]
    successor.state.restore([*changelog, *processor.state.drain()])
    successor.restored()
    successor.process([Arrival(2, 0, 1, 0, b"", purchase(T0_MS + 4000, order_id="o2"))])
    successor.advance(END_MS)
    outcomes, examples = said(successor)
    assert ["purchase-purchases-0-1"] == [identity for identity, *_ in outcomes]
    assert [] == [identity for identity, label in examples if label]


def test_another_users_exposure_of_a_decision_counts_for_nothing():
    """A decision is one user's: another's exposure of it has no outcome and takes nothing away."""
    processor = new_processor()
    echo = {"decision_id": "views-0-0-0"}
    processor.process(
        arrivals([view(T0_MS, slots="a"), exposure(T0_MS, "u2", **echo), click(T0_MS, "u2", **echo)])
    )
    assert ([], []) == said(processor)
    processor.process([Arrival(0, 0, 2, 0, b"", exposure(T0_MS, **echo))])
    assert ["exposure-views-0-2"] == [identity for identity, *_ in said(processor)[0]]


HUGE = "9" * 20
NO_DECISIONS = [
    "x", "-", "views-0", "views-0-1", "views-x-1-0", "views-0-1-x", "views-0--1-0", "views-0-\u0661-0",
    f"views-{HUGE}-0-0", f"views-0-{HUGE}-0", f"views-0-0-{HUGE}", "views-0-0-0-nobody",
]  # fmt: skip


@pytest.mark.parametrize("decision_id", NO_DECISIONS)
def test_whatever_an_exposure_names_as_its_decision_is_no_decision(decision_id):
    """An identity that was never given, with numbers of any size in it: invalid, and nothing fails."""
    processor = new_processor()
    processor.process(arrivals([exposure(T0_MS, decision_id=decision_id)]))
    (outcome,) = [decode_outcome(value) for _, value in processor.output.outcomes]
    assert ("exposure", "no_decision") == (outcome.kind, outcome.invalid)
    assert 1 == processor.state.counters["unmatched_exposures"]


def test_a_refund_of_an_order_that_no_click_earned_takes_spend_off_and_makes_no_outcome():
    """Money paid back leaves the user's spend; the order stays an order."""
    processor = new_processor()
    processor.process(arrivals([purchase(T0_MS), refund(T0_MS + 1, currency="EUR")]))
    processor.advance(END_MS)
    (profile,) = processor.state.profiles
    assert (5_000_000 - 2_200_000, 1, 1) == (
        profile["spend_micros"],
        profile["purchases"],
        profile["refunds"],
    )
    assert [] == processor.output.outcomes


def test_a_click_at_the_end_of_its_window_may_be_late_by_the_whole_horizon():
    """The horizon and the window include their last millisecond, both at once."""
    processor = shown_ad()
    clicked_ms = T0_MS + 1000 + CLICK_MS
    processor.advance(clicked_ms + LATENESS_MS)
    processor.process([Arrival(1, 0, 0, 0, b"", click(clicked_ms, decision_id="views-0-0-0"))])
    processor.advance(END_MS)
    assert ["ctr-0-1-1", "cvr-0-0-0"] == [identity for identity, _ in said(processor)[1]]


def test_an_order_at_the_end_of_its_window_is_attributed():
    """The attribution window includes its last millisecond, whatever is settled at the same time."""
    processor = shown_ad()
    processor.process([Arrival(1, 0, 0, 0, b"", click(T0_MS + 2000, decision_id="views-0-0-0"))])
    processor.process([Arrival(2, 0, 0, 0, b"", purchase(T0_MS + 2000 + ATTRIBUTION_MS))])
    processor.advance(END_MS)
    assert "purchase-purchases-0-0" in [identity for identity, *_ in said(processor)[0]]


def test_nobody_elses_click_stands_in_the_way():
    """A click with another user's decision id counts for nothing and hides nothing, though it came first."""
    processor = new_processor()
    echo = {"decision_id": "views-0-0-0"}
    events = [view(T0_MS, slots="a"), click(T0_MS + 2, "u2", **echo), exposure(T0_MS + 1, **echo)]
    processor.process(arrivals([*events, click(T0_MS + 3, **echo)]))
    assert ["click-clicks-0-1", "exposure-views-0-1"] == [identity for identity, *_ in said(processor)[0]]


def test_nothing_waits_for_ever():
    """When all windows have closed, nothing is pending and no click of a user is remembered."""
    processor = shown_ad()
    processor.process([Arrival(1, 0, 0, 0, b"", click(T0_MS + 2000, decision_id="views-0-0-0"))])
    processor.process([Arrival(1, 0, 1, 0, b"", click(T0_MS + 2000, decision_id="unknown"))])
    bought, unknown = purchase(T0_MS + 3000), refund(T0_MS + 3000, order_id="unknown")
    paid_back = [refund(T0_MS + ms) for ms in (4000, 5000)]
    processor.process(
        Arrival(2, 0, offset, 0, b"", event) for offset, event in enumerate([bought, unknown, *paid_back])
    )
    processor.process([Arrival(0, 0, 2, 0, b"", view(T0_MS + 3000, slots="ap"))])
    processor.advance(END_MS)
    state = processor.state
    assert {0} == {len(pool) for pool in state.pools if pool is not state.profiles}
    assert (1, 1) == (state.counters["unmatched_clicks"], state.counters["unmatched_refunds"])
