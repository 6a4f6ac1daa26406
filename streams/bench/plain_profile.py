"""The plain peer's rolling user profile, and the features of a request and an ad."""

from math import log2
from typing import Any

from schemas.catalog import Ad

HALF_LIVES_MS = (1_800_000, 172_800_000, 3_888_000_000)  # a session, two days, 45 days
SESSION, RECENT, SEASON = range(3)
COUNTERS = ("views", "clicks", "purchases", "exposures", "own_exposures", "own_clicks", "spend")
SESSION_GAP_MS = 1_800_000
PRICE_BANDS_MICROS = (5_000_000, 15_000_000, 40_000_000, 100_000_000, 300_000_000)

Event = dict[str, Any]
Profile = dict[str, Any]
Request = dict[str, Any]
Features = dict[str, float]


def new_profile(ts_ms: int) -> Profile:
    """Rolling counters of one user, each to be decayed with every half-life; plain JSON."""
    return {
        "as_of_ms": ts_ms,
        "sums": {counter: [0.0] * len(HALF_LIVES_MS) for counter in COUNTERS},
        "categories": {},
        "prices": {},
        "session_views": 0,
        "last_purchase_ms": 0,
    }


def advance(profile: Profile, ts_ms: int) -> None:
    """Decay everything to an event's time."""
    elapsed_ms = ts_ms - profile["as_of_ms"]
    if elapsed_ms <= 0:
        return
    if elapsed_ms > SESSION_GAP_MS:
        profile["session_views"] = 0
    session, recent, season = (0.5 ** (elapsed_ms / half_life_ms) for half_life_ms in HALF_LIVES_MS)
    for sums in profile["sums"].values():
        sums[SESSION] *= session
        sums[RECENT] *= recent
        sums[SEASON] *= season
    for affinity in (profile["categories"], profile["prices"]):
        for key in affinity:
            affinity[key] *= season
    profile["as_of_ms"] = ts_ms


def count(profile: Profile, counter: str, amount: float = 1.0) -> None:
    """Add to a counter, for every half-life."""
    sums = profile["sums"][counter]
    for i in range(len(sums)):
        sums[i] += amount


def like(profile: Profile, category: str, price_micros: int, weight: float) -> None:
    """Add to the affinity for a category and for a price band."""
    if category:
        categories = profile["categories"]
        categories[category] = categories.get(category, 0.0) + weight
    if price_micros:
        prices = profile["prices"]
        band = str(sum(price_micros > edge for edge in PRICE_BANDS_MICROS))  # as JSON wants its keys
        prices[band] = prices.get(band, 0.0) + weight


def request_of(event: Event, slot: Event, profile: Profile) -> Request:
    """What is known when an ad is asked for; another system's exposure is its own slot."""
    sums = profile["sums"]
    segments = (*event.get("segments", ()), "", "", "", "")
    last_purchase_ms = profile["last_purchase_ms"]
    return {
        "shop": event.get("shop_id", "main"),
        "page": event["page"],
        "slot": slot["slot_id"],
        "position": slot.get("position", 0),
        "device": event.get("device", ""),
        "country": event.get("country", ""),
        "category": event.get("category", ""),
        "segment_1": segments[0],
        "segment_2": segments[1],
        "segment_3": segments[2],
        "segment_4": segments[3],
        "user": event["user_id"],
        "hour": event["ts_ms"] // 3_600_000 % 24,
        "intent": min(profile["session_views"], 5),
        "views_session": _log_bin(sums["views"][SESSION]),
        "views_season": _log_bin(sums["views"][SEASON]),
        "click_rate": _rate_bin(sums["clicks"][SEASON], sums["views"][SEASON]),
        "own_click_rate": _rate_bin(sums["own_clicks"][SEASON], sums["own_exposures"][SEASON]),
        "ads_recent": _log_bin(sums["exposures"][RECENT]),
        "purchases_season": _log_bin(sums["purchases"][SEASON]),
        "since_purchase": _log_bin(
            (profile["as_of_ms"] - last_purchase_ms) / 3.6e6 if last_purchase_ms else 0
        ),
        "preferred_category": _preferred(profile["categories"]),
        "price_band": _preferred(profile["prices"]),
    }


def request_features(request: Request) -> Features:
    """Features of a request alone."""
    return {f"{name}={value}": 1.0 for name, value in request.items()}


def ad_features(ad: Ad) -> Features:
    """Features of an ad alone."""
    names = ("ad", "campaign", "ad_category", *(f"ad_feature_{n}" for n in range(1, 5)))
    values = (ad.ad_id, ad.campaign_id, ad.category, *(*ad.features, "", "", "", "")[:4])
    return {f"{name}={value}": 1.0 for name, value in zip(names, values, strict=True)}


def joined(request: Request, of_request: Features, ad: Ad, of_ad: Features) -> Features:
    """All features of one ad for one request: those of either, and their crosses."""
    return {
        **of_request,
        **of_ad,
        f"ad={ad.ad_id} x position={request['position']}": 1.0,
        f"ad={ad.ad_id} x device={request['device']}": 1.0,
        f"ad_category={ad.category} x category={request['category']}": 1.0,
        f"ad_category={ad.category} x preferred={request['preferred_category']}": 1.0,
    }


def _log_bin(x: float) -> int:
    return 1 + int(2 * log2(1 + x)) if x > 0 else 0


def _rate_bin(part: float, whole: float) -> int:
    return 20 + int(2 * log2(min((part + 0.05) / (whole + 1), 1.0))) if whole > 0 else 0


def _preferred(affinity: dict[str, float]) -> str:
    return max(affinity, key=affinity.__getitem__) if affinity else ""
