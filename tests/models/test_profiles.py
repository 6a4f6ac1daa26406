from itertools import pairwise

import numpy as np
import pytest
from histories import T0_MS, histories, profile_of
from hypothesis import given
from hypothesis import strategies as st

from models import profiles as p

COUNTS = ("views", "clicks", "purchases", "refunds", "exposures", "own_exposures", "own_clicks")


def amounts(event):
    """What an event adds to each of the decayed sums."""
    match event:
        case ("view", *_):
            return {"views": 1.0}
        case ("exposure", _, own):
            return {"exposures": 1.0, "own_exposures": float(own)}
        case ("click", _, own, *_):
            return {"clicks": 1.0, "own_clicks": float(own)}
        case ("purchase", _, amount_micros, _):
            return {"purchases": 1.0, "spend": float(amount_micros)}
        case ("refund", _, amount_micros):
            return {"spend": -float(amount_micros)}


def likes(event):
    """(category, price, weight) of all that an event tells about taste."""
    match event:
        case ("view", _, _, category, price_micros):
            return [(category, price_micros, p.VIEW_WEIGHT)]
        case ("click", _, _, _, category, price_micros):
            return [(category, price_micros, p.CLICK_WEIGHT)]
        case ("purchase", _, _, lines):
            return [(category, price_micros, p.PURCHASE_WEIGHT) for category, price_micros in lines]
        case _:
            return []


@given(histories)
def test_decayed_sums_are_the_closed_form(history):
    """Each sum is the sum of its amounts, each halved for every half-life between it and the newest event."""
    row = profile_of(history)
    newest_ms = max(ts_ms for _, ts_ms, *_ in history)
    for kind, name in enumerate(p.DECAYED):
        parts = np.array(
            [
                amounts(event).get(name, 0.0) * 2.0 ** ((event[1] - newest_ms) / p.HALF_LIVES_MS)
                for event in history
            ]
        )
        # Refunds cancel spend: the error is relative to what was added up.
        tolerance = 1e-9 * np.abs(parts).sum(axis=0)
        assert (np.abs(parts.sum(axis=0) - row["decayed"][kind]) <= tolerance).all(), name


@given(histories)
def test_affinities_are_the_closed_form(history):
    """Categories and price bands gather the weights of what was seen, clicked and bought, decayed."""
    row = profile_of(history)
    newest_ms = max(ts_ms for _, ts_ms, *_ in history)
    affinity, bands = np.zeros(p.CATEGORY_BUCKETS), np.zeros(p.PRICE_BANDS)
    for event in history:
        for category, price_micros, weight in likes(event):
            decayed = weight * 2.0 ** ((event[1] - newest_ms) / p.HALF_LIVES_MS[p.SEASON])
            if category:
                affinity[category % p.CATEGORY_BUCKETS] += decayed
            if price_micros:
                bands[np.searchsorted(p.PRICE_BAND_EDGES_MICROS, price_micros)] += decayed
    np.testing.assert_allclose(row["affinity"], affinity, rtol=1e-9)
    np.testing.assert_allclose(row["price_band"], bands, rtol=1e-9)


@given(histories)
def test_counts_and_times_are_exact(history):
    """Whole counts, spend and the first and last times are those of the events."""
    row = profile_of(history)
    of_kind = {
        kind: [event for event in history if event[0] == kind]
        for kind in ("view", "exposure", "click", "purchase", "refund")
    }
    expected = {
        "views": len(of_kind["view"]),
        "clicks": len(of_kind["click"]),
        "purchases": len(of_kind["purchase"]),
        "refunds": len(of_kind["refund"]),
        "exposures": len(of_kind["exposure"]),
        "own_exposures": sum(own for _, _, own in of_kind["exposure"]),
        "own_clicks": sum(event[2] for event in of_kind["click"]),
        "spend_micros": sum(e[2] for e in of_kind["purchase"]) - sum(e[2] for e in of_kind["refund"]),
        "first_ms": min(event[1] for event in history),
        "as_of_ms": max(event[1] for event in history),
        "last_view_ms": max((event[1] for event in of_kind["view"]), default=0),
        "last_click_ms": max((event[1] for event in of_kind["click"]), default=0),
        "first_purchase_ms": min((event[1] for event in of_kind["purchase"]), default=0),
        "last_purchase_ms": max((event[1] for event in of_kind["purchase"]), default=0),
    }
    assert expected == {name: int(row[name]) for name in expected}


