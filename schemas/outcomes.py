"""What became of a decision, or of another system's exposure; topic `outcomes`."""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder

Invalid = Literal["", "impossible_timing", "rate", "no_exposure", "no_decision", "repeated", "no_page_view"]
"""Why an exposure or a click is invalid traffic: it labels nothing and is not billed.

``impossible_timing``: a click sooner after its exposure than a person can, or well before it; ``rate``: one
of more clicks than a person makes; ``no_exposure``: a click on what was not shown to its user in the click
window before it; ``no_decision``: an exposure of a decision that was never made, was made for another user,
or too long ago; ``repeated``: of what has counted already; ``no_page_view``: a click of a user who has viewed
no page (only on request).
"""


class Outcome(Struct, frozen=True, gc=False):
    """One consequence: it was shown, clicked, led to an order, or was taken back.

    An exposure or click that was invalid from the start says so in ``invalid``. A click that turns out to be
    invalid later has been an outcome already: a ``credit`` takes it back, whose ``outcome_id`` differs from
    the click's in the kind alone.
    """

    outcome_id: str
    """``<kind>-<topic>-<partition>-<offset>`` of the event that caused it: the identity."""
    kind: Literal["exposure", "click", "purchase", "refund", "credit"]
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
    invalid: Invalid = ""
    """Of exposures, clicks and credits; empty: valid. What an invalid exposure names is what it claims; a
    click without an exposure names nothing."""


decode_outcome = Decoder(Outcome).decode
