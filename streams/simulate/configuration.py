"""What a synthetic shop is like: typed TOML, of which `base` and `other` are shipped.

README.md beside this says what each assumption rests on.
"""

import tomllib
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from schemas.bounds import MAX_TS_MS, MIN_TS_MS

NAMES = ("base", "other")
"""Shipped. Nothing is tuned on `other`."""

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(gt=0, lt=1)]
Amount = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Hours = Annotated[float, Meta(ge=0, lt=24)]
LogOdds = float


class ConfigurationError(ValueError):
    """There is no such configuration, or it cannot be used."""


class Delay(Struct, frozen=True, forbid_unknown_fields=True):
    """How long after a cause its effect comes."""

    kind: Literal["exponential", "lomax"]
    """``lomax`` (Pareto II) has a heavy tail: P(longer than t) falls as a power of t."""
    mean_s: Seconds
    shape: Annotated[float, Meta(gt=1)] = 2.0
    """Of ``lomax``: the power; the smaller, the heavier. At 2 and below the variance is infinite."""
    category_sd: Amount = 0.0
    """Spread of the log of the mean between categories of ads; for `clicks.delay` and `purchases.delay`."""


class ShopSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The shop itself, and how much goes on in it."""

    sessions_per_day: Annotated[float, Meta(gt=0)]
    start: str = "2025-06-02T00:00:00+00:00"
    """Time of the first events, ISO 8601 with its offset from UTC."""
    shop_id: str = "main"
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "EUR"
    items: Count = 1000


class Users(Struct, frozen=True, forbid_unknown_fields=True):
    """Who comes."""

    count: Count
    activity_exponent: Amount
    """Sessions of the r-th most active user go as r to minus this (Zipf's law); 0: all alike."""
    styles: Annotated[int, Meta(ge=2)]
    """Words of the first segment, which say something of a user's tastes."""
    ages: Annotated[int, Meta(ge=2)]
    """Words of the second segment, which do so too."""
    click_sd: Amount
    """Spread of the users' general readiness to click, in log odds."""


class Tastes(Struct, frozen=True, forbid_unknown_fields=True):
    """The latent factors of users and ads."""

    dimensions: Count
    scale: Amount
    """Spread of the interaction of user and ad, in log odds; 0 leaves a purely additive shop."""
    segment_share: Share
    """Of a taste's variance what the user's segments explain; the rest is the user's own."""
    feature_share: Share
    """Of an ad's appeal what its category and style explain; the rest is the ad's own."""
    interest: Amount
    """How strongly tastes decide which category a user looks at."""


class Ads(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be shown."""

    count: Count
    campaigns: Count
    house: Count
    """Ads without targeting, so that every request has a candidate."""
    styles: Annotated[int, Meta(ge=2)]
    brands: Count
    target_categories: Annotated[int, Meta(ge=1, le=10)]
    target_pages: Annotated[int, Meta(ge=1, le=5)]
    target_devices: Annotated[int, Meta(ge=1, le=3)]
    quality_sd: Amount
    """Spread between ads whoever looks, in log odds."""
    match_boost: LogOdds
    """Of an ad whose category is the page's."""
    device_format_sd: Amount
    """Spread of the interaction of device and the ad's format, in log odds."""


class Pages(Struct, frozen=True, forbid_unknown_fields=True):
    """How users browse."""

    views_per_session: Annotated[float, Meta(ge=1)]
    """Mean of a geometric distribution."""
    think_s: Seconds
    """Mean time between two views of a session, exponential."""
    ask_share: Share
    """Views that ask for ads: in all slots of their page."""
    render_s: Seconds
    """Mean time between a view and its exposures, exponential."""
    wander_share: Share
    """Views of another category than the session's."""
    item_click_share: Share
    """Item pages that were reached by a click on an item."""
    cart_share: Share
    """Item pages from which the item is put into the cart."""


class Clicks(Struct, frozen=True, forbid_unknown_fields=True):
    """Clicks on ads."""

    rate: Rate
    """Mean click probability at the first position of what the logging policy shows."""
    position_exponent: Amount
    """Position k is looked at with probability k to minus this."""
    evening_boost: LogOdds
    """Amplitude over the day, highest at 21:00 UTC."""
    delay: Delay


class Purchases(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders that clicks on ads lead to, and what is paid back of any order."""

    rate: Rate
    """Mean purchase probability of the clicks at the first position under the logging policy."""
    taste_scale: LogOdds
    """What the interaction of user and ad adds, in log odds a standard deviation."""
    ad_sd: Amount
    user_sd: Amount
    delay: Delay
    refund_share: Share
    refund_delay: Delay


class Promotions(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders that nobody's ad led to, and what promotions change about them."""

    count: Count
    ask_share: Share
    """Sessions whose first view asks for a promotion."""
    order_rate: Rate
    """Mean probability that a session without a promotion leads to an order."""
    effect_mean: LogOdds
    effect_sd: Amount
    """Spread between promotions, in log odds."""
    user_sd: Amount
    """Spread of one promotion's effect between users, in log odds: half by their tastes, half their own."""
    click_rate: Rate
    """Clicks on a promotion out of mere curiosity; whoever redeems one has clicked, too."""
    delay: Delay


class Day(Struct, frozen=True, forbid_unknown_fields=True):
    """When sessions begin: a floor and peaks around some hours, UTC."""

    peaks_h: tuple[Hours, ...]
    widths_h: tuple[Annotated[float, Meta(gt=0)], ...]
    weights: tuple[Annotated[float, Meta(gt=0)], ...]
    """Share of each peak in a day's sessions; the rest comes evenly over the day."""

    def __post_init__(self) -> None:
        if not len(self.peaks_h) == len(self.widths_h) == len(self.weights):
            raise ValueError("Expected as many `widths_h` and `weights` as `peaks_h`")
        if sum(self.weights) > 1:
            raise ValueError("Expected `weights` that sum to at most 1")


class Logging(Struct, frozen=True, forbid_unknown_fields=True):
    """The policy whose choices a log holds."""

    temperature: Annotated[float, Meta(gt=0)]
    floor: Share
    """Of the probability what is spread evenly over the candidates."""


class Drift(Struct, frozen=True, forbid_unknown_fields=True):
    """How tastes for ads change with time; the truth follows."""

    kind: Literal["none", "abrupt", "gradual", "recurring"] = "none"
    start_day: Amount = 1.0
    """Days after the start until which nothing changes."""
    length_days: Annotated[float, Meta(gt=0)] = 2.0
    """How long a gradual change takes, or the period of a recurring one."""
    extent: Share = 1.0
    """1: nothing of the old interactions is left."""


class Bots(Struct, frozen=True, forbid_unknown_fields=True):
    """Users that are no people."""

    share: Share = 0.0
    """Of the sessions."""
    count: Count = 30
    """How many there are, of each of the three kinds a third."""
    click_share: Share = 0.9
    """Of what they are shown."""


class Configuration(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole shop."""

    shop: ShopSection
    users: Users
    tastes: Tastes
    ads: Ads
    pages: Pages
    clicks: Clicks
    purchases: Purchases
    promotions: Promotions
    day: Day
    logging: Logging
    drift: Drift = field(default_factory=Drift)
    bots: Bots = field(default_factory=Bots)

    def __post_init__(self) -> None:
        if self.ads.house > self.ads.count:
            raise ValueError("Expected `ads.house` <= `ads.count`")
        if self.promotions.delay.category_sd or self.purchases.refund_delay.category_sd:
            raise ValueError("Expected `category_sd` in `clicks.delay` and `purchases.delay` only")
        try:
            inside = MIN_TS_MS <= start_ms(self) <= MAX_TS_MS
        except (ValueError, OverflowError):
            inside = False
        if not inside:
            raise ValueError("Expected `shop.start` as an ISO 8601 time from 2000 to 2100")


def start_ms(configuration: Configuration) -> int:
    """The configured start in milliseconds since 1970; a time without an offset is UTC."""
    start = datetime.fromisoformat(configuration.shop.start)
    return int((start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp() * 1000)


def load(name: str) -> Configuration:
    """A shipped configuration by its name, or that of a TOML file.

    Raises:
        ConfigurationError: It is not there, is no TOML, or breaks a bound.

    >>> load("base").bots.share
    0.0
    """
    try:
        if name in NAMES:
            text = (files("streams.simulate") / f"{name}.toml").read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
        return msgspec.convert(tomllib.loads(text), Configuration)
    except OSError as error:
        raise ConfigurationError(
            f"Configuration {name}: {error.strerror}; expected {', '.join(NAMES)} or a TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"Configuration {name}: {error}") from None


def changed(
    configuration: Configuration, drift: str | None = None, bots_share: float | None = None
) -> Configuration:
    """The configuration with another kind of drift, another share of bots, or both."""
    changes: dict[str, Any] = {}
    if drift is not None:
        changes["drift"] = replace(configuration.drift, kind=drift)
    if bots_share is not None:
        changes["bots"] = replace(configuration.bots, share=bots_share)
    return replace(configuration, **changes)
