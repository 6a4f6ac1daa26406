"""What became of a decision, or of another system's exposure; topic `outcomes`."""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder


class Outcome(Struct, frozen=True):
    """One consequence: it was shown, clicked, led to an order, or was taken back."""

    outcome_id: str
    """``<kind>-<topic>-<partition>-<offset>`` of the event that caused it: the identity."""
    kind: Literal["exposure", "click", "purchase", "refund"]
    ts_ms: int
    """Event time of the cause."""
    shop_id: str
    decision_id: str
    """The decision of ours that it belongs to; empty for another system's choice."""
    exposure_id: str
    """``views-<partition>-<offset>`` of the exposure, ours or another system's."""
    user_id: str
    """Empty where the user had not agreed to a profile."""
    ad_id: str
    promotion_id: str
    campaign_id: str
    slot_id: str
    """Where it was shown; of exposures only, as are ``position`` and ``propensity``."""
    position: int
    propensity: float
    """Propensity that the other system stated; 0 for our own decisions, whose record has it."""
    revenue_micros: int
    """Of the order, in the shop's base currency; negative for a refund; 0 otherwise."""
    delay_ms: int
    """From the exposure to the click, or from the click to the order; 0 for an exposure."""
    order_id: str


decode_outcome = Decoder(Outcome).decode
