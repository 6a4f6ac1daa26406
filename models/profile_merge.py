"""Two profiles of one person become one, as if all of their events had been one user's.

| field | of two profiles |
|---|---|
| ``decayed``, ``affinity``, ``price_band`` | each decayed to the later ``as_of_ms``, then added |
| ``as_of_ms``, ``last_*_ms`` | the later |
| ``first_ms``, ``first_purchase_ms`` | the earlier that there is |
| counts, ``spend_micros``, ``dwell_s`` | added |
| ``active_days``, ``active_day`` | the days on which either was active, up to the later newest day |
| ``earlier_active_days`` | added: a day that has left the bits of both counts twice |
| ``session_*`` | added where the sessions are within ``SESSION_GAP_MS`` of each other, else the later one's |
| ``key``, ``partition_hash`` | of the profile that is merged into |

Which is merged into which makes no difference to any other field, and in which order three are merged to none
but ``session_*``, which goes by arrival anyway, and ``earlier_active_days`` (above). Sums of floats differ by
rounding.
"""

from typing import Any

import numpy as np
from numba import njit

from models.profiles import (
    AFFINITY_HALF_LIFE,
    CATEGORY_BUCKETS,
    DECAYED,
    HALF_LIVES_MS,
    PRICE_BANDS,
    SESSION_GAP_MS,
    Rows,
)

DAYS = 64
"""As many as ``active_days`` has bits."""
MAX_SHORT = 65_535


@njit(cache=True)
def merge(rows: Rows, slot: int, others: Rows, other: int) -> None:
    """Merge the profile ``others[other]`` into ``rows[slot]``; one that was never touched adds nothing."""
    into, of = rows[slot], others[other]
    if of.first_ms == 0:
        return
    if into.first_ms == 0:
        key, partition_hash = into.key, into.partition_hash
        rows[slot] = of
        into.key, into.partition_hash = key, partition_hash
        return
    _merge_sums(into, of)
    _merge_days(into, of)
    _merge_sessions(into, of)
    into.first_ms = min(into.first_ms, of.first_ms)
    if into.first_purchase_ms == 0 or 0 < of.first_purchase_ms < into.first_purchase_ms:
        into.first_purchase_ms = of.first_purchase_ms
    into.last_view_ms = max(into.last_view_ms, of.last_view_ms)
    into.last_click_ms = max(into.last_click_ms, of.last_click_ms)
    into.last_purchase_ms = max(into.last_purchase_ms, of.last_purchase_ms)
    into.spend_micros += of.spend_micros
    into.views += of.views
    into.clicks += of.clicks
    into.purchases += of.purchases
    into.refunds += of.refunds
    into.exposures += of.exposures
    into.own_exposures += of.own_exposures
    into.own_clicks += of.own_clicks
    into.dwell_s += of.dwell_s


@njit(cache=True)
def _merge_sums(into: Any, of: Any) -> None:
    as_of_ms = max(into.as_of_ms, of.as_of_ms)
    ours, theirs = np.float64(as_of_ms - into.as_of_ms), np.float64(as_of_ms - of.as_of_ms)
    for h in range(len(HALF_LIVES_MS)):
        keep, add = 2.0 ** (-ours / HALF_LIVES_MS[h]), 2.0 ** (-theirs / HALF_LIVES_MS[h])
        for kind in range(len(DECAYED)):
            into.decayed[kind, h] = into.decayed[kind, h] * keep + of.decayed[kind, h] * add
    keep = 2.0 ** (-ours / HALF_LIVES_MS[AFFINITY_HALF_LIFE])
    add = 2.0 ** (-theirs / HALF_LIVES_MS[AFFINITY_HALF_LIFE])
    for bucket in range(CATEGORY_BUCKETS):
        into.affinity[bucket] = into.affinity[bucket] * keep + of.affinity[bucket] * add
    for band in range(PRICE_BANDS):
        into.price_band[band] = into.price_band[band] * keep + of.price_band[band] * add
    into.as_of_ms = as_of_ms


@njit(cache=True)
def _merge_days(into: Any, of: Any) -> None:
    newest = max(into.active_day, of.active_day)
    ours, theirs = np.uint64(into.active_days), np.uint64(of.active_days)
    left = 0
    for _ in range(min(newest - into.active_day, DAYS)):
        left += int(ours >> np.uint64(DAYS - 1))
        ours = ours << np.uint64(1)
    for _ in range(min(newest - of.active_day, DAYS)):
        left += int(theirs >> np.uint64(DAYS - 1))
        theirs = theirs << np.uint64(1)
    into.active_days = ours | theirs
    into.earlier_active_days += of.earlier_active_days + np.uint32(left)
    into.active_day = newest


@njit(cache=True)
def _merge_sessions(into: Any, of: Any) -> None:
    """Before ``last_view_ms`` is merged: it ends the session."""
    apart_ms = max(into.session_start_ms, of.session_start_ms) - min(into.last_view_ms, of.last_view_ms)
    if apart_ms <= SESSION_GAP_MS:
        into.session_start_ms = min(into.session_start_ms, of.session_start_ms)
        into.session_views = min(into.session_views + of.session_views, MAX_SHORT)
        into.session_items = min(into.session_items + of.session_items, MAX_SHORT)
        into.session_searches = min(into.session_searches + of.session_searches, MAX_SHORT)
        into.session_carts = min(into.session_carts + of.session_carts, MAX_SHORT)
        into.session_checkouts = min(into.session_checkouts + of.session_checkouts, MAX_SHORT)
    elif of.last_view_ms > into.last_view_ms:
        into.session_start_ms = of.session_start_ms
        into.session_views = of.session_views
        into.session_items = of.session_items
        into.session_searches = of.session_searches
        into.session_carts = of.session_carts
        into.session_checkouts = of.session_checkouts
