from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import ADS, OPEN_END_MS
from models.features import AD, CONTEXT, FEATURES, join_buckets
from models.placement import (
    DRAWN,
    MILLION,
    OUTSIDE_FLIGHT,
    OUTSIDE_SHORTLIST,
    SHARES,
    draw,
    place,
    rank,
    spread,
)

MASK = 2**12 - 1
NOW_MS = 1_700_000_000_000

seeds = st.integers(0, 2**32 - 1)
scores_micros = st.lists(st.integers(0, 10**18), min_size=1, max_size=20)
reasons_of = st.sampled_from([DRAWN, DRAWN, OUTSIDE_FLIGHT, OUTSIDE_SHORTLIST])
temperatures = st.floats(1e-3, 1e3)
floors = st.floats(0.0, 1.0)


def shop_of(seed, count):
    """Weights, a context and ads, all random; every ad is inside its flight."""
    random = np.random.default_rng(seed)
    weights = random.normal(scale=0.3, size=MASK + 1).round(6)
    context = random.integers(0, MASK + 1, len(CONTEXT)).astype(np.uint32)
    ads = np.zeros(count, ADS)
    ads["bid_micros"] = random.integers(0, 5_000_000, count)
    ads["end_ms"] = OPEN_END_MS
    ads["buckets"] = random.integers(0, MASK + 1, (count, len(AD)))
    return weights, context, ads


def ranked(weights, context, ads, shortlist):
    """How many ads compete, and p_click, eCPM and reason of each."""
    count = len(ads)
    p_click, ecpm_micros, reasons = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    rows = np.arange(count)
    competing = rank(
        weights, 1.0, 0.0, context, ads, rows, NOW_MS, MASK, shortlist, p_click, ecpm_micros, reasons
    )
    return competing, p_click, ecpm_micros, reasons


def spread_over(scores, reasons, temperature, floor):
    propensity = np.zeros(len(scores), np.int64)
    competing = int((reasons == DRAWN).sum())
    spread(np.array(scores), reasons, competing, temperature, floor, propensity)
    return propensity


@given(seeds, st.integers(1, 30))
def test_p_click_is_the_sigmoid_of_the_examples_logit(seed, count):
    """Ranking and learning see the same buckets: p_click follows from the weights of the joined example."""
    weights, context, ads = shop_of(seed, count)
    _, p_click, ecpm_micros, _ = ranked(weights, context, ads, shortlist=count)
    buckets = np.zeros(len(FEATURES), np.uint32)
    for row in range(count):
        join_buckets(context, ads, row, MASK, buckets)
        assert abs(1.0 / (1.0 + np.exp(-weights[buckets].sum())) - p_click[row]) < 1e-9
        assert round(1000 * int(ads["bid_micros"][row]) * p_click[row]) == ecpm_micros[row]


@given(seeds, st.integers(1, 30), st.integers(1, 30))
def test_the_best_candidates_compete(seed, count, shortlist):
    """The shortlist holds the best by eCPM; of equals the first by ad id stay."""
    competing, _, ecpm_micros, reasons = ranked(*shop_of(seed, count), shortlist)
    best = sorted(range(count), key=lambda c: (-ecpm_micros[c], c))[:shortlist]
    assert sorted(best) == np.flatnonzero(reasons == DRAWN).tolist()
    assert {OUTSIDE_SHORTLIST} >= set(reasons[reasons != DRAWN].tolist())
    assert min(count, shortlist) == competing


@given(seeds, st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=8))
def test_a_flight_begins_with_its_first_millisecond_and_ends_before_its_last(seed, flights):
    """An ad competes from ``start_ms`` on and before ``end_ms``."""
    weights, context, ads = shop_of(seed, len(flights))
    ads["start_ms"], ads["end_ms"] = NOW_MS + np.array(flights).T
    _, _, _, reasons = ranked(weights, context, ads, shortlist=len(flights))
    expected = [DRAWN if start <= 0 < end else OUTSIDE_FLIGHT for start, end in flights]
    assert expected == reasons.tolist()


