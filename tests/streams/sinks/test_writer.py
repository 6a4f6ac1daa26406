"""The writer: one block a range, again until the store has it."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from schemas.outcomes import Outcome
from streams.sinks.engine import EngineStore
from streams.sinks.rows import Record
from streams.sinks.store import RefusedError, Result, UncertainError
from streams.sinks.writer import FIRST_PAUSE_S, LONGEST_PAUSE_S, StoppedError, Writer


class RecordingStore:
    """Keeps the blocks it is given."""

    def __init__(self) -> None:
        self.blocks: list[tuple[str, list[int], str]] = []

    def create_database(self, name: str) -> None:
        raise NotImplementedError

    def execute(self, sql: str) -> None:
        raise NotImplementedError

    def query(self, sql: str, parameters: dict[str, str] | None = None) -> Result:
        return Result(["rows"], [(len({each for _, offsets, _ in self.blocks for each in offsets}),)])

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        self.blocks.append((table, columns["topic_offset"], token))

    def close(self) -> None:
        raise NotImplementedError


class FlakyStore(RecordingStore):
    """Takes each block, and the first times says that it does not know."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        super().insert(table, columns, token)
        if len(self.blocks) <= self.failures:
            raise UncertainError("timed out")


class FailingStore(RecordingStore):
    """Refuses every block."""

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        super().insert(table, columns, token)
        raise RefusedError("No such column")


class LosingStore(EngineStore):
    """Stores every block in the engine, and loses the answer the first time."""

    lost = False

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        super().insert(table, columns, token)
        if not self.lost:
            self.lost = True
            raise UncertainError("the answer was lost")


class DyingStore(EngineStore):
    """Once notes the token of a block whose rows it then has not, as a server that is killed in between."""

    died = False

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        super().insert(table, columns, token)
        if not self.died:
            self.died = True
            self.execute(f"ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 1")
            raise UncertainError("the server was killed")


class Pauses:
    """Notes what it is asked to wait, and ends the writing after ``limit`` pauses."""

    def __init__(self, limit: int = 1_000) -> None:
        self.seconds: list[float] = []
        self.limit = limit

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) >= self.limit


def outcomes(*offsets: int) -> list[Record]:
    """Outcome records at these offsets."""
    values: dict[str, Any] = {"ts_ms": 1_790_000_000_000, "propensity": 0.0}
    values |= dict.fromkeys(("position", "revenue_micros", "delay_ms"), 0)
    filled = {name: values.get(name, "") for name in Outcome.__struct_fields__} | {"kind": "exposure"}
    return [
        (offset, orjson.dumps(filled | {"outcome_id": f"exposure-views-1-{offset}"})) for offset in offsets
    ]


def never(seconds: float) -> bool:
    """Fails the test that waits."""
    raise AssertionError(f"expected no pause, got {seconds} s")


def test_a_range_is_one_block_with_the_range_as_its_token() -> None:
    """Offsets may have gaps; the token has the first and the last."""
    store = RecordingStore()
    assert 3 == Writer(store, never).write("outcomes", 1, outcomes(7, 8, 12))
    assert [("outcomes", [7, 8, 12], "outcomes:1:7-12")] == store.blocks


def test_an_unknown_outcome_sends_the_same_block_again() -> None:
    """Until the store says yes, with pauses that double."""
    store, pauses = FlakyStore(failures=3), Pauses()
    assert 2 == Writer(store, pauses).write("outcomes", 1, outcomes(7, 8))
    assert [("outcomes", [7, 8], "outcomes:1:7-8")] * 4 == store.blocks
    assert [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S] == pauses.seconds


def test_pauses_stop_growing() -> None:
    """A store that is away for long is asked every half a minute."""
    pauses = Pauses()
    Writer(FlakyStore(failures=20), pauses).write("outcomes", 1, outcomes(7))
    assert LONGEST_PAUSE_S == max(pauses.seconds) == pauses.seconds[-1]


def test_a_stop_ends_the_writing() -> None:
    """What was not acknowledged is named, and not reported as written."""
    store = FlakyStore(failures=1_000)
    with pytest.raises(StoppedError, match="Block outcomes:1:7-8 was given up"):
        Writer(store, Pauses(limit=2)).write("outcomes", 1, outcomes(7, 8))
    assert 2 == len(store.blocks)


def test_a_refusal_is_raised_at_once() -> None:
    """What cannot succeed is not tried twice."""
    store = FailingStore()
    with pytest.raises(RefusedError, match="No such column"):
        Writer(store, never).write("outcomes", 1, outcomes(7))
    assert 1 == len(store.blocks)


def test_a_range_without_rows_is_not_sent() -> None:
    """Deletions alone make no block."""
    store = RecordingStore()
    assert 0 == Writer(store, never).write("model", 0, [(3, None), (4, None)])
    assert [] == store.blocks


def test_a_block_whose_answer_was_lost_is_stored_once(engine: str, database: str, store: EngineStore) -> None:
    """The engine took it both times and kept one copy, merged or not."""
    pause: Callable[[float], bool] = Pauses()
    assert 2 == Writer(LosingStore(engine, database), pause).write("outcomes", 1, outcomes(7, 8))
    assert [(2,)] == store.query("SELECT count() FROM outcomes").rows


def test_a_block_of_which_only_the_token_is_known_is_stored(
    engine: str, database: str, store: EngineStore
) -> None:
    """A server that dies between the token and the rows would drop the block for ever; it is sent anew."""
    assert 2 == Writer(DyingStore(engine, database), Pauses()).write("outcomes", 1, outcomes(7, 8))
    assert [(7,), (8,)] == store.query("SELECT topic_offset FROM outcomes ORDER BY topic_offset").rows


def test_a_block_that_a_former_owner_may_have_sent_is_looked_for(
    engine: str, database: str, store: EngineStore
) -> None:
    """Of an owner that was killed with the server, the successor knows the range only: it must look, too."""
    with pytest.raises(StoppedError):
        Writer(DyingStore(engine, database), Pauses(limit=1)).write("outcomes", 1, outcomes(7, 8))
    for _ in range(2):
        assert 2 == Writer(store, never).write("outcomes", 1, outcomes(7, 8), again=True)
    assert [(7,), (8,)] == store.query("SELECT topic_offset FROM outcomes ORDER BY topic_offset").rows
