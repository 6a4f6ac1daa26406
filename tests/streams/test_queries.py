"""The named queries, on a shop whose answers are known."""

from typing import Any

import numpy as np
import pytest

from models.features import FEATURES
from models.hashing import bucket_of, stable_key
from models.hourly import segment_name
from models.watch import segments_of
from streams import queries
from streams.sinks.engine import EngineStore

UNIFORM = {"min_propensity": 0.25, "exposed_decisions": 2, "logged_ctr": 0.5}
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "billing": [
        {
            "campaign_id": "c1",
            "billed_clicks": 1,
            "spend": 0.5,
            "unbilled_clicks": 2,
            "credited_spend": 0.5,
            "unbilled_spend": 1,
        }
    ],
    "ctr_by_ad": [
        {"campaign_id": "c1", "ad_id": "a1", "exposures": 1, "clicks": 1, "ctr": 1},
        {"campaign_id": "c1", "ad_id": "a2", "exposures": 1, "clicks": 0, "ctr": 0},
        {"campaign_id": "", "ad_id": "a9", "exposures": 1, "clicks": 1, "ctr": 1},
    ],
    "ctr_by_position": [
        {
            "slot_id": "home-top",
            "position": 1,
            "exposures": 3,
            "clicks": 2,
            "ctr": 0.66667,
            "median_delay_s": 9.5,
        }
    ],
    "dead_letters": [
        {
            "source_topic": "views",
            "reason": "Expected `int`, got `str` - at `$.ts_ms`",
            "events": 1,
            "newest_partition_offset": "0:5",
        }
    ],
    "decisions_by_policy": [
        {
            "kind": "placement",
            "policy": "softmax-ecpm-1",
            "decisions": 3,
            "none_chosen": 1,
            "min_propensity": 0.25,
            "exposed_decisions": 2,
            "clicked_decisions": 1,
            "ctr": 0.5,
        },
        {"kind": "promotion", "policy": "uniform-1", "decisions": 1, "exposed_decisions": 0, "ctr": None},
    ],
    "funnel": [
        {"chosen_by": "headrace", "exposures": 2, "clicks": 1, "orders": 1, "revenue": 30, "refunded": 10},
        {
            "chosen_by": "another system",
            "exposures": 1,
            "clicks": 1,
            "orders": 0,
            "revenue": 0,
            "refunded": 0,
        },
    ],
    "invalid_traffic": [
        {"kind": kind, "reason": reason, "events": 1, "credited_events": credited, "share": share, "users": 1}
        for kind, reason, credited, share in (
            ("click", "impossible_timing", 0, 0.2),
            ("click", "no_exposure", 0, 0.2),
            ("click", "rate", 1, 0.2),
            ("exposure", "no_decision", 0, 0.25),
        )
    ],
    "model_changes": [
        {"task": "ctr", "kind": "gate_closed", "source": "own", "reason": "label_rate_high", "seen": 0.5},
    ],
    "model_hours": [
        {"task": "ctr", "model": "ftrl", "segment": "all", "weight": 4, "calibration": 1.2, "recall": 1},
    ],
    "model_quality": [
        {"task": "ctr", "model": "ftrl", "version": 100, "log_loss": 0.3, "of_null": 0.75, "auc": None},
        {"task": "ctr", "model": "mean", "version": 100, "log_loss": 0.4, "of_null": 1},
    ],
    "model_slots": [
        {"task": "ctr", "slot_ids": [], "segment": "foreign-slot-3", "weight": 1},
        {"task": "ctr", "slot_ids": ["home-top"], "segment": "own-slot-25", "weight": 3},
    ],
    "off_policy_ips": [
        # a1 is the greedy choice: its click weighs 1 / 0.75, over two decisions.
        UNIFORM | {"target": "greedy", "ips": 0.66667, "snips": 1, "effective_sample": 1},
        UNIFORM | {"target": "logged", "ips": 0.5, "snips": 0.5, "effective_sample": 2},
        # Weights 0.5 / 0.75 and 0.5 / 0.25.
        UNIFORM | {"target": "uniform", "ips": 0.33333, "snips": 0.25, "effective_sample": 2},
    ],
    "propensity_check": [
        {"kind": kind, "decisions": n, "propensities_not_1": 0, "chosen_differs": 0, "logit_differs": 0}
        for kind, n in (("placement", 3), ("promotion", 1))
    ],
    "reliability": [
        {"task": "ctr", "model": "ftrl", "logit_from": -2, "weight": 2, "predicted": 0.12, "happened": 0},
        {"task": "ctr", "model": "ftrl", "logit_from": -0.5, "weight": 2, "predicted": 0.48, "happened": 0.5},
    ],
    "recent_decisions": [
        {"decision_id": f"views-0-{i}-0", "chosen_id": chosen}
        for i, chosen in enumerate(["a1", "a2", "p1", "none"], start=1)
    ],
}
"""Query -> its rows, as far as they are told here."""


