"""Invalid traffic: each rule by itself, and all of them in any order of arrival."""

from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from traffic import SETTINGS, T0_MS, TOPICS, arrivals, click, exposure, new_processor, purchase, view

from schemas.examples import decode_example
from schemas.outcomes import decode_outcome
from streams.processor.arrival import Arrival
from streams.settings import State, Validity

LATENESS_MS, CLICK_MS, WINDOW_MS = 10_000, 30_000, 4000
PANE_MS, FINAL_MS = WINDOW_MS // 2, LATENESS_MS + WINDOW_MS
MAX_CLICKS, MIN_DELAY_MS, TOLERANCE_MS = 3, 100, 1000
END_MS = T0_MS + 10**6
STRICT = replace(
    SETTINGS,
    validity=Validity(
        min_click_delay_ms=MIN_DELAY_MS,
        clock_tolerance_ms=TOLERANCE_MS,
        max_clicks=MAX_CLICKS,
        window_s=WINDOW_MS / 1000,
    ),
)
ECHO = {"decision_id": "views-0-0-0"}


def judged(*events, settings=STRICT, end_ms=END_MS):
    """A processor after these events, with all verdicts given; its outcomes and its examples."""
    processor = new_processor(settings)
    processor.process(arrivals(events))
    processor.advance(end_ms)
    return processor, *taken(processor)


def taken(processor):
    outcomes, examples, _ = processor.output.take_committed()
    return [decode_outcome(value) for _, value in outcomes], [decode_example(value) for _, value in examples]


def told(outcomes):
    """Kind and offset of each outcome, and why it is invalid."""
    return [(o.kind, int(o.outcome_id.split("-")[-1]), o.invalid) for o in outcomes]


def labels(examples):
    """By task, partition and offset of what was labelled: label by label the sum of weights that is left."""
    sums = Counter()
    for example in examples:
        sums["-".join(example.example_id.split("-")[:3]), example.label] += example.weight
    return {key: weight for key, weight in sums.items() if weight}


def shown(number, after_ms=0, user_id="u1"):
    """Another system's exposure, ``x<number>``."""
    return exposure(T0_MS + after_ms, user_id, event_id=f"x{number}", propensity=0.5)


def clicks(count, every_ms=300, first_ms=1000, user_id="u1", **fields):
    """So many clicks, each on an exposure of its own unless fields name one."""
    return [
        click(T0_MS + first_ms + n * every_ms, user_id, **({"exposure_id": f"x{n}"} | fields))
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("delay_ms", "invalid"),
    [
        (MIN_DELAY_MS, ""),
        (MIN_DELAY_MS - 1, "impossible_timing"),
        (0, "impossible_timing"),
        (-1, "no_exposure"),
        (-TOLERANCE_MS, "no_exposure"),
        (-TOLERANCE_MS - 1, "impossible_timing"),
        (CLICK_MS, ""),
        (CLICK_MS + 1, "no_exposure"),
        (CLICK_MS + 100_000, "no_exposure"),
    ],
)
def test_a_click_sooner_than_a_person_can_is_invalid(delay_ms, invalid):
    """Too soon, or before its exposure by more than clocks differ: it says so and gives no label."""
    processor, outcomes, examples = judged(
        view(T0_MS, slots="a"), exposure(T0_MS + 5000, **ECHO), click(T0_MS + 5000 + delay_ms, **ECHO)
    )
    verdicts = [(o.invalid, o.delay_ms, o.decision_id, o.ad_id) for o in outcomes if o.kind == "click"]
    names = (0, "", "") if invalid == "no_exposure" else (delay_ms, "views-0-0-0", "ad0")
    assert [(invalid, *names)] == verdicts
    expected = {("ctr-0-1", 0): 1} if invalid else {("ctr-0-1", 1): 1, ("cvr-0-0", 0): 1}
    assert expected == labels(examples)
    counted = {name: n for name, n in processor.state.counters.items() if n and name.startswith("invalid")}
    assert ({f"invalid_{invalid}": 1} if invalid else {}) == counted
    assert int(invalid == "no_exposure") == processor.state.counters["unmatched_clicks"]


