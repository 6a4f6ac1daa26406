"""The store over the embedded engine, and the tables' promises."""

from typing import Any

import pytest

from streams.embedded.process import free_port
from streams.sinks.engine import EngineStore
from streams.sinks.store import RefusedError, StoreError, UncertainError

TABLE = """
CREATE TABLE kept (x UInt16) ENGINE = MergeTree ORDER BY x
SETTINGS non_replicated_deduplication_window = 9
"""


def outcome(outcome_id: str, offset: int, **values: Any) -> dict[str, list[Any]]:
    """Columns of one outcome."""
    row = {"outcome_id": outcome_id, "kind": "click", "ts_ms": 1_790_000_000_123, "topic_offset": offset}
    return {name: [value] for name, value in (row | values).items()}


def test_a_token_is_stored_once(store: EngineStore) -> None:
    """The second block with a token is dropped, a block with another one is kept."""
    store.execute(TABLE)
    for token in ("a:0:1-2", "a:0:1-2", "a:0:3-4"):
        store.insert("kept", {"x": [1, 2]}, token)
    assert [(4,)] == store.query("SELECT count() FROM kept").rows


def test_a_block_is_stored_whole_or_not_at_all(store: EngineStore) -> None:
    """A value that does not fit leaves nothing behind, and is not told."""
    store.execute(TABLE)
    with pytest.raises(RefusedError, match=r"^Block t for kept: ") as caught:
        store.insert("kept", {"x": [1, 2, "secret"]}, "t")
    assert "secret" not in str(caught.value)
    assert [(0,)] == store.query("SELECT count() FROM kept").rows


def test_a_missing_column_is_named(store: EngineStore) -> None:
    """The refusal says which column of which table."""
    with pytest.raises(RefusedError, match="No such column nope in table"):
        store.insert("outcomes", {"nope": [1]}, "t")


@pytest.mark.parametrize("text", ["plain", "it's", 'a "b"', "a\\b", "tab\tend", "line\nend", "ключ", ""])
def test_a_parameter_comes_through_unchanged(store: EngineStore, text: str) -> None:
    """Whatever its characters, a parameter is never read as SQL."""
    assert [(text,)] == store.query("SELECT {text:String}", {"text": text}).rows


@pytest.mark.parametrize("token", ["it's", "a\\b", "a\\'b"])
def test_a_token_may_hold_any_character(store: EngineStore, token: str) -> None:
    """Quotes and backslashes do not end the literal."""
    store.execute(TABLE)
    for _ in range(2):
        store.insert("kept", {"x": [1]}, token)
    assert [(1,)] == store.query("SELECT count() FROM kept").rows


def test_wrong_sql_is_refused(store: EngineStore) -> None:
    """The error is ClickHouse's own."""
    with pytest.raises(RefusedError, match="UNKNOWN_TABLE"):
        store.query("SELECT x FROM nowhere")


def test_a_statement_without_rows_has_an_empty_result(store: EngineStore) -> None:
    """DDL may be sent as a query."""
    assert ([], []) == (store.query(TABLE).columns, store.query("DROP TABLE kept").rows)


def test_a_format_clause_is_refused(store: EngineStore) -> None:
    """The store's own format is the only one it reads."""
    with pytest.raises(StoreError, match="Expected a query without a FORMAT clause"):
        store.query("SELECT 1 FORMAT CSV")


def test_an_engine_that_is_away_leaves_the_outcome_unknown() -> None:
    """Nobody listens: the caller is to try again."""
    with pytest.raises(UncertainError, match="did not answer"):
        EngineStore(f"http://127.0.0.1:{free_port()}", "headrace").execute("SELECT 1")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8123", "https://127.0.0.1:8123", "http://127.0.0.1"])
def test_an_address_of_another_form_is_refused(url: str) -> None:
    """The message shows what was expected and what came."""
    with pytest.raises(StoreError, match="expected http://HOST:PORT, got"):
        EngineStore(url, "headrace")


def test_times_are_milliseconds_utc(store: EngineStore) -> None:
    """``ts_ms`` becomes a readable ``ts`` and is not kept."""
    store.insert("outcomes", outcome("o-1", offset=1), "t")
    result = store.query("SELECT * FROM unique_outcomes")
    assert "2026-09-21 14:13:20.123" == dict(zip(result.columns, result.rows[0], strict=True))["ts"]
    assert "ts_ms" not in result.columns


def test_of_unmerged_copies_the_first_counts(store: EngineStore) -> None:
    """Whatever the order in which they were stored, the lowest offset is shown."""
    store.execute("SYSTEM STOP MERGES outcomes")
    for offset in (8, 5, 9):
        store.insert("outcomes", outcome("o-1", offset, user_id=f"copy at {offset}"), f"t:{offset}")
    store.insert("outcomes", outcome("o-2", 6, user_id="other"), "t:6")
    assert [(4,)] == store.query("SELECT count() FROM outcomes").rows
    found = store.query("SELECT outcome_id, user_id FROM unique_outcomes ORDER BY outcome_id").rows
    assert [("o-1", "copy at 5"), ("o-2", "other")] == found


def test_merging_keeps_the_first_copy(store: EngineStore) -> None:
    """What the view shows is what a merge leaves."""
    for offset in (8, 5, 9):
        store.insert("outcomes", outcome("o-1", offset), f"t:{offset}")
    store.execute("OPTIMIZE TABLE outcomes FINAL")
    assert [(5,)] == store.query("SELECT topic_offset FROM outcomes").rows


def test_a_dead_letter_keeps_bytes_that_are_no_text(store: EngineStore) -> None:
    """What came in as base64 is stored as the bytes themselves."""
    columns = {"source_topic": ["views"], "ts_ms": [1_790_000_000_000], "raw_base64": ["/wAB"]}
    store.insert("dead_letters", columns, "t")
    assert [("FF0001",)] == store.query("SELECT hex(raw) FROM unique_dead_letters").rows
