"""Invalid traffic: each rule by itself."""

from collections import Counter

import pytest
from judging import (
    CLICK_MS,
    ECHO,
    FINAL_MS,
    MAX_CLICKS,
    MIN_DELAY_MS,
    PANE_MS,
    STRICT,
    TOLERANCE_MS,
    clicks,
    judged,
    labels,
    shown,
    taken,
    told,
)
from msgspec.structs import replace
from traffic import T0_MS, arrivals, click, exposure, new_processor, purchase, refund, view

from streams.processor.arrival import Arrival
from streams.settings import State


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


HELD_MS = T0_MS + 8000
"""Of an order between a click on ``x0`` and the click that had come before it and has the place."""


def held_up(*orders, is_burst=True):
    """Events with a click on ``y``, one on ``x0`` at 6 s and one at 12 s that arrives before that."""
    places = clicks(MAX_CLICKS + 1 if is_burst else 1, first_ms=12_000)
    exposures = [*(shown(n) for n in range(len(places))), replace(shown(0), event_id="y")]
    valid = [click(T0_MS + ms, exposure_id=name) for ms, name in ((1000, "y"), (6000, "x0"))]
    return [*exposures, *places, *valid, *orders]


@pytest.mark.parametrize(("is_burst", "earner"), [(True, "x0"), (False, "y")])
def test_an_order_waits_until_it_is_known_whose_the_place_is(is_burst, earner):
    """A click that a later one's verdict lets take its place earns the order; if not, the one before does."""
    # The click on ``y`` is kept no longer than the order waits at least.
    windows = replace(STRICT.processing, attribution_window_s=7, order_lateness_s=1)
    events = held_up(purchase(HELD_MS), is_burst=is_burst)
    _, outcomes, _ = judged(*events, settings=replace(STRICT, processing=windows))
    earned = [int(o.exposure_id.split("-")[2]) for o in outcomes if o.kind == "purchase"]
    assert [earner] == [events[offset].event_id for offset in earned]


def test_an_order_waits_no_longer_than_for_the_verdict():
    """It is settled together with the verdict on the click that has the place."""
    processor, outcomes, _ = judged(*held_up(purchase(HELD_MS)), end_ms=T0_MS + 12_000 + FINAL_MS)
    assert "purchase" not in {o.kind for o in outcomes}
    processor.advance(T0_MS + 12_000 + FINAL_MS + 1)
    assert "purchase" in {o.kind for o in taken(processor)[0]}


def test_what_comes_after_an_order_that_waits_has_no_effect_before_it():
    """The first order of a click gives the label, also to a refund whose clock is ahead of its order's."""
    first, second = (purchase(HELD_MS + ms, order_id=f"o{ms}") for ms in (0, 4000))
    paid_back = [refund(HELD_MS + ms, order_id="o0", amount_micros=2_500_000) for ms in (-1000, 1000)]
    _, outcomes, examples = judged(*held_up(second, *paid_back, first))
    followed = [(o.kind, o.order_id, o.exposure_id) for o in outcomes if o.revenue_micros]
    came = [("purchase", "o0"), ("refund", "o0"), ("refund", "o0"), ("purchase", "o4000")]
    assert [(*each, "views-0-0") for each in came] == followed
    names = ["cvr-0-3-1", "cvr-0-2-retracted", "cvr-0-0-1"]
    assert names == [each.example_id for each in examples if each.task == "cvr" and each.label]


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
