"""Histories of one user, and the profiles that they come to."""

import numpy as np
from hypothesis import strategies as st

from models import profiles as p

T0_MS = 1_700_000_000_000

times_ms = st.integers(T0_MS, T0_MS + 60 * p.DAY_MS)
categories = st.integers(0, 40)
prices_micros = st.sampled_from([0, 1_000_000, 20_000_000, 10**9])

views = st.tuples(st.just("view"), times_ms, st.integers(0, len(p.PAGES) - 1), categories, prices_micros)
exposures = st.tuples(st.just("exposure"), times_ms, st.booleans())
clicks = st.tuples(st.just("click"), times_ms, st.booleans(), st.booleans(), categories, prices_micros)
purchases = st.tuples(
    st.just("purchase"),
    times_ms,
    st.integers(0, 10**12),
    st.lists(st.tuples(categories, prices_micros), min_size=1, max_size=3),
)
refunds = st.tuples(st.just("refund"), times_ms, st.integers(0, 10**12))
histories = st.lists(st.one_of(views, exposures, clicks, purchases, refunds), min_size=1, max_size=12)


def day_of(ts_ms):
    return ts_ms // p.DAY_MS


def profile_of(history, rows=None):
    """The row of a user with these events, in this order; ``rows`` has what there was before."""
    rows = np.zeros(1, p.PROFILE) if rows is None else rows
    for kind, ts_ms, *rest in history:
        match kind:
            case "view":
                p.see_view(rows, 0, ts_ms, day_of(ts_ms), *rest)
            case "exposure":
                p.see_exposure(rows, 0, ts_ms, day_of(ts_ms), *rest)
            case "click":
                p.see_click(rows, 0, ts_ms, day_of(ts_ms), *rest)
            case "purchase":
                amount_micros, lines = rest
                kinds, prices = np.array(lines, dtype=np.int64).T.copy()
                p.see_purchase(rows, 0, ts_ms, day_of(ts_ms), amount_micros)
                for kind, price in zip(kinds, prices, strict=True):
                    p.see_line(rows, 0, ts_ms, kind, price)
            case "refund":
                p.see_refund(rows, 0, ts_ms, day_of(ts_ms), *rest)
    return rows[0]
