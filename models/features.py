"""The feature spec: what the learners see of a request, a user and an ad.

Every feature is one bucket out of ``2**bits`` with the value 1; a number is binned first, a missing value
is a value of its own. An example's buckets stand in the order of ``FEATURES``: the context (known before
any ad is looked at), the ad, and their crosses.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models import profiles as p
from models.hashing import bucket_of, mix

REQUEST = (
    "shop", "page", "slot", "position", "device", "country", "category",
    "segment_1", "segment_2", "segment_3", "segment_4", "user",
)  # fmt: skip
"""Taken from the request, as stable keys."""

DERIVED = (
    "hour", "intent", "views_session", "views_season", "click_rate", "own_click_rate",
    "ads_recent", "purchases_season", "since_purchase", "preferred_category", "price_band",
)  # fmt: skip
"""Derived from the time and the profile, binned."""

CONTEXT = ("bias", *REQUEST, *DERIVED)
AD = ("ad", "campaign", "ad_category", "ad_feature_1", "ad_feature_2", "ad_feature_3", "ad_feature_4")
CROSSED = (
    ("ad", "position"),
    ("ad", "device"),
    ("ad_category", "category"),
    ("ad_category", "preferred_category"),
)
CROSSES = tuple(f"{ad} x {context}" for ad, context in CROSSED)
FEATURES = (*CONTEXT, *AD, *CROSSES)
CALIBRATION = "calibration"
"""What shares of a logit name beside ``FEATURES``: by how much it was bent (``models.calibration``)."""

GROUPS = {
    "baseline": ("bias", "shop"),
    "place": ("page", "slot", "position", "category"),
    "situation": ("device", "country", "hour"),
    "user": ("segment_1", "segment_2", "segment_3", "segment_4", "user"),
    "history": tuple(name for name in DERIVED if name != "hour"),
    "ad": AD,
    "match": CROSSES,
}
"""What a person reads; every feature is in one."""
OTHER = "other"
"""Group of features that this release does not know."""
GROUP_OF = {feature: group for group, features in GROUPS.items() for feature in features} | {
    CALIBRATION: CALIBRATION
}

WORDS = tuple(name for name in REQUEST if name not in ("position", "user"))
"""What the shop's words say: a shop has few combinations of them."""
_WORD_FIELDS = np.array([CONTEXT.index(word) for word in WORDS])
_POSITION, _USER = CONTEXT.index("position"), CONTEXT.index("user")
_CROSS_AD = np.array([AD.index(ad) for ad, _ in CROSSED])
_CROSS_CONTEXT = np.array([CONTEXT.index(context) for _, context in CROSSED])
_FIRST_DERIVED = 1 + len(REQUEST)
_FIRST_AD = len(CONTEXT)
_FIRST_CROSS = len(CONTEXT) + len(AD)

Buckets = npt.NDArray[np.uint32]


def by_group(shares: Mapping[str, float]) -> dict[str, float]:
    """Sums of the features' shares of a logit by group, strongest first; their sum is the logit, too.

    >>> by_group({"bias": -2.0, "ad": 0.5, "campaign": 0.25, "gone": 0.125})
    {'baseline': -2.0, 'ad': 0.75, 'other': 0.125}
    """
    sums: dict[str, float] = {}
    for feature, share in shares.items():
        group = GROUP_OF.get(feature, OTHER)
        sums[group] = sums.get(group, 0.0) + share
    return dict(sorted(sums.items(), key=lambda item: abs(item[1]), reverse=True))


@njit(cache=True)
def log_bin(x: float) -> int:
    """0 for nothing (or less), else 1 + floor(2 log2(1 + x)), at most 30: a bin a factor of 1.4.

    Extreme and infinite values share the last bin; NaN counts as nothing.
    """
    if not x > 0.0:
        return 0
    return min(1 + int(2.0 * np.log2(1.0 + min(x, 1e6))), 30)


@njit(cache=True)
def rate_bin(part: float, whole: float) -> int:
    """A rate smoothed by one pseudo-event of 5%, in bins of a factor of 1.4; 0 without any event."""
    if not whole > 0.01:
        return 0
    rate = (part + 0.05) / (whole + 1.0)
    return max(1, 20 + int(np.floor(2.0 * np.log2(min(rate, 1.0)))))