@pytest.mark.parametrize("bot_first", [True, False])
def test_a_click_too_soon_does_not_stand_in_the_way(bot_first):
    """Of a bot's and a person's click on one exposure the person's counts, whichever comes first."""
    bot, person = click(T0_MS + 1, exposure_id="x0"), click(T0_MS + 5000, exposure_id="x0")
    events = [bot, person] if bot_first else [person, bot]
    for order in ([shown(0), *events], [*events, shown(0)]):
        _, outcomes, examples = judged(*order)
        counted = [o.ts_ms for o in outcomes if o.kind == "click" and not o.invalid]
        assert [T0_MS + 5000] == counted
        assert {("ctr-0-0", 1): 1, (f"cvr-0-{events.index(person)}", 0): 1} == labels(examples)


def test_as_many_clicks_as_a_person_makes_are_valid():
    """At the limit nothing happens."""
    _, outcomes, examples = judged(*(shown(n) for n in range(MAX_CLICKS)), *clicks(MAX_CLICKS))
    assert not any(o.invalid for o in outcomes)
    assert MAX_CLICKS == sum(weight for (_, label), weight in labels(examples).items() if label)


def test_all_clicks_of_a_burst_are_credited():
    """One more than a person makes, and all go, also the first: outcomes, positives and negatives of cvr."""
    count = MAX_CLICKS + 1
    processor, outcomes, examples = judged(*(shown(n) for n in range(count)), *clicks(count))
    assert [("click", n, "") for n in range(count)] == [row for row in told(outcomes) if row[0] == "click"]
    credits = [o for o in outcomes if o.kind == "credit"]
    assert [("credit", n, "rate") for n in range(count)] == told(credits)
    clicked = {o.outcome_id: o for o in outcomes if o.kind == "click"}
    for each in credits:
        taken_back = clicked[each.outcome_id.replace("credit", "click")]
        assert replace(taken_back, kind="credit", outcome_id=each.outcome_id, invalid="rate") == each
    assert {(f"ctr-0-{n}", 0): 1 for n in range(count)} == labels(examples)
    assert len(examples) == len({each.example_id for each in examples})
    assert count == processor.state.counters["invalid_rate"]
    assert [0] * 3 == [len(getattr(processor.state, pool)) for pool in ("clicks", "clickers", "repeats")]


def test_a_retraction_has_the_features_of_its_example():
    """What is taken back is what was given."""
    _, _, examples = judged(*(shown(n) for n in range(9)), *clicks(9))
    given = {each.example_id: each.buckets for each in examples if each.weight > 0}
    back = {each.example_id: each.buckets for each in examples if each.weight < 0}
    assert 9 == len(back)
    assert back == {f"{name}-credited": given[name] for name in (each[: -len("-credited")] for each in back)}


def test_clicks_before_and_after_a_burst_stay():
    """A user may be a person again: only the windows with too many clicks are invalid."""
    burst = clicks(MAX_CLICKS + 1, first_ms=12_000)
    alone = [click(T0_MS + ms, exposure_id=f"y{ms}") for ms in (2000, 22_000)]
    exposures = [replace(shown(0), event_id=each.exposure_id) for each in [*burst, *alone]]
    _, outcomes, _ = judged(*exposures, *burst, *alone)
    credited = {o.ts_ms for o in outcomes if o.kind == "credit"}
    assert {each.ts_ms for each in burst} == credited


def test_clicks_on_the_same_exposure_are_counted_too():
    """A bot that clicks one ad again and again is no person either; each of its clicks is told once."""
    count = 40
    processor, outcomes, examples = judged(shown(0), *clicks(count, every_ms=20, exposure_id="x0"))
    told_of = Counter(kind for kind, _, invalid in told(outcomes) if kind == "credit" or invalid)
    assert {"credit": 1, "click": count - 1} == told_of
    assert len(outcomes) == len({o.outcome_id for o in outcomes})
    assert {("ctr-0-0", 0): 1} == labels(examples)
    assert count == processor.state.counters["invalid_rate"]