@given(
    scores_micros.flatmap(lambda s: st.tuples(st.just(s), st.tuples(*[reasons_of] * len(s)))),
    temperatures,
    floors,
)
def test_propensities_are_whole_and_respect_the_floor(candidates, temperature, floor):
    """They sum to one million; who competes has an even share of the floor at least, others none."""
    scores, reasons = candidates[0], np.array(candidates[1])
    reasons[0] = DRAWN
    propensity = spread_over(scores, reasons, temperature, floor)
    competes = reasons == DRAWN
    assert MILLION == propensity.sum()
    assert (propensity[~competes] == 0).all()
    # One millionth less: shares are rounded down.
    assert (propensity[competes] >= MILLION * floor / competes.sum() - 1).all()


@given(scores_micros, temperatures, floors)
def test_propensities_are_the_floored_softmax(scores, temperature, floor):
    """Each is the documented formula, to as many millionths as the rounding gives to the best."""
    propensity = spread_over(scores, np.zeros(len(scores), np.int64), temperature, floor)
    relative = np.array(scores) / (max(scores) or 1)
    softmax = np.exp((relative - relative.max()) / temperature)
    expected = (1 - floor) * softmax / softmax.sum() + floor / len(scores)
    assert np.abs(propensity - MILLION * expected).max() <= len(scores)


@given(scores_micros, temperatures, floors)
def test_a_better_candidate_is_never_drawn_less(scores, temperature, floor):
    """Propensity follows the score, but for the millionths of rounding that go to the best."""
    propensity = spread_over(scores, np.zeros(len(scores), np.int64), temperature, floor)
    by_score = propensity[np.argsort(scores, kind="stable")]
    assert (np.diff(by_score) >= -len(scores)).all()


@given(scores_micros, temperatures, floors)
@settings(max_examples=5, deadline=None)
def test_each_candidate_owns_as_many_tickets_as_its_propensity_says(scores, temperature, floor):
    """Of all tickets from 0 to 999,999 each candidate is drawn by exactly its propensity in millionths."""
    propensity = spread_over(scores, np.zeros(len(scores), np.int64), temperature, floor)
    drawn = Counter(draw(propensity, ticket) for ticket in range(MILLION))
    assert propensity.tolist() == [drawn[c] for c in range(len(scores))]


@given(
    seeds, st.integers(1, 30), st.integers(1, 30), st.integers(0, MILLION - 1),
    st.floats(0.04, 25.0), st.floats(-8.0, 8.0),
)  # fmt: skip
def test_what_is_placed_was_drawn_from_the_propensities_that_are_reported(
    seed, count, shortlist, ticket, slope, shift
):
    """``place`` ranks, spreads and draws, and reports the distribution as whole millionths.

    The prediction is the sigmoid of the reported shares' sum, that of the calibration among them.
    """
    weights, context, ads = shop_of(seed, count)
    p_click, ecpm_micros, reasons = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    propensity, shares = np.zeros(count), np.zeros(len(SHARES))
    chosen, competing = place(
        weights, slope, shift, context, ads, np.arange(count), NOW_MS, MASK, shortlist, 0.25, 0.1, ticket,
        p_click, ecpm_micros, reasons, propensity, shares,
    )  # fmt: skip
    millionths = spread_over(ecpm_micros, reasons, 0.25, 0.1)
    assert (millionths / MILLION).tolist() == propensity.tolist()
    assert (draw(millionths, ticket), min(count, shortlist)) == (chosen, competing)
    assert p_click[chosen] == pytest.approx(1 / (1 + np.exp(-shares.sum())), abs=1e-9)


def test_nothing_is_placed_where_nothing_competes():
    """Without an ad inside its flight there is no choice and no propensity."""
    weights, context, ads = shop_of(seed=1, count=3)
    ads["end_ms"] = NOW_MS
    propensity = np.ones(3)
    integers = np.zeros(3, np.int64)
    placed = place(
        weights, 1.0, 0.0, context, ads, np.arange(3), NOW_MS, MASK, 32, 0.25, 0.1, 7,
        np.zeros(3), integers, integers.copy(), propensity, np.zeros(len(SHARES)),
    )  # fmt: skip
    assert ((-1, 0), [0.0, 0.0, 0.0]) == (placed, propensity.tolist())