@pytest.mark.parametrize("name", queries.load())
def test_each_query_gives_the_known_answer(shop_store: EngineStore, name: str) -> None:
    """Copies of a decision, of which the shop has one, do not count."""
    result = shop_store.query(queries.load()[name].sql)
    found = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    expected = ANSWERS[name]
    told = [{column: row[column] for column in answer} for answer, row in zip(expected, found, strict=True)]
    assert expected == told


def test_slots_have_the_segments_of_the_learner(store: EngineStore) -> None:
    """SQL hashes a slot's name as the learner's feature does, whatever the name."""
    slots = ["", "home-top", "z\u00f6pfe", *(f"{'long ' * i}slot-{i}" for i in range(60))]
    field = FEATURES.index("slot")
    buckets = [bucket_of(field, stable_key(slot), (1 << 18) - 1) for slot in slots]
    rows = np.zeros((len(slots), len(FEATURES)), np.uint32)
    rows[:, field] = buckets
    edges = np.arange(0, rows.size + 1, len(FEATURES))
    names = [
        segment_name(each)
        for each in segments_of(rows.ravel(), edges, np.zeros(len(slots), np.int64)).tolist()
    ]
    store.insert(
        "decisions",
        {"decision_id": [str(i) for i in range(len(slots))], "slot_id": slots, "ts_ms": [0] * len(slots)},
        token="1",
    )
    told = sorted(set(names))
    store.insert("model_quality", {"segment": told, "hour_ms": [0] * len(told)}, token="2")
    found = store.query(queries.load()["model_slots"].sql)
    places = found.columns.index("slot_ids"), found.columns.index("segment")
    actual = {row[places[1]]: list(row[places[0]]) for row in found.rows}
    assert {
        name: sorted(s for s, n in zip(slots, names, strict=True) if n == name) for name in told
    } == actual


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        ("candidate_propensity = [0.25, 0.7, 0]", "propensities_not_1"),
        ("propensity = 0.5", "chosen_differs"),
        ("logit = 1", "logit_differs"),
    ],
)
def test_the_check_finds_a_faulty_record(shop_store: EngineStore, fault: str, column: str) -> None:
    """One record that contradicts itself is counted under its fault."""
    shop_store.execute(
        f"ALTER TABLE decisions UPDATE {fault} WHERE decision_id = 'views-0-1-0' SETTINGS mutations_sync = 1"
    )
    result = shop_store.query(queries.load()["propensity_check"].sql)
    assert 1 == dict(zip(result.columns, result.rows[0], strict=True))[column]


@pytest.mark.parametrize("query", queries.load().values(), ids=lambda query: query.name)
def test_each_query_says_what_it_answers(query: queries.Query) -> None:
    """The first line is a comment of one line that ends as a sentence does."""
    assert query.sql.startswith(f"-- {query.summary}\n")
    assert query.summary[-1] in ".?"