def test_a_flood_of_clicks_takes_one_counter():
    """However often a user clicks within a pane, there is one row to count it."""
    processor = new_processor(STRICT)
    processor.process(arrivals(clicks(500, every_ms=1, first_ms=-T0_MS % PANE_MS)))
    assert [500] == [row["clicks"] for row in processor.state.clickers]


def test_another_users_clicks_do_not_count():
    """Many people who click at once are no burst."""
    users = [f"u{n}" for n in range(9)]
    exposures = [shown(n, user_id=user) for n, user in enumerate(users)]
    clicked = [click(T0_MS + 1000, user, exposure_id=f"x{n}") for n, user in enumerate(users)]
    _, outcomes, _ = judged(*exposures, *clicked)
    assert not any(o.invalid for o in outcomes)


def test_an_order_passes_over_a_credited_click():
    """The last click before an order earns it if it is valid, else the one before; at equal times, too."""
    exposures = [*(shown(n) for n in range(9)), replace(shown(0), event_id="y")]
    valid, burst = click(T0_MS + 1000, exposure_id="y"), clicks(MAX_CLICKS + 1, first_ms=12_000)
    _, outcomes, examples = judged(*exposures, valid, *burst, purchase(burst[-1].ts_ms))
    (bought,) = [o for o in outcomes if o.kind == "purchase"]
    assert (f"views-0-{len(exposures) - 1}", burst[-1].ts_ms - valid.ts_ms) == (
        bought.exposure_id,
        bought.delay_ms,
    )
    assert 1 == labels(examples)["cvr-0-0", 1]


def test_a_click_on_what_was_never_shown_is_told_after_the_horizon():
    """There is no view before it: until an exposure can no longer come it waits, then it is invalid."""
    clicked_ms = T0_MS + 1000
    processor = new_processor(STRICT)
    processor.process(arrivals([click(clicked_ms, exposure_id="nothing")]))
    processor.advance(clicked_ms + FINAL_MS)
    assert ([], []) == taken(processor)
    processor.advance(clicked_ms + FINAL_MS + 1)
    ((told_of,), examples) = taken(processor)
    assert ("click-clicks-0-0", "no_exposure", "main", "u1", "", "", "") == (
        told_of.outcome_id, told_of.invalid, told_of.shop_id, told_of.user_id, told_of.decision_id,
        told_of.exposure_id, told_of.ad_id,
    )  # fmt: skip
    assert [] == examples
    counters = processor.state.counters
    assert (1, 1) == (counters["invalid_no_exposure"], counters["unmatched_clicks"])


@pytest.mark.parametrize(
    "forged",
    [
        exposure(T0_MS + 1000, decision_id="views-0-77-0"),
        exposure(T0_MS + 1000, "u2", **ECHO),
        exposure(T0_MS + 40_001, **ECHO),
        exposure(T0_MS + 1000, decision_id="no decision's name"),
    ],
    ids=["never made", "for another user", "too long ago", "no name"],
)
def test_a_forged_exposure_is_told_and_labels_nothing(forged):
    """An exposure of a decision that was never made for its user is invalid, and so are clicks on it."""
    echo = {"decision_id": forged.decision_id}
    processor, outcomes, examples = judged(
        view(T0_MS, slots="a"), forged, click(forged.ts_ms + 1000, forged.user_id, **echo)
    )
    assert [("exposure", 1, "no_decision"), ("click", 0, "no_exposure")] == told(outcomes)
    assert forged.decision_id == outcomes[0].decision_id
    assert [] == examples
    assert 1 == processor.state.counters["invalid_no_decision"]


