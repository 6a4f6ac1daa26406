"""The rolling profile of a user: one fixed-size row, updated by one kernel an event.

Decayed sums use forward exponential decay at several half-lives (Cormode et al. 2009, "Forward decay"):
a sum is kept as of ``as_of_ms``, the newest event time seen; an older event is added with the weight
that it would have by now. So the order of arrival does not matter but for rounding; what belongs to the
running session (``session_*``, ``dwell_s``) goes by arrival. Whole counts are exact. Rows hold no text and
no id: only a 63-bit key.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

MINUTE_MS = 60_000
DAY_MS = 86_400_000

HALF_LIVES_MS = np.array([30 * MINUTE_MS, 2 * DAY_MS, 45 * DAY_MS], dtype=np.float64)
"""This session, these days, this season."""
SESSION, RECENT, SEASON = range(3)

DECAYED = ("views", "clicks", "purchases", "exposures", "own_exposures", "own_clicks", "spend")
VIEWS, CLICKS, PURCHASES, EXPOSURES, OWN_EXPOSURES, OWN_CLICKS, SPEND = range(7)

CATEGORY_BUCKETS = 12
PRICE_BANDS = 6
PRICE_BAND_EDGES_MICROS = np.array([5e6, 15e6, 40e6, 100e6, 300e6])
"""Upper edges of the price bands, in micros of the base currency."""

SESSION_GAP_MS = 30 * MINUTE_MS
"""A longer silence starts a new session (the web analytics convention)."""

AFFINITY_HALF_LIFE = SEASON
VIEW_WEIGHT, CLICK_WEIGHT, PURCHASE_WEIGHT = 1.0, 3.0, 10.0
"""What a view, a click and a bought line add to a category's affinity; a click and an order tell more."""

PAGES = ("home", "listing", "search", "item", "cart", "checkout", "other")
PAGE_CODES = {page: code for code, page in enumerate(PAGES)}
_SEARCH, _ITEM, _CART, _CHECKOUT = (PAGE_CODES[p] for p in ("search", "item", "cart", "checkout"))

INTENTS = ("arriving", "browsing", "comparing", "searching", "filling the cart", "buying")

PROFILE = np.dtype(
    [
        ("key", "i8"),
        ("as_of_ms", "i8"),  # newest event time; the decayed sums are as of it
        ("first_ms", "i8"),
        ("last_view_ms", "i8"),
        ("last_click_ms", "i8"),
        ("first_purchase_ms", "i8"),
        ("last_purchase_ms", "i8"),
        ("session_start_ms", "i8"),
        ("spend_micros", "i8"),  # less refunds
        ("active_days", "u8"),  # bit i: active i days before active_day
        ("active_day", "i4"),  # newest active day, days since 1970 in the shop's time zone
        ("earlier_active_days", "u4"),  # active days that have left the bits
        ("views", "u4"),
        ("clicks", "u4"),
        ("purchases", "u4"),
        ("refunds", "u4"),
        ("exposures", "u4"),
        ("own_exposures", "u4"),
        ("own_clicks", "u4"),
        ("dwell_s", "u4"),  # time between views of one session
        ("session_views", "u2"),
        ("session_items", "u2"),
        ("session_searches", "u2"),
        ("session_carts", "u2"),
        ("session_checkouts", "u2"),
        ("spare", "u2"),
        ("partition_hash", "u4"),  # of the user's Kafka key, see streams.routing; 0: not known
        ("decayed", "f8", (len(DECAYED), len(HALF_LIVES_MS))),
        ("affinity", "f8", (CATEGORY_BUCKETS,)),
        ("price_band", "f8", (PRICE_BANDS,)),
    ]
)
"""One user: 448 bytes."""

Rows = npt.NDArray[Any]


