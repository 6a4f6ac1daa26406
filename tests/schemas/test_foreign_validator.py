"""The published JSON Schema in the hands of a validator that knows none of our code."""

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator

from schemas.catalog import Entry
from schemas.events import Event

SCHEMA = orjson.loads(
    (Path(__file__).parents[2] / "schemas" / "published" / "headrace.schema.json").read_bytes()
)
SENT = [
    pytest.param(line, id=f"{name}-{number}")
    for name in ("views", "clicks", "purchases", "catalog")
    for number, line in enumerate(
        (Path(__file__).parent / "release_0_1" / f"{name}.jsonl").read_bytes().splitlines(), 1
    )
]
VALIDATOR = Draft202012Validator(SCHEMA)
VIEW = {"type": "view", "event_id": "e", "user_id": "u", "ts_ms": 1_767_225_600_000, "page": "home"}
LINE = {"item_id": "i", "quantity": 1, "unit_price_micros": 5}
ORDER = VIEW | {"type": "purchase", "order_id": "o", "amount_micros": 5, "lines": [LINE]}
del ORDER["page"]


def is_accepted(record: dict[str, Any]) -> bool:
    """Whether a worker takes the record for an event or a catalogue entry."""
    try:
        msgspec.json.decode(orjson.dumps(record), type=Event | Entry)
    except msgspec.ValidationError:
        return False
    return True


def test_the_schema_is_one() -> None:
    """It keeps the rules of draft 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("line", SENT)
def test_it_accepts_what_a_worker_accepts(line: bytes) -> None:
    """Records of every kind, with every field and with unknown ones."""
    assert [] == [error.message for error in VALIDATOR.iter_errors(orjson.loads(line))]


@pytest.mark.parametrize(
    "record",
    [
        {},
        VIEW | {"type": "look"},
        {name: value for name, value in VIEW.items() if name != "event_id"},
        VIEW | {"user_id": ""},
        VIEW | {"user_id": "u" * 65},
        VIEW | {"ts_ms": "1767225600000"},
        VIEW | {"ts_ms": 1_767_225_600},
        VIEW | {"page": "cellar"},
        VIEW | {"price_micros": -1},
        VIEW | {"category": None},
        VIEW | {"segments": ["a", "b", "c", "d", "e"]},
        VIEW | {"consent": "profile"},
        VIEW | {"consent": ["everything"]},
        VIEW | {"slots": [{"kind": "ad"}]},
        VIEW | {"type": "exposure", "ad_id": "a", "propensity": 0},
        ORDER | {"lines": []},
        ORDER | {"lines": [LINE | {"quantity": 0}]},
        ORDER | {"currency": "euro"},
        {"type": "promotion", "promotion_id": "p", "campaign_id": "c", "kind": "gift"},
    ],
    ids=str,
)
def test_it_refuses_what_a_worker_refuses(record: dict[str, Any]) -> None:
    """A sender that validates has no dead letters for these."""
    assert (False, False) == (is_accepted(record), VALIDATOR.is_valid(record))


@pytest.mark.parametrize("record", [VIEW, ORDER], ids=["view", "purchase"])
def test_what_the_refusals_start_from_is_accepted(record: dict[str, Any]) -> None:
    """So each is refused for the one thing that differs."""
    assert (True, True) == (is_accepted(record), VALIDATOR.is_valid(record))
