"""The truth file: JSON Lines of what really was behind each exposure, offer and user."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from streams.data.jsonl import lines_of


class ShopTruth(Struct, frozen=True, tag="shop"):
    """First line: the whole configuration, from which with the seed all else follows."""

    seed: int
    start_ms: int
    configuration: dict[str, Any]
    examination: list[float]
    """Probability that positions 1, 2, ... are looked at."""
    click_delay_mean_s: dict[str, float]
    purchase_delay_mean_s: dict[str, float]
    """By category of the ad."""


class UserTruth(Struct, frozen=True, omit_defaults=True, tag="user"):
    """One a user, before any other line about them."""

    user_id: str
    p_order: float
    """Probability that a session without a promotion leads to an order."""
    uplift: dict[str, float]
    """Promotion -> what it adds to that probability; may be negative."""
    bot: str = ""
    """``rapid``, ``instant`` or ``viewless``; empty is a person."""


class ExposureTruth(Struct, frozen=True, omit_defaults=True, tag="exposure"):
    """One an exposure of an ad; delays are told also where nothing came, or came after the log's end."""

    exposure_id: str
    """``event_id`` of the exposure."""
    user_id: str
    ts_ms: int
    ad_id: str
    position: int
    propensity: float
    examination: float
    p_click: float
    p_purchase: float
    """Given the click."""
    clicked: bool
    click_delay_ms: int
    bought: bool
    purchase_delay_ms: int
    """From the click."""
    drift: float
    """How far tastes were from the first to the second: 0 to 1."""
    decision_id: str = ""
    """In the closed loop the decision that it echoes."""


class OfferTruth(Struct, frozen=True, omit_defaults=True, tag="offer"):
    """One a session that asked for a promotion, also where the arm was ``none``."""

    session_id: str
    view_id: str
    """``event_id`` of the view that asked."""
    user_id: str
    ts_ms: int
    arm: str
    """The promotion, or ``none``."""
    propensity: float
    """0 where no decision came in time."""
    p_order: float
    """Under the arm."""
    ordered: bool
    decision_id: str = ""


Truth = ShopTruth | UserTruth | ExposureTruth | OfferTruth

_decode = Decoder(Truth).decode


def read(path: Path) -> Iterator[Truth]:
    """The records of a truth file.

    Raises:
        OSError: It cannot be read.
        msgspec.DecodeError: A line is no record of a truth file.
    """
    return map(_decode, lines_of(path))
