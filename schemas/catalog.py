"""The shop's catalogue: shops, campaigns, ads, promotions, items, switches; topic `catalog`, compacted.

The Kafka key is ``<type>:<shop_id>:<id>``; a record without a value deletes the entry. A change takes
effect without a restart.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder

from schemas.bounds import Id, Label, Micros, OptionalId, TimestampMs

Targets = Annotated[tuple[Label, ...], Meta(max_length=64)]
"""Words of which one must match the request; empty matches every request."""

OptionalTimestampMs = Annotated[int, Meta(ge=0)]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]


class Rate(Struct, frozen=True):
    """From ``date`` on, one unit of ``currency`` is worth ``micros`` millionths of the base currency."""

    currency: CurrencyCode
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """ISO date (UTC) from which the rate holds."""
    micros: Annotated[int, Meta(gt=0)]


class Shop(Struct, frozen=True, tag="shop"):
    """A shop; what is learned and kept is never shared between shops' users."""

    shop_id: Id
    currency: CurrencyCode = "USD"
    """Base currency, in which profiles and outcomes are kept."""
    time_zone: Label = "UTC"
    """IANA name; calendar days of profiles are days of this zone."""
    rates: tuple[Rate, ...] = ()


class Campaign(Struct, frozen=True, tag="campaign"):
    """A flight that ads and promotions belong to."""

    campaign_id: Id
    shop_id: Id = "main"
    name: Annotated[str, Meta(max_length=200)] = ""
    start_ms: OptionalTimestampMs = 0
    end_ms: OptionalTimestampMs = 0
    """First millisecond after the flight; 0 is open."""
    active: bool = True


class Ad(Struct, frozen=True, tag="ad"):
    """An ad that may be placed; paid per click."""

    ad_id: Id
    campaign_id: Id
    bid_micros: Micros
    """What the advertiser pays for one click, in the shop's base currency."""
    shop_id: Id = "main"
    category: Label = ""
    features: Annotated[tuple[Label, ...], Meta(max_length=4)] = ()
    """Up to four words about the content; each is a feature by its place."""
    slots: Targets = ()
    pages: Targets = ()
    categories: Targets = ()
    devices: Targets = ()
    countries: Targets = ()
    active: bool = True


class Promotion(Struct, frozen=True, tag="promotion"):
    """A promotion that may be offered on a page that asks for one."""

    promotion_id: Id
    campaign_id: Id
    shop_id: Id = "main"
    name: Annotated[str, Meta(max_length=200)] = ""
    kind: Literal["percent_off", "amount_off", "coupon"] = "coupon"
    value: Annotated[int, Meta(ge=0)] = 0
    """Percent for ``percent_off``, micros of the base currency for the others."""
    coupon_ids: Annotated[tuple[OptionalId, ...], Meta(max_length=1000)] = ()
    """Coupons that redeem this promotion."""
    slots: Targets = ()
    pages: Targets = ()
    categories: Targets = ()
    active: bool = True


class Item(Struct, frozen=True, tag="item"):
    """An item of the shop's assortment."""

    item_id: Id
    shop_id: Id = "main"
    category: Label = ""
    price_micros: Micros = 0


class Switch(Struct, frozen=True, tag="switch"):
    """Decisions were paused, or resumed: of one shop, or of all; the newest entry of each holds.

    A shop is paused by its own switch or by that of all shops. Every switching is an entry with an id, and so
    a key, of its own: compaction keeps them all, and the topic tells who did it, when and why.
    """

    switch_id: Id
    """Names this switching."""
    paused: bool
    """Whether no decision chooses anything from now on."""
    by: Annotated[str, Meta(min_length=1, max_length=200)]
    """Who did it."""
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    """Why."""
    ts_ms: TimestampMs
    """When, by the clock of who did it."""
    shop_id: OptionalId = ""
    """Which shop; empty is every shop."""


Entry = Shop | Campaign | Ad | Promotion | Item | Switch

decode_entry = Decoder(Entry).decode


def entry_key(entry: Entry) -> str:
    """Kafka key of a catalogue entry.

    >>> entry_key(Item(item_id="i1"))
    'item:main:i1'
    """
    match entry:
        case Shop():
            return f"shop:{entry.shop_id}:{entry.shop_id}"
        case Campaign():
            return f"campaign:{entry.shop_id}:{entry.campaign_id}"
        case Ad():
            return f"ad:{entry.shop_id}:{entry.ad_id}"
        case Promotion():
            return f"promotion:{entry.shop_id}:{entry.promotion_id}"
        case Item():
            return f"item:{entry.shop_id}:{entry.item_id}"
        case Switch():
            return f"switch:{entry.shop_id}:{entry.switch_id}"
