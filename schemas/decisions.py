"""The decisions that Headrace makes, each one record with its whole audit; topic `decisions`.

Candidates are written as columns, one list a quantity, in the same order: half the bytes of a list of
records, and the shape in which ClickHouse keeps them.
"""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder

DecisionKind = Literal["placement", "promotion"]


class Candidates(Struct, frozen=True, gc=False):
    """The arms that matched, column by column; every list has the same length, or none at all."""

    ids: list[str]
    """Ads, or promotions with ``none``."""
    p_click: list[float]
    """Predicted click probability; empty where the policy does not use it."""
    score_micros: list[int]
    """What the policy ranks by: for placements eCPM, micros per thousand exposures."""
    propensity: list[float]
    """The distribution that was drawn from, in millionths; 0 for what was rejected. Sums to 1, or is all 0
    where nothing could compete."""


class Decision(Struct, frozen=True, gc=False):
    """One ad placement or promotion.

    The identity is ``decision_id``. After a crash the same decision may be written again, and with newer
    weights it may choose otherwise: the first copy (lowest offset) is the one that counts.
    """

    decision_id: str
    """``views-<partition>-<offset>-<slot index>`` of the page view that asked; with ``-nobody`` behind it
    where the user had not agreed to a profile."""
    kind: DecisionKind
    ts_ms: int
    """Event time of the page view that asked."""
    shop_id: str
    user_id: str
    """Empty where the user had not agreed to a profile; so is the record's key."""
    event_id: str
    """The page view that asked."""
    slot_id: str
    position: int
    page: str
    chosen_id: str
    """The ad or promotion chosen; ``none`` where nothing is to be shown."""
    campaign_id: str
    propensity: float
    """Exact probability with which ``chosen_id`` was drawn."""
    policy: str
    """Policy and version, for example ``softmax-ecpm-1``, ``uniform-1``, ``holdout-1``; ``paused-1`` while
    the shop's decisions are paused: then there are no candidates."""
    model_version: int
    """Offset in `examples` up to which the weights had learned; -1 is none."""
    price_micros: int
    """What the click would be billed: the bid; 0 for promotions."""
    p_click: float
    """Predicted click probability of the chosen ad; 0 for promotions."""
    logit: float
    """Log odds behind ``p_click``; equals the sum of ``contributions``."""
    candidates: Candidates
    rejected: dict[str, list[str]]
    """Reason -> candidates that matched the targeting and were then left out."""
    contributions: dict[str, float]
    """Feature, or ``calibration``, -> its share of the logit of the chosen ad."""
    basis: Literal["personal", "contextual"] = "personal"
    """``contextual``: nothing that is known of the user was used, because the user had not agreed to it."""


decode_decision = Decoder(Decision).decode
