"""Kafka records as columns."""

import base64
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decisions import Decision
from schemas.model import Change, Progress, Quality
from schemas.outcomes import Outcome
from streams.sinks.rows import RowsError, blocks

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
INTEGER = st.integers(-(2**62), 2**62)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: INTEGER,
    float: FLOAT,
    float | None: st.none() | FLOAT,
    list[int]: st.lists(INTEGER, max_size=3),
    list[float]: st.lists(FLOAT, max_size=3),
    dict[str, list[str]]: st.dictionaries(TEXT, st.lists(TEXT, max_size=3), max_size=3),
    dict[str, float]: st.dictionaries(TEXT, FLOAT, max_size=3),
}


def candidates() -> st.SearchStrategy[dict[str, Any]]:
    """Candidates of one length, as JSON."""
    arm = st.tuples(TEXT, FLOAT, INTEGER, FLOAT)
    return st.lists(arm, max_size=4).map(
        lambda arms: dict(
            zip(
                ["ids", "p_click", "score_micros", "propensity"],
                map(list, zip(*arms, strict=True)) if arms else [[], [], [], []],
                strict=True,
            )
        )
    )


def documents(struct: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON documents of a struct's shape."""
    fields = {}
    for field in msgspec.structs.fields(struct):
        if isinstance(kind := msgspec.inspect.type_info(field.type), msgspec.inspect.LiteralType):
            fields[field.name] = st.sampled_from(kind.values)
        elif field.name == "candidates":
            fields[field.name] = candidates()
        else:
            fields[field.name] = BY_TYPE[field.type]
    return st.fixed_dictionaries(fields)


def rows(topic: str, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of values at offsets 100, 101 and so on of partition 3."""
    tables = blocks(topic, 3, [(100 + i, orjson.dumps(value)) for i, value in enumerate(values)])
    if not values:
        assert {} == tables
        return []
    [built] = tables.values()
    return [dict(zip(built, row, strict=True)) for row in zip(*built.values(), strict=True)]


def record(i: int) -> dict[str, int]:
    """The columns that say where the i-th record was."""
    return {"topic_partition": 3, "topic_offset": 100 + i}


@given(st.lists(documents(Decision), max_size=3))
def test_a_decision_is_its_fields_with_candidates_as_columns(values: list[dict[str, Any]]) -> None:
    """Every field comes through unchanged; those of the candidates get a prefix."""
    expected = [
        {name: field for name, field in value.items() if name != "candidates"}
        | {f"candidate_{name}": field for name, field in value["candidates"].items()}
        | record(i)
        for i, value in enumerate(values)
    ]
    assert expected == rows("decisions", values)


@given(st.lists(documents(Outcome), max_size=3))
def test_an_outcome_is_its_fields(values: list[dict[str, Any]]) -> None:
    """Every field comes through unchanged."""
    assert [value | record(i) for i, value in enumerate(values)] == rows("outcomes", values)


@given(st.lists(documents(Progress), max_size=3))
def test_progress_is_its_fields(values: list[dict[str, Any]]) -> None:
    """Every field comes through unchanged, but the tag."""
    tagged = [{"type": "progress"} | value for value in values]
    assert [value | record(i) for i, value in enumerate(values)] == rows("model", tagged)


@given(st.lists(documents(Quality), max_size=3))
def test_quality_is_its_fields(values: list[dict[str, Any]]) -> None:
    """Every field comes through unchanged, but the tag."""
    tagged = [{"type": "quality"} | value for value in values]
    assert [value | record(i) for i, value in enumerate(values)] == rows("model", tagged)


@given(documents(Progress), documents(Quality), documents(Change))
def test_a_topic_may_have_several_tables(
    progress: dict[str, Any], quality: dict[str, Any], change: dict[str, Any]
) -> None:
    """Each kind of record goes to its own table, under its own offset."""
    values = [{"type": "change"} | change, {"type": "quality"} | quality, {"type": "progress"} | progress]
    tables = blocks("model", 0, [(i, orjson.dumps(value)) for i, value in enumerate(values)])
    assert {"model_progress": [2], "model_quality": [1], "model_changes": [0]} == {
        table: built["topic_offset"] for table, built in tables.items()
    }


@given(st.binary(max_size=20))
def test_a_dead_letter_keeps_every_byte(raw: bytes) -> None:
    """The bytes travel as base64; where the event was is told from where the record is."""
    coded = base64.b64encode(raw).decode()
    value = {
        "topic": "views",
        "partition": 1,
        "offset": 7,
        "ts_ms": 5,
        "reason": "Expected `int`",
        "raw": coded,
    }
    expected = {
        "source_topic": "views",
        "source_partition": 1,
        "source_offset": 7,
        "ts_ms": 5,
        "reason": "Expected `int`",
        "raw_base64": coded,
    }
    assert [expected | record(0)] == rows("dead-letters", [value])


def test_weights_and_deletions_have_no_row() -> None:
    """Of the model's records only progress is kept; offsets stay those of the records."""
    progress = dict.fromkeys(Progress.__struct_fields__, 1) | {
        "type": "progress",
        "task": "ctr",
        "model": "mean",
    }
    weights = {"type": "linear", "task": "ctr", "kind": "snapshot", "version": 1, "follows": -1, "part": 0}
    weights |= {"parts": 1, "buckets": "", "weights": "", "intercept": 0.0, "steps": 1}
    records = [(5, orjson.dumps(weights)), (6, None), (9, orjson.dumps(progress))]
    [(table, built)] = blocks("model", 0, records).items()
    assert ("model_progress", [9], ["mean"]) == (table, built["topic_offset"], built["model"])


def test_an_unfit_record_is_named_without_its_value() -> None:
    """Topic, partition, offset, what was expected and what came; nothing of the record."""
    with pytest.raises(RowsError) as caught:
        blocks("outcomes", 2, [(41, b'{"outcome_id": "o", "kind": "exposure", "ts_ms": "secret"}')])
    assert "outcomes, partition 2, offset 41: Expected `int`, got `str` - at `$.ts_ms`" == str(caught.value)
