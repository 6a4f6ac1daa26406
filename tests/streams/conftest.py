"""Stores over the session's engine, each test with a database of its own."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import orjson
import pytest

from streams.sinks import migrations
from streams.sinks.engine import EngineStore
from streams.sinks.writer import Writer

NUMBERS = count()


@pytest.fixture
def database() -> str:
    """A database's name that no other test has."""
    return f"sinks_{next(NUMBERS)}"


@pytest.fixture
def bare_store(engine: str, database: str) -> Iterator[EngineStore]:
    """A store whose database is yet to be made."""
    with closing(EngineStore(engine, database)) as store:
        yield store


@pytest.fixture
def store(bare_store: EngineStore, database: str) -> EngineStore:
    """A store with all migrations applied."""
    migrations.apply(bare_store, database)
    return bare_store


TS_MS = 1_790_000_000_123
DECISION = {
    "decision_id": "views-0-1-0",
    "kind": "placement",
    "ts_ms": TS_MS,
    "shop_id": "main",
    "user_id": "user-of-the-test",
    "event_id": "event-of-the-test",
    "slot_id": "home-top",
    "position": 1,
    "page": "home",
    "chosen_id": "a1",
    "campaign_id": "c1",
    "propensity": 0.75,
    "policy": "softmax-ecpm-1",
    "model_version": 40,
    "price_micros": 500_000,
    "p_click": 0.2,
    "logit": -1.25,
    "candidates": {
        "ids": ["a2", "a1", "a3"],
        "p_click": [0.1, 0.2, 0.3],
        "score_micros": [50_000, 100_000, 0],
        "propensity": [0.25, 0.75, 0.0],
    },
    "rejected": {"capped": ["a3"], "budget": ["a4"]},
    "contributions": {"bias": -2.0, "ad": 0.5, "hour": 0.25},
}
"""A placement that chose a1 over a2; a3 and a4 were not to be had."""

NOTHING = {
    "chosen_id": "none",
    "campaign_id": "",
    "propensity": 1.0,
    "p_click": 0.0,
    "logit": 0.0,
    "contributions": {},
    "candidates": {"ids": [], "p_click": [], "score_micros": [], "propensity": []},
}
PROMOTION = NOTHING | {
    "decision_id": "views-0-3-0",
    "kind": "promotion",
    "policy": "uniform-1",
    "chosen_id": "p1",
    "propensity": 0.5,
    "candidates": {"ids": ["none", "p1"], "p_click": [], "score_micros": [], "propensity": [0.5, 0.5]},
}


def outcome(kind: str, offset: int, **fields: str | float) -> dict[str, str | float]:
    """An outcome of the first decision, 9.5 s after what it follows; ``fields`` differ."""
    return {
        "outcome_id": f"{kind}-views-0-{offset}", "kind": kind, "ts_ms": TS_MS + offset, "shop_id": "main",
        "decision_id": "views-0-1-0", "exposure_id": "views-0-10", "user_id": "user-of-the-test",
        "ad_id": "a1", "promotion_id": "", "campaign_id": "c1",
        "slot_id": "home-top" if kind == "exposure" else "",
        "position": 1 if kind == "exposure" else 0, "propensity": 0.0, "revenue_micros": 0,
        "delay_ms": 0 if kind == "exposure" else 9_500, "order_id": "", "invalid": "",
    } | fields  # fmt: skip