@njit(cache=True)
def request_buckets(words: npt.NDArray[np.int64], mask: int, out: Buckets) -> None:
    """Fill ``out[:len(WORDS)]`` from the stable keys of a request's words, in the order of ``WORDS``."""
    for i in range(len(WORDS)):
        out[i] = bucket_of(_WORD_FIELDS[i], words[i], mask)


@njit(cache=True)
def context_buckets(
    profiles: npt.NDArray[Any], slot: int, words: Buckets, position: int, user: int, ts_ms: int, mask: int,
    out: Buckets,
) -> None:  # fmt: skip
    """Fill ``out[:len(CONTEXT)]`` for one request.

    ``words`` are its ``request_buckets``, ``user`` is the key of the user and ``slot`` the row of the user's
    profile.
    """
    row = profiles[slot]
    # Read the sums as of now: the row is as of the user's newest event.
    session = 2.0 ** (-max(ts_ms - row.as_of_ms, 0) / p.HALF_LIVES_MS[p.SESSION])
    out[0] = bucket_of(0, 0, mask)
    for i in range(len(WORDS)):
        out[_WORD_FIELDS[i]] = words[i]
    out[_POSITION] = bucket_of(_POSITION, position + 1, mask)
    out[_USER] = bucket_of(_USER, user, mask)
    i = _FIRST_DERIVED
    season = row.decayed[:, p.SEASON]
    since_purchase_h = (ts_ms - row.last_purchase_ms) / 3.6e6 if row.last_purchase_ms else 0.0
    out[i] = bucket_of(i, ts_ms // 3_600_000 % 24, mask)
    out[i + 1] = bucket_of(i + 1, p.session_intent(row), mask)
    out[i + 2] = bucket_of(i + 2, log_bin(row.decayed[p.VIEWS, p.SESSION] * session), mask)
    out[i + 3] = bucket_of(i + 3, log_bin(season[p.VIEWS]), mask)
    out[i + 4] = bucket_of(i + 4, rate_bin(season[p.CLICKS], season[p.VIEWS]), mask)
    out[i + 5] = bucket_of(i + 5, rate_bin(season[p.OWN_CLICKS], season[p.OWN_EXPOSURES]), mask)
    out[i + 6] = bucket_of(i + 6, log_bin(row.decayed[p.EXPOSURES, p.RECENT]), mask)
    out[i + 7] = bucket_of(i + 7, log_bin(season[p.PURCHASES]), mask)
    out[i + 8] = bucket_of(i + 8, log_bin(since_purchase_h), mask)
    out[i + 9] = bucket_of(i + 9, 1 + p.preferred(row.affinity), mask)
    out[i + 10] = bucket_of(i + 10, 1 + p.preferred(row.price_band), mask)


@njit(cache=True)
def ad_buckets(tokens: npt.NDArray[np.int64], mask: int, out: Buckets) -> None:
    """Fill ``out[:len(AD)]`` from the stable keys of an ad, in the order of ``AD``."""
    for i in range(len(AD)):
        out[i] = bucket_of(_FIRST_AD + i, tokens[i], mask)


@njit(cache=True, inline="always")
def cross_bucket(cross: int, context: Buckets, ad: Buckets, mask: int) -> np.uint32:
    """Bucket of a cross, from the buckets of its two sides."""
    left = np.uint64(ad[_CROSS_AD[cross]])
    right = np.uint64(context[_CROSS_CONTEXT[cross]])
    return np.uint32(mix(mix(left + np.uint64(_FIRST_CROSS + cross)) ^ right) & np.uint64(mask))


@njit(cache=True)
def join_buckets(context: Buckets, ads: npt.NDArray[Any], row: int, mask: int, out: Buckets) -> None:
    """Fill ``out`` with all of ``FEATURES`` for one context and the ad in a row of ``ads``."""
    ad = ads[row].buckets
    for i in range(len(CONTEXT)):
        out[i] = context[i]
    for i in range(len(AD)):
        out[_FIRST_AD + i] = ad[i]
    for i in range(len(CROSSED)):
        out[_FIRST_CROSS + i] = cross_bucket(i, context, ad, mask)
