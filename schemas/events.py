"""The events that shops send: `views`, `clicks` and `purchases`.

Every event carries ``event_id`` (unique per shop inside the duplicate horizon), ``shop_id``,
``user_id`` (the Kafka key) and ``ts_ms``. Unknown fields are ignored; a wrong type, a missing id or a
broken bound raises ``msgspec.ValidationError``. Encoding leaves out fields that have their default.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder

from schemas.bounds import Currency, DecisionId, Id, Label, Micros, OptionalId, Probability, TimestampMs

Page = Literal["home", "listing", "search", "item", "cart", "checkout", "other"]
"""Kind of page."""

Position = Annotated[int, Meta(ge=0, le=1000)]
"""Rank on the page, 1 is the top; 0 is unknown."""

Segments = Annotated[tuple[Label, ...], Meta(max_length=4)]
"""Up to four words of the shop about the user or the visit; each is a feature by its place."""

Purpose = Literal["profile", "personalisation"]
"""What a user may agree to: that a profile is kept and used, and that this event's decisions go by it."""

Consent = Annotated[tuple[Purpose, ...], Meta(max_length=16)] | None
"""The purposes that the user has agreed to; empty is none. Absent: what ``consent.when_absent`` says."""


class Slot(Struct, frozen=True, gc=False, omit_defaults=True):
    """A place on a page that asks for one decision."""

    slot_id: Id
    """Name of the place, for example ``home-top``."""
    kind: Literal["ad", "promotion"] = "ad"
    """What may stand there."""
    position: Position = 0


class View(Struct, frozen=True, gc=False, omit_defaults=True, tag="view"):
    """A page view; with ``slots`` it asks for decisions."""

    event_id: Id
    user_id: Id
    ts_ms: TimestampMs
    page: Page
    shop_id: Id = "main"
    session_id: OptionalId = ""
    item_id: OptionalId = ""
    """The item shown on an item page."""
    category: Label = ""
    """Category of the page or of its item."""
    price_micros: Micros = 0
    """Price of the item shown, in the shop's base currency; 0 is unknown."""
    device: Label = ""
    country: Label = ""
    segments: Segments = ()
    slots: Annotated[tuple[Slot, ...], Meta(max_length=16)] = ()
    """The places that ask for a decision; the index in this list is part of the decision's identity."""
    anonymous_id: OptionalId = ""
    """Under which this user was known before the login, where that is another id: what is known of it becomes
    the user's."""
    consent: Consent = None
    """The purposes that the user has agreed to, empty for none; without `profile` nothing personal is kept of
    the event."""


class Exposure(Struct, frozen=True, gc=False, omit_defaults=True, tag="exposure"):
    """An ad or promotion was shown.

    It echoes our decision (``decision_id``), or reports another system's choice with the propensity it
    was made with, so that foreign logs can warm the learners. It names an ad or a promotion, never both.
    """

    event_id: Id
    user_id: Id
    ts_ms: TimestampMs
    shop_id: Id = "main"
    session_id: OptionalId = ""
    decision_id: DecisionId = ""
    ad_id: OptionalId = ""
    promotion_id: OptionalId = ""
    propensity: Probability | None = None
    """With which probability the other system chose this; absent for our own decisions."""
    slot_id: OptionalId = ""
    position: Position = 0
    page: Page = "other"
    category: Label = ""
    device: Label = ""
    country: Label = ""
    segments: Segments = ()
    consent: Consent = None
    """The purposes that the user has agreed to, empty for none; without `profile` nothing personal is kept of
    the event."""

    def __post_init__(self) -> None:
        if bool(self.ad_id) == bool(self.promotion_id):
            raise ValueError("Expected exactly one of `ad_id` and `promotion_id`")
        if not self.decision_id and self.propensity is None:
            raise ValueError("Expected `decision_id` or `propensity`, got neither")


class Click(Struct, frozen=True, gc=False, omit_defaults=True, tag="click"):
    """A click on an ad or a promotion, on an item, or add-to-cart.

    Of an ad or a promotion it names the decision or the exposure that was clicked.
    """

    event_id: Id
    user_id: Id
    ts_ms: TimestampMs
    kind: Literal["ad", "promotion", "item", "add_to_cart"]
    """What was clicked."""
    shop_id: Id = "main"
    session_id: OptionalId = ""
    decision_id: DecisionId = ""
    """The decision that was clicked."""
    exposure_id: OptionalId = ""
    """``event_id`` of the exposure that was clicked, where another system had made the choice."""
    ad_id: OptionalId = ""
    promotion_id: OptionalId = ""
    item_id: OptionalId = ""
    category: Label = ""
    price_micros: Micros = 0
    """Price of the item, in the shop's base currency; 0 is unknown."""
    anonymous_id: OptionalId = ""
    """Under which this user was known before the login, where that is another id: what is known of it becomes
    the user's."""
    consent: Consent = None
    """The purposes that the user has agreed to, empty for none; without `profile` nothing personal is kept of
    the event."""

    def __post_init__(self) -> None:
        if self.kind in ("ad", "promotion") and not self.decision_id and not self.exposure_id:
            raise ValueError(f"Expected `decision_id` or `exposure_id` on a click of kind `{self.kind}`")


class Line(Struct, frozen=True, gc=False, omit_defaults=True):
    """One line of an order."""

    item_id: Id
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    """How many were bought."""
    unit_price_micros: Micros
    """Price of one, after discounts, in the currency of the order."""
    category: Label = ""


class Purchase(Struct, frozen=True, gc=False, omit_defaults=True, tag="purchase"):
    """An order that was placed and paid."""

    event_id: Id
    user_id: Id
    ts_ms: TimestampMs
    order_id: Id
    amount_micros: Micros
    """What the customer paid for the whole order, in ``currency``."""
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=1000)]
    """What was bought."""
    shop_id: Id = "main"
    session_id: OptionalId = ""
    currency: Currency = ""
    coupon_id: OptionalId = ""
    discount_micros: Micros = 0
    """What coupons and promotions took off, in ``currency``."""
    anonymous_id: OptionalId = ""
    """Under which this user was known before the login, where that is another id: what is known of it becomes
    the user's."""
    consent: Consent = None
    """The purposes that the user has agreed to, empty for none; without `profile` nothing personal is kept of
    the event."""


class Refund(Struct, frozen=True, gc=False, omit_defaults=True, tag="refund"):
    """An order, or a part of it, was paid back."""

    event_id: Id
    user_id: Id
    ts_ms: TimestampMs
    order_id: Id
    amount_micros: Micros
    """What was paid back this time, in ``currency``."""
    shop_id: Id = "main"
    currency: Currency = ""
    consent: Consent = None
    """The purposes that the user has agreed to, empty for none; without `profile` nothing personal is kept of
    the event."""


Event = View | Exposure | Click | Purchase | Refund

decode_view = Decoder(View | Exposure).decode
decode_click = Decoder(Click).decode
decode_purchase = Decoder(Purchase | Refund).decode
