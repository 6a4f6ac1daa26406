"""Whether a difference between ClickHouse and the topics would be seen."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from schemas.dead_letters import DeadLetter
from schemas.decisions import Candidates, Decision
from schemas.outcomes import Outcome
from streams.bench.faults.store import VIEWS, Row, View, compare_rows, expected_rows

DECISIONS, OUTCOMES, DEAD_LETTERS = VIEWS

DECISION = Decision(
    decision_id="views-1-4-0", kind="placement", ts_ms=1_790_000_000_000, shop_id="main", user_id="u1",
    event_id="v1", slot_id="home-top", position=1, page="home", chosen_id="a1", campaign_id="c1",
    propensity=0.25, policy="softmax-1", model_version=7, price_micros=9_000, p_click=0.1, logit=-2.2,
    candidates=Candidates(["a1"], [0.1], [900], [0.25]), rejected={}, contributions={},
)  # fmt: skip
OUTCOME = Outcome(
    outcome_id="purchase-purchases-1-3", kind="purchase", ts_ms=1_790_000_000_123, shop_id="main",
    decision_id="views-1-4-0", exposure_id="views-1-5", user_id="u1", ad_id="a1", promotion_id="",
    campaign_id="c1", slot_id="", position=0, propensity=0.0, revenue_micros=5_000_000, delay_ms=900,
    order_id="o1",
)  # fmt: skip
LETTER = DeadLetter("views", 1, 9, 1_790_000_000_000, "Expected `object`, got `null`", b"\xff\x00")


class Record(NamedTuple):
    """What the log reads."""

    offset: int
    value: bytes


def rows_of(view: View, *structs: msgspec.Struct) -> dict[Row, Row]:
    """Rows of records on partition 1, at every second offset: between them lie the markers."""
    records = [Record(2 * place, msgspec.json.encode(struct)) for place, struct in enumerate(structs)]
    return expected_rows(view, {0: [], 1: records})


EXPECTED = {
    DECISIONS.name: rows_of(DECISIONS, DECISION, replace(DECISION, decision_id="views-1-6-0")),
    OUTCOMES.name: rows_of(OUTCOMES, OUTCOME),
    DEAD_LETTERS.name: rows_of(DEAD_LETTERS, LETTER),
}

Found = dict[str, list[Row]]


def found() -> Found:
    """What a store without a fault has."""
    return {name: list(rows.values()) for name, rows in EXPECTED.items()}


def test_the_same_is_the_same() -> None:
    """Each record has its row, in whatever order: all is well, and the rows are counted."""
    rows = {name: of_view[::-1] for name, of_view in found().items()}
    comparison = compare_rows(EXPECTED, rows)
    assert comparison.same
    assert (4, 0, 0, {}) == msgspec.structs.astuple(comparison)


def test_the_first_copy_counts() -> None:
    """A decision made again with newer weights is no row of its own, and not the one that is to be there."""
    newer = replace(DECISION, chosen_id="a2", model_version=8)
    assert rows_of(DECISIONS, DECISION) == rows_of(DECISIONS, DECISION, DECISION, newer)
    rows = found() | {DECISIONS.name: [*rows_of(DECISIONS, newer).values(), found()[DECISIONS.name][1]]}
    assert (0, 1) == figures(rows)


def test_bytes_that_are_no_text_are_compared() -> None:
    """The raw event of a dead letter is held against the view in hexadecimal digits."""
    assert [(1, 0, "views", 1, 9, LETTER.reason, "ff00")] == list(EXPECTED[DEAD_LETTERS.name].values())


CHANGES: dict[str, tuple[tuple[int, int], Callable[[Found], object]]] = {
    "a decision is not there": ((1, 0), lambda rows: rows[DECISIONS.name].pop()),
    "an outcome is not there": ((1, 0), lambda rows: rows[OUTCOMES.name].pop()),
    "a row is there twice": ((0, 1), lambda rows: rows[OUTCOMES.name].append(rows[OUTCOMES.name][0])),
    "a later copy": ((0, 1), lambda rows: put(rows, DECISIONS, 1, 2)),
    "another partition": ((0, 1), lambda rows: put(rows, DECISIONS, 0, 0)),
    "another propensity": ((0, 1), lambda rows: put(rows, DECISIONS, 5, 0.250001)),
    "another revenue": ((0, 1), lambda rows: put(rows, OUTCOMES, 7, 5_000_001)),
    "other bytes": ((0, 1), lambda rows: put(rows, DEAD_LETTERS, 6, "ff01")),
    "unheard of": ((1, 1), lambda rows: put(rows, OUTCOMES, 2, "purchase-purchases-1-99")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_difference_is_counted(what: str) -> None:
    """One thing wrong is one row that is missing, or that is not as it must be; the store does not pass."""
    expected, change = CHANGES[what]
    rows = found()
    change(rows)
    assert expected == figures(rows)


def put(rows: Found, view: View, place: int, value: object) -> None:
    """Change one field of a view's first row."""
    row = rows[view.name][0]
    rows[view.name][0] = (*row[:place], value, *row[place + 1 :])


def figures(rows: Found) -> tuple[int, int]:
    """Missing and other rows, where there are some, and then their identities are told."""
    comparison = compare_rows(EXPECTED, rows)
    assert not comparison.same
    assert comparison.first
    return comparison.store_missing_rows, comparison.store_other_rows