@pytest.fixture
def shop_store(store: EngineStore) -> EngineStore:
    """A store with four decisions, one of them in two copies, what became of them, and model quality.

    The first was shown, clicked, and led to an order that was refunded in part; the second was shown and
    clicked by a bot, once too soon, and once too often, which was found out later; another system's exposure
    was clicked. An exposure was forged, and what it claimed was clicked.
    """
    decisions = [
        DECISION,
        DECISION | {"decision_id": "views-0-2-0", "chosen_id": "a2", "propensity": 0.25},
        DECISION | PROMOTION,
        DECISION | NOTHING | {"decision_id": "views-0-4-0"},
        DECISION | {"chosen_id": "a2", "propensity": 0.25},
    ]
    foreign = {"decision_id": "", "exposure_id": "views-0-30", "ad_id": "a9", "campaign_id": ""}
    bot = {"decision_id": "views-0-2-0", "exposure_id": "views-0-20", "ad_id": "a2", "user_id": "bot"}
    nothing = dict.fromkeys(("decision_id", "exposure_id", "ad_id", "campaign_id"), "")
    outcomes = [
        outcome("exposure", 10),
        outcome("exposure", 20, decision_id="views-0-2-0", exposure_id="views-0-20", ad_id="a2"),
        outcome("exposure", 30, **foreign, propensity=0.5),
        outcome("click", 40),
        outcome("click", 50, **foreign),
        outcome("purchase", 60, revenue_micros=30_000_000, order_id="order-of-the-test"),
        outcome("refund", 70, revenue_micros=-10_000_000, order_id="order-of-the-test"),
        outcome("click", 80, **bot, delay_ms=5, invalid="impossible_timing"),
        outcome("click", 90, **bot),
        outcome("credit", 90, **bot, invalid="rate"),
        outcome("exposure", 100, decision_id="views-9-9-0", exposure_id="views-0-100", invalid="no_decision"),
        outcome("click", 110, **nothing, invalid="no_exposure"),
    ]
    progress = [
        {
            "type": "progress", "task": "ctr", "model": model, "version": version, "ts_ms": TS_MS,
            "examples": 100, "positives": 10, "log_loss": log_loss, "auc": None, "calibration": 1.0,
            "scored_share": 1.0, "learned_share": 1.0, "weight_sum": 100.0, "loss_sum": 30.0,
            "prediction_sum": 10.0, "label_sum": 10.0,
        }
        for model, version, log_loss in [("ftrl", 50, 0.5), ("ftrl", 100, 0.3), ("mean", 100, 0.4)]
    ]  # fmt: skip
    quality = {
        "type": "quality", "task": "ctr", "model": "ftrl", "segment": "all",
        "hour_ms": TS_MS // 3_600_000 * 3_600_000, "threshold": 0.05,
        "base_rate": 0.25, "log_loss": 0.5, "relative_information_gain": 0.1, "auc": 0.75,
        "precision": 0.5, "recall": 1.0, "f1": 0.66, "calibration": 1.2, "ece": 0.1, "ece_debiased": 0.05,
        "ece_noise": 0.2, "bin": [24, 30], "bin_weight_sq": [2.0, 2.0], "bin_prediction": [0.24, 0.96],
        "bin_label": [0.0, 1.0], "loss_sum": 2.0, "true_positive": 1.0, "false_positive": 1.0,
        "false_negative": 0.0,
    }  # fmt: skip
    changed = {
        "type": "change", "task": "ctr", "version": 100, "number": 0, "ts_ms": TS_MS,
        "example_id": "ctr-0-9-1",
        "kind": "gate_closed", "source": "own", "reason": "label_rate_high", "field": "", "seen": 0.5,
        "usual": 0.05,
    }  # fmt: skip
    # Of an hour the newest report counts.
    watched = [
        *(quality | {"version": version, "weight": weight, "bin_weight": [2.0, weight - 2.0]}
          for version, weight in [(50, 3.0), (100, 4.0)]),
        quality | {"version": 100, "weight": 3.0, "bin_weight": [2.0, 1.0], "segment": "own-slot-25"},
        quality | {"version": 100, "weight": 1.0, "bin_weight": [0.0, 1.0], "segment": "foreign-slot-3"},
        changed,
    ]  # fmt: skip
    letter = {
        "topic": "views", "partition": 0, "offset": 5, "ts_ms": TS_MS,
        "reason": "Expected `int`, got `str` - at `$.ts_ms`", "raw": "e30=",
    }  # fmt: skip
    writer = Writer(store, lambda _: True)
    for topic, values in {
        "decisions": decisions, "outcomes": outcomes, "model": [*progress, *watched],
        "dead-letters": [letter],
    }.items():  # fmt: skip
        # A block each, so that copies stay apart until they are merged.
        for offset, value in enumerate(values):
            writer.write(topic, 0, [(offset, orjson.dumps(value))])
    return store
