"""What a small shop sends, in builders: its catalogue, events, and the records that carry them."""

from collections.abc import Iterable
from itertools import count

import numpy as np
from msgspec.json import encode

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.catalog import Ad, Campaign, Promotion, Rate, Shop
from schemas.events import Click, Event, Exposure, Line, Purchase, Refund, Slot, View
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor
from streams.settings import Learning, Processing, Settings, Validity

T0_MS = 1_748_851_200_000
BITS = 10
TOPICS = {View: 0, Exposure: 0, Click: 1, Purchase: 2, Refund: 2}

SETTINGS = Settings(
    processing=Processing(
        lateness_s=10,
        request_window_s=40,
        click_window_s=30,
        attribution_window_s=60,
        max_ahead_s=10,
        order_lateness_s=20,
        refund_window_s=80,
    ),
    learning=Learning(bits=BITS),
    validity=Validity(min_click_delay_ms=0, max_clicks=0),
)
"""Windows of seconds, so that a test's events close them; clicks may be as soon and as many as they like."""

CATALOG = (
    Shop("main", "USD", rates=(Rate("EUR", "2025-01-01", 1_100_000),)),
    Campaign("c1"),
    Campaign("over", end_ms=1),
    *(Ad(f"ad{i}", "c1", bid_micros=100_000 * (i + 1)) for i in range(5)),
    Ad("ended", "over", bid_micros=100_000),
    Promotion("p1", "c1"),
    Promotion("p2", "c1"),
    Promotion("p-ended", "over"),
)

_numbers = count()


def _identity(user_id: str, ts_ms: int, event_id: str) -> dict[str, str | int]:
    return {"event_id": event_id or f"e{next(_numbers)}", "user_id": user_id, "ts_ms": ts_ms}


def view(ts_ms: int, user_id: str = "u1", *, slots: str = "", event_id: str = "", **fields) -> View:
    """A page view; each letter of ``slots`` asks for an ad (``a``) or a promotion (``p``)."""
    kinds = {"a": "ad", "p": "promotion"}
    asked = tuple(Slot(f"slot-{i}", kinds[letter], i + 1) for i, letter in enumerate(slots))
    return View(**_identity(user_id, ts_ms, event_id), page=fields.pop("page", "home"), slots=asked, **fields)


def exposure(ts_ms: int, user_id: str = "u1", *, event_id: str = "", **fields) -> Exposure:
    """An exposure of ``ad0`` unless the fields name something else."""
    if "promotion_id" not in fields:
        fields.setdefault("ad_id", "ad0")
    return Exposure(**_identity(user_id, ts_ms, event_id), **fields)


def click(ts_ms: int, user_id: str = "u1", *, event_id: str = "", **fields) -> Click:
    """A click on an ad unless the fields say another kind."""
    return Click(**_identity(user_id, ts_ms, event_id), kind=fields.pop("kind", "ad"), **fields)


def purchase(ts_ms: int, user_id: str = "u1", *, event_id: str = "", **fields) -> Purchase:
    """An order of one item for 5 units of the currency."""
    fields = {"order_id": "o1", "amount_micros": 5_000_000, "lines": (Line("i1", 1, 5_000_000),)} | fields
    return Purchase(**_identity(user_id, ts_ms, event_id), **fields)


def refund(ts_ms: int, user_id: str = "u1", *, event_id: str = "", **fields) -> Refund:
    """A refund of 2 units of the currency."""
    fields = {"order_id": "o1", "amount_micros": 2_000_000} | fields
    return Refund(**_identity(user_id, ts_ms, event_id), **fields)


def arrivals(events: Iterable[Event]) -> list[Arrival]:
    """Events as records of their topics, offsets in the given order, broker's time that of the event."""
    offsets = [0, 0, 0]
    found = []
    for event in events:
        topic = TOPICS[type(event)]
        found.append(Arrival(topic, 0, offsets[topic], event.ts_ms, encode(event), event))
        offsets[topic] += 1
    return found


def new_processor(
    settings: Settings = SETTINGS, catalog: Iterable = CATALOG, weights_seed: int | None = None,
    line: tuple[float, float] = (1.0, 0.0),
) -> Processor:  # fmt: skip
    """A processor of partition 0; its weights are zeros, or random where there is a seed.

    ``line`` is slope and shift of the calibration of every slot.
    """
    known = Catalog(BITS)
    known.extend(catalog)
    weights = ServingWeights("ctr", BITS)
    weights.lines[:] = line
    if weights_seed is not None:
        random = np.random.default_rng(weights_seed)
        weights.table[:] = random.normal(scale=0.3, size=len(weights.table)).round(6)
    return Processor(0, settings, known, weights)