def test_a_second_click_is_told_as_repeated():
    """A double click is one click, and the second one is not dropped without a word."""
    processor, outcomes, _ = judged(shown(0), *clicks(2, exposure_id="x0"))
    assert [("exposure", 0, ""), ("click", 0, ""), ("click", 1, "repeated")] == told(outcomes)
    assert ("views-0-0", 1300) == (outcomes[-1].exposure_id, outcomes[-1].delay_ms)
    assert 1 == processor.state.counters["invalid_repeated"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_valid_click_takes_the_place_of_a_credited_one(order):
    """Of a click in a burst and one that is not, on one exposure, the valid one counts in either order."""
    burst = clicks(MAX_CLICKS + 1)
    valid = click(T0_MS + 8000, exposure_id="x0")
    _, outcomes, examples = judged(*(shown(n) for n in range(9)), *[*burst, valid][::order])
    credited = {o.outcome_id.replace("credit", "click") for o in outcomes if o.kind == "credit"}
    left = [o for o in outcomes if o.kind == "click" and not o.invalid and o.outcome_id not in credited]
    assert [("views-0-0", valid.ts_ms)] == [(o.exposure_id, o.ts_ms) for o in left]
    assert 1 == labels(examples)["ctr-0-0", 1]
    assert len(examples) == len({each.example_id for each in examples})


def test_a_click_that_is_too_late_for_everything_is_judged_at_once():
    """When the verdict on its window is known already, a late click of a burst never counts."""
    processor = new_processor(STRICT)
    processor.process(arrivals([*(shown(n) for n in range(9)), *clicks(MAX_CLICKS + 1)]))
    last_ms = T0_MS + 1000 + FINAL_MS + 1000
    processor.advance(last_ms)
    taken(processor)
    late = click(T0_MS + 1001, exposure_id="x8")
    processor.process([Arrival(1, 0, 50, 0, b"", late)])
    assert [("click", 50, "rate")] == told(taken(processor)[0])


def test_the_rules_rest_while_an_older_changelog_is_written():
    """During a roll-out all is as in the release before: no invalid outcome, no credit, no count."""
    settings = replace(STRICT, state=State(write_version=2))
    count = MAX_CLICKS + 1
    events = [*(shown(n) for n in range(count)), *clicks(count), click(T0_MS + 1, "u2", exposure_id="x")]
    processor, outcomes, _ = judged(*events, exposure(T0_MS, **ECHO), settings=settings)
    assert ["exposure"] * count + ["click"] * count == [o.kind for o in outcomes]
    assert {""} == {o.invalid for o in outcomes}
    counters = processor.state.counters
    assert 0 == sum(count for name, count in counters.items() if name.startswith("invalid"))
    assert (1, 1) == (counters["unmatched_clicks"], counters["unmatched_exposures"])


@pytest.mark.parametrize("viewed_first", [True, False])
def test_whoever_views_no_page_clicks_nothing_on_request(viewed_first):
    """A click of a user who has never viewed a page is credited, if pages are known to be told of."""
    settings = replace(STRICT, validity=replace(STRICT.validity, require_page_view=True))
    events = [shown(0), click(T0_MS + 1000, exposure_id="x0")]
    viewed = [view(T0_MS)] if viewed_first else [view(T0_MS, "u2"), view(T0_MS + 1000 + FINAL_MS + 1)]
    _, outcomes, examples = judged(*events, *viewed, settings=settings)
    credits = [] if viewed_first else [("credit", 0, "no_page_view")]
    assert [("exposure", 0, ""), ("click", 0, ""), *credits] == told(outcomes)
    assert {"ctr-0-0": viewed_first} == {name: label for name, label in labels(examples) if name[:3] == "ctr"}


def test_rates_can_be_turned_off():
    """With no limit set, any number of clicks is valid, and nothing waits for the window."""
    settings = replace(STRICT, validity=replace(STRICT.validity, max_clicks=0))
    _, outcomes, _ = judged(*(shown(n) for n in range(20)), *clicks(20, every_ms=1), settings=settings)
    assert not any(o.invalid for o in outcomes)


def test_a_full_pool_of_repeated_clicks_makes_room():
    """What overflows is counted, and the clicks that are left fare as always."""
    settings = replace(STRICT, state=State(max_repeats=4))
    processor, outcomes, examples = judged(
        shown(0), *clicks(12, every_ms=2500, exposure_id="x0"), settings=settings
    )
    processor.state.drain()
    repeated = sum(o.invalid == "repeated" for o in outcomes)
    assert 11 == repeated + processor.state.counters["overflowed"]
    assert 1 == labels(examples)["ctr-0-0", 1]


class Pressed(NamedTuple):
    """A click, by a user on an exposure."""

    number: int
    user: str
    exposure: int
    ts_ms: int


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
    orders = [(f"u{draw(st.integers(1, 2))}", T0_MS + draw(st.integers(0, 60_000))) for _ in range(2)]
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
    for number, (user, ts_ms) in enumerate(orders):
        tell(number, purchase(ts_ms, user, order_id=f"o{number}"))
    return [arrival for _, _, arrival in sorted(found, key=lambda one: one[:2])]


def expected_of(mixture):
    """Billed exposures, net labels of click-through, and which exposure earned each order, from the whole.

    The orders are left open where one exposure has several valid clicks (which of them counts is not said) or
    valid clicks come at the same time (none of them is the last).
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
    earned = {}
    for number, (user, ts_ms) in enumerate(orders):
        before = [(each.ts_ms, each.exposure) for each in valid if each.user == user]
        before = [one for one in before if 0 <= ts_ms - one[0] <= 60_000]
        if before:
            earned[number] = max(before)[1]
    is_open = len(valid) > len(billed) or len({each.ts_ms for each in valid}) < len(valid)
    return billed, net, None if is_open else earned


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
    return billed, clickthrough, earned


LATENESS = st.lists(st.integers(0, 4).map(lambda part: part * LATENESS_MS // 4), min_size=20, max_size=20)


@given(mixtures(), LATENESS)
def test_any_order_of_arrival_comes_to_the_same_labels_and_bill(mixture, lateness):
    """What is left after credits is what a reader of it all would say, whatever came late by how much."""
    processor = new_processor(STRICT)
    processor.process(arriving(mixture, iter(lateness)))
    processor.advance(END_MS)
    billed, net, earned = expected_of(mixture)
    said = came_of(processor)
    assert (billed, net) == said[:2]
    assert earned is None or earned == said[2]


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


def test_nobodies_are_not_counted_together():
    """Users of whom nothing may be kept are told apart by what they click; and nothing of them is kept."""
    decisions = [f"views-0-{place}-0-nobody" for place in range(3 * MAX_CLICKS)]
    events = [view(T0_MS, f"u{place}", slots="a", consent=()) for place in range(len(decisions))]
    events += [exposure(T0_MS + 1, decision_id=decision, consent=()) for decision in decisions]
    clicks = [click(T0_MS + 500 + n, decision_id=decision) for n, decision in enumerate(decisions)]
    _, outcomes, _ = judged(*events, *clicks)
    found = [(outcome.invalid, outcome.user_id) for outcome in outcomes if outcome.kind != "exposure"]
    assert [("", "")] * len(clicks) == found


def test_a_burst_on_what_nobody_was_shown_is_one():
    """More clicks on one decision of nobody than a person makes count for nothing."""
    clicks = [click(T0_MS + 500 + n, decision_id="views-0-0-0-nobody") for n in range(MAX_CLICKS + 1)]
    shown_to_nobody = exposure(T0_MS + 1, decision_id="views-0-0-0-nobody", consent=())
    processor, outcomes, examples = judged(view(T0_MS, slots="a", consent=()), shown_to_nobody, *clicks)
    found = Counter((outcome.kind, outcome.invalid) for outcome in outcomes if outcome.kind != "exposure")
    assert {("click", ""): 1, ("credit", "rate"): 1, ("click", "rate"): MAX_CLICKS} == found
    assert {""} == {outcome.user_id for outcome in outcomes}
    assert MAX_CLICKS + 1 == processor.state.counters["invalid_rate"]
    assert {("ctr-0-1", 0): 1.0} == labels(examples)