@given(histories.flatmap(lambda history: st.tuples(st.just(history), st.permutations(history))))
def test_the_order_of_arrival_does_not_matter(histories_of_one_user):
    """The same events in another order give the same counts exactly and the same sums but for rounding."""
    in_one_order, in_another = map(profile_of, histories_of_one_user)
    exact = (*COUNTS, "spend_micros", "first_ms", "as_of_ms", "active_days", "active_day")
    assert {name: in_one_order[name] for name in exact} == {name: in_another[name] for name in exact}
    gross_micros = sum(abs(amounts(event).get("spend", 0.0)) for event in histories_of_one_user[0])
    spend = p.SPEND
    np.testing.assert_allclose(
        in_one_order["decayed"][:spend], in_another["decayed"][:spend], rtol=1e-9, atol=1e-300
    )
    np.testing.assert_allclose(
        in_one_order["decayed"][spend], in_another["decayed"][spend], rtol=1e-9, atol=1e-9 * gross_micros
    )
    np.testing.assert_allclose(in_one_order["affinity"], in_another["affinity"], rtol=1e-9)
    np.testing.assert_allclose(in_one_order["price_band"], in_another["price_band"], rtol=1e-9)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_active_days_are_a_set_of_days(steps):
    """Whatever the gaps, the active days of events in order are the number of distinct days."""
    days = np.cumsum(steps).tolist()
    row = profile_of([("view", T0_MS + day * p.DAY_MS, 0, 0, 0) for day in days])
    assert len(set(days)) == p.describe(row)["active_days"]


@given(st.lists(st.integers(0, 63), min_size=1, max_size=30))
def test_active_days_of_late_events_are_a_set_of_days(days):
    """An event that is up to 63 days late counts its day once."""
    row = profile_of([("view", T0_MS + day * p.DAY_MS, 0, 0, 0) for day in days])
    assert len(set(days)) == p.describe(row)["active_days"]


@given(st.lists(st.integers(0, 3 * p.SESSION_GAP_MS), min_size=1, max_size=12))
def test_a_longer_silence_starts_a_new_session(gaps_ms):
    """Views of the running session and the dwell time are those between silences of half an hour."""
    views_ms = [T0_MS + int(ms) for ms in np.cumsum(gaps_ms)]
    row = profile_of([("view", ts_ms, 0, 0, 0) for ts_ms in views_ms])
    gaps_ms = [later - earlier for earlier, later in pairwise(views_ms)]
    starts = [0, *(i for i, gap_ms in enumerate(gaps_ms, 1) if gap_ms > p.SESSION_GAP_MS)]
    assert (len(views_ms) - starts[-1], views_ms[starts[-1]]) == (
        row["session_views"],
        row["session_start_ms"],
    )
    assert sum(gap_ms // 1000 for gap_ms in gaps_ms if gap_ms <= p.SESSION_GAP_MS) == row["dwell_s"]


@pytest.mark.parametrize(
    ("pages", "intent"),
    [
        (["home"], "arriving"),
        (["home", "listing"], "browsing"),
        (["item", "item", "item"], "comparing"),
        (["item", "item", "item", "search"], "searching"),
        (["search", "cart"], "filling the cart"),
        (["checkout", "home"], "buying"),
    ],
)
def test_intent_is_the_furthest_step_of_the_session(pages, intent):
    """The intent goes by the furthest step towards an order, whatever came after it."""
    row = profile_of([("view", T0_MS + i, p.PAGE_CODES[page], 0, 0) for i, page in enumerate(pages)])
    assert intent == p.describe(row)["session_intent"]


def test_putting_an_item_into_the_cart_fills_the_cart():
    """An add-to-cart click counts for the intent as the cart's page does."""
    row = profile_of([("view", T0_MS, 0, 0, 0), ("click", T0_MS + 1, False, True, 0, 0)])
    assert "filling the cart" == p.describe(row)["session_intent"]


@pytest.mark.parametrize(
    ("price_micros", "band"), [(1, 0), (5_000_000, 0), (5_000_001, 1), (300_000_000, 4), (300_000_001, 5)]
)
def test_a_price_on_an_edge_belongs_to_the_band_below(price_micros, band):
    """Upper edges belong to their band; the last band has none."""
    assert band == p.price_band(price_micros)


def test_a_description_derives_rates_and_preferences():
    """Rates, order value, recency and preferences follow from the sums; without events they are unknown."""
    row = profile_of(
        [
            ("view", T0_MS, 0, 5, 1_000_000),
            ("view", T0_MS, 0, 5, 1_000_000),
            ("exposure", T0_MS, True),
            ("click", T0_MS, True, False, 7, 20_000_000),
            ("purchase", T0_MS, 30_000_000, [(7, 20_000_000)]),
            ("refund", T0_MS + 10_000, 10_000_000),
        ]
    )
    known = p.describe(row)
    expected = {
        "click_rate": 0.5,
        "own_click_rate": 1.0,
        "mean_order_micros": 20_000_000,
        "recency_s": 10.0,
        "preferred_category_bucket": 7,
        "preferred_price_band": 2,
    }
    assert expected == {name: known[name] for name in expected}
    unknown = p.describe(np.zeros(1, p.PROFILE)[0])
    assert (None, None, None, -1) == tuple(
        unknown[name] for name in ("click_rate", "mean_order_micros", "recency_s", "preferred_price_band")
    )


def test_a_row_is_448_bytes():
    """The documented size of a profile, on which the sizing of a worker rests."""
    assert 448 == p.PROFILE.itemsize