@njit(cache=True)
def _advance(row: Any, ts_ms: int, day: int) -> None:
    """Bring the row to the event's time: decay, first and last times, active days."""
    if row.first_ms == 0:
        row.first_ms = ts_ms
        row.as_of_ms = ts_ms
        row.active_day = day
    row.first_ms = min(row.first_ms, ts_ms)
    if ts_ms > row.as_of_ms:
        elapsed = np.float64(ts_ms - row.as_of_ms)
        for h in range(len(HALF_LIVES_MS)):
            keep = 2.0 ** (-elapsed / HALF_LIVES_MS[h])
            for kind in range(len(DECAYED)):
                row.decayed[kind, h] *= keep
        keep = 2.0 ** (-elapsed / HALF_LIVES_MS[AFFINITY_HALF_LIFE])
        for bucket in range(CATEGORY_BUCKETS):
            row.affinity[bucket] *= keep
        for band in range(PRICE_BANDS):
            row.price_band[band] *= keep
        row.as_of_ms = ts_ms
    if day > row.active_day:
        for _ in range(min(day - row.active_day, 64)):
            row.earlier_active_days += np.uint32(row.active_days >> np.uint64(63))
            row.active_days = row.active_days << np.uint64(1)
        row.active_day = day
    age = row.active_day - day
    if age < 64:
        row.active_days |= np.uint64(1) << np.uint64(age)


@njit(cache=True)
def _add(row: Any, kind: int, ts_ms: int, amount: float) -> None:
    late = np.float64(row.as_of_ms - ts_ms)
    for h in range(len(HALF_LIVES_MS)):
        # Most events are the newest of their profile: they need no power, which takes longer than all else.
        row.decayed[kind, h] += amount * 2.0 ** (-late / HALF_LIVES_MS[h]) if late else amount


@njit(cache=True)
def price_band(price_micros: int) -> int:
    """Band of a price: 0 is the cheapest."""
    band = 0
    while band < PRICE_BANDS - 1 and price_micros > PRICE_BAND_EDGES_MICROS[band]:
        band += 1
    return band


@njit(cache=True)
def _like(row: Any, ts_ms: int, category: int, price_micros: int, weight: float) -> None:
    """Add to the affinity of a category (0 is unknown) and of a price (0 is unknown)."""
    late = np.float64(row.as_of_ms - ts_ms)
    if late:
        weight *= 2.0 ** (-late / HALF_LIVES_MS[AFFINITY_HALF_LIFE])
    if category:
        row.affinity[category % CATEGORY_BUCKETS] += weight
    if price_micros:
        row.price_band[price_band(price_micros)] += weight


@njit(cache=True)
def see_view(
    rows: Rows, slot: int, ts_ms: int, day: int, page: int, category: int, price_micros: int
) -> None:
    """A page view; ``page`` is a code of ``PAGES``, ``category`` a stable key or 0."""
    row = rows[slot]
    gap_ms = ts_ms - row.last_view_ms
    _advance(row, ts_ms, day)
    if gap_ms > SESSION_GAP_MS:
        row.session_start_ms = ts_ms
        row.session_views = row.session_items = row.session_searches = 0
        row.session_carts = row.session_checkouts = 0
    elif gap_ms > 0:
        row.dwell_s += np.uint32(gap_ms // 1000)
    row.last_view_ms = max(row.last_view_ms, ts_ms)
    row.views += 1
    row.session_views = min(row.session_views + 1, 65535)
    if page == _ITEM:
        row.session_items = min(row.session_items + 1, 65535)
    elif page == _SEARCH:
        row.session_searches = min(row.session_searches + 1, 65535)
    elif page == _CART:
        row.session_carts = min(row.session_carts + 1, 65535)
    elif page == _CHECKOUT:
        row.session_checkouts = min(row.session_checkouts + 1, 65535)
    _add(row, VIEWS, ts_ms, 1.0)
    _like(row, ts_ms, category, price_micros, VIEW_WEIGHT)


@njit(cache=True)
def see_exposure(rows: Rows, slot: int, ts_ms: int, day: int, own: bool) -> None:
    """An ad or promotion was shown; ``own``: by a decision of ours."""
    row = rows[slot]
    _advance(row, ts_ms, day)
    row.exposures += 1
    _add(row, EXPOSURES, ts_ms, 1.0)
    if own:
        row.own_exposures += 1
        _add(row, OWN_EXPOSURES, ts_ms, 1.0)


@njit(cache=True)
def see_click(
    rows: Rows, slot: int, ts_ms: int, day: int, own: bool, to_cart: bool, category: int, price_micros: int
) -> None:
    """A click; ``own``: on a decision of ours; ``to_cart``: an item was put into the cart."""
    row = rows[slot]
    _advance(row, ts_ms, day)
    row.last_click_ms = max(row.last_click_ms, ts_ms)
    row.clicks += 1
    _add(row, CLICKS, ts_ms, 1.0)
    if own:
        row.own_clicks += 1
        _add(row, OWN_CLICKS, ts_ms, 1.0)
    if to_cart:
        row.session_carts = min(row.session_carts + 1, 65535)
    _like(row, ts_ms, category, price_micros, CLICK_WEIGHT)


@njit(cache=True)
def see_purchase(rows: Rows, slot: int, ts_ms: int, day: int, amount_micros: int) -> None:
    """An order; ``see_line`` takes what was bought."""
    row = rows[slot]
    _advance(row, ts_ms, day)
    if row.first_purchase_ms == 0 or ts_ms < row.first_purchase_ms:
        row.first_purchase_ms = ts_ms
    row.last_purchase_ms = max(row.last_purchase_ms, ts_ms)
    row.purchases += 1
    row.spend_micros += amount_micros
    _add(row, PURCHASES, ts_ms, 1.0)
    _add(row, SPEND, ts_ms, np.float64(amount_micros))


@njit(cache=True)
def see_line(rows: Rows, slot: int, ts_ms: int, category: int, price_micros: int) -> None:
    """A line of an order that ``see_purchase`` has taken; ``category`` is a stable key or 0."""
    _like(rows[slot], ts_ms, category, price_micros, PURCHASE_WEIGHT)


@njit(cache=True)
def see_refund(rows: Rows, slot: int, ts_ms: int, day: int, amount_micros: int) -> None:
    """Money paid back: taken off the spend, at the time of the refund."""
    row = rows[slot]
    _advance(row, ts_ms, day)
    row.refunds += 1
    row.spend_micros -= amount_micros
    _add(row, SPEND, ts_ms, -np.float64(amount_micros))


@njit(cache=True)
def preferred(weights: npt.NDArray[np.float64]) -> int:
    """Index of the largest weight; -1 where nothing is known."""
    best, index = 0.0, -1
    for i in range(len(weights)):
        if weights[i] > best:
            best, index = weights[i], i
    return index


@njit(cache=True)
def session_intent(row: Any) -> int:
    """What the session looks like: an index of ``INTENTS``, the furthest step towards an order."""
    if row.session_checkouts:
        return 5
    if row.session_carts:
        return 4
    if row.session_searches:
        return 3
    if row.session_items >= 3:
        return 2
    return 1 if row.session_views > 1 else 0


def describe(row: np.void) -> dict[str, Any]:
    """A row as plain numbers, with the rates, frequencies and preferences that derive from it."""

    def rate(part: int, whole: int) -> float | None:
        total = float(row["decayed"][whole, SEASON])
        return float(row["decayed"][part, SEASON]) / total if total > 0 else None

    active_days = int(row["active_days"]).bit_count() + int(row["earlier_active_days"])
    purchases = int(row["purchases"])
    months = (int(row["as_of_ms"]) - int(row["first_ms"])) / (30 * DAY_MS)
    counts = ("views", "clicks", "purchases", "refunds", "exposures", "own_exposures", "own_clicks")
    times = ("first_ms", "as_of_ms", "last_view_ms", "last_click_ms", "first_purchase_ms", "last_purchase_ms")
    return {
        **{name: int(row[name]) for name in (*counts, *times, "spend_micros", "dwell_s")},
        "active_days": active_days,
        "decayed": {
            kind: dict(zip(("30min", "2d", "45d"), row["decayed"][i].tolist(), strict=True))
            for i, kind in enumerate(DECAYED)
        },
        "click_rate": rate(CLICKS, VIEWS),
        "purchase_rate": rate(PURCHASES, VIEWS),
        "ad_exposure_rate": rate(EXPOSURES, VIEWS),
        "own_click_rate": rate(OWN_CLICKS, OWN_EXPOSURES),
        "purchases_per_month": purchases / max(months, 1.0),
        "mean_order_micros": int(row["spend_micros"]) // purchases if purchases else None,
        "mean_dwell_s": int(row["dwell_s"]) / max(int(row["views"]), 1),
        "recency_s": (int(row["as_of_ms"]) - int(row["last_purchase_ms"])) / 1000 if purchases else None,
        "preferred_category_bucket": preferred(row["affinity"]),
        "preferred_price_band": preferred(row["price_band"]),
        "affinity": row["affinity"].tolist(),
        "session_intent": INTENTS[session_intent(row)],
    }
