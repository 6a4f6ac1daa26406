"""The migrations of ClickHouse, on the embedded engine."""

from typing import cast

import pytest

from schemas.dead_letters import DeadLetter
from schemas.decisions import Candidates, Decision
from schemas.model import Change, Progress, Quality
from schemas.outcomes import Outcome
from streams.sinks import migrations
from streams.sinks.engine import EngineStore
from streams.sinks.migrations import Migration, MigrationError
from streams.sinks.store import RefusedError, Result, Store

INTEGERS = ("ts_ms", "position", "propensity", "revenue_micros", "delay_ms")
ONE = Migration(1, "one", "-- Why.\nCREATE TABLE IF NOT EXISTS one (x String DEFAULT 'a;b') ENGINE = Log;\n")
TWO = Migration(2, "two", "CREATE TABLE IF NOT EXISTS two (x Int8)\n-- no key\nENGINE = Log;\n")


class OldServer:
    """A ClickHouse as Debian has it; what follows on the question for its version must not be asked."""

    def create_database(self, name: str) -> None:
        pass

    def query(self, sql: str) -> Result:
        assert "SELECT version()" == sql
        return Result(["version()"], [("18.16.1",)])


def test_an_old_server_is_refused() -> None:
    """Before anything is laid, with both versions and the way out."""
    with pytest.raises(MigrationError, match=r"^Expected ClickHouse 23\.8 or newer, got 18\.16\.1: "):
        migrations.apply(cast(Store, OldServer()), "shop")


def test_every_file_is_numbered_in_a_row() -> None:
    """The numbers are 1, 2, 3 and so on, without a gap."""
    numbers = [migration.number for migration in migrations.load()]
    assert list(range(1, len(numbers) + 1)) == numbers


def test_comments_and_inner_semicolons_do_not_split() -> None:
    """Only a semicolon at the end of a line ends a statement, and comment lines are left out."""
    assert ["CREATE TABLE IF NOT EXISTS one (x String DEFAULT 'a;b') ENGINE = Log"] == ONE.statements
    assert ["CREATE TABLE IF NOT EXISTS two (x Int8)\nENGINE = Log"] == TWO.statements


def test_only_new_migrations_are_applied(bare_store: EngineStore, database: str) -> None:
    """The first run lays one, the second what came after it, the third nothing."""
    runs = [migrations.apply(bare_store, database, files) for files in ([ONE], [ONE, TWO], [ONE, TWO])]
    assert [["0001_one"], ["0002_two"], []] == runs


def test_decisions_of_before_were_personal(bare_store: EngineStore, database: str) -> None:
    """Rows from before a decision had a basis have one all the same, in the view too; new ones say theirs."""
    before, after = migrations.load()[:4], migrations.load()[:5]
    migrations.apply(bare_store, database, before)
    bare_store.insert("decisions", {"decision_id": ["old"], "ts_ms": [0]}, token="1")
    migrations.apply(bare_store, database, after)
    row = {"decision_id": ["new"], "ts_ms": [0], "basis": ["contextual"]}
    bare_store.insert("decisions", row, token="2")
    found = bare_store.query("SELECT decision_id, basis FROM unique_decisions ORDER BY decision_id").rows
    assert [("new", "contextual"), ("old", "personal")] == [tuple(each) for each in found]


def test_a_run_that_broke_off_is_taken_up(bare_store: EngineStore, database: str) -> None:
    """A statement that fails leaves its migration unapplied; the mended file is applied."""
    broken = Migration(2, "two", TWO.sql + "SELECT nonsense;\n")
    with pytest.raises(RefusedError, match="nonsense"):
        migrations.apply(bare_store, database, [ONE, broken])
    assert ["0002_two"] == migrations.apply(bare_store, database, [ONE, TWO])


def test_a_changed_file_is_refused(bare_store: EngineStore, database: str) -> None:
    """The message names the file, both checksums and the way out."""
    migrations.apply(bare_store, database, [ONE])
    changed = Migration(1, "one", ONE.sql + "\n")
    with pytest.raises(MigrationError) as caught:
        migrations.apply(bare_store, database, [changed])
    assert (
        f"0001_one.sql was applied with checksum {ONE.checksum[:12]} and now has {changed.checksum[:12]}: "
        "put the file back, and make the change in a new one"
    ) == str(caught.value)


def test_a_newer_database_is_refused(bare_store: EngineStore, database: str) -> None:
    """A migration that this version does not know stops it."""
    migrations.apply(bare_store, database, [ONE, TWO])
    with pytest.raises(MigrationError, match="has had migration 0002_two, which this version"):
        migrations.apply(bare_store, database, [ONE])


def test_the_tables_have_a_column_for_every_field(store: EngineStore, database: str) -> None:
    """A field that is added to a struct and to no migration is found here."""
    of_record = {"topic_partition", "topic_offset"}
    expected = {
        "decisions": {*Decision.__struct_fields__, *(f"candidate_{f}" for f in Candidates.__struct_fields__)}
        - {"candidates"},
        "outcomes": {*Outcome.__struct_fields__},
        "dead_letters": {
            *DeadLetter.__struct_fields__, "raw_base64", "source_topic", "source_partition", "source_offset",
        } - {"topic", "partition", "offset"},
        "model_progress": {*Progress.__struct_fields__},
        "model_quality": {*Quality.__struct_fields__},
        "model_changes": {*Change.__struct_fields__},
    }  # fmt: skip
    found: dict[str, set[str]] = {table: set() for table in expected}
    for table, column in store.query(
        "SELECT table, name FROM system.columns WHERE database = {database:String}", {"database": database}
    ).rows:
        if table in found:
            found[table].add(column)
    computed = {table: {"ts", "recency"} for table in expected}
    computed["model_quality"] = set()  # its newest copy counts, and an hour is a number
    assert {table: fields | of_record | computed[table] for table, fields in expected.items()} == found


@pytest.mark.parametrize(
    "table", ["decisions", "outcomes", "dead_letters", "model_progress", "model_quality", "model_changes"]
)
def test_the_tables_remember_tokens(store: EngineStore, database: str, table: str) -> None:
    """Each table's DDL sets the window without which tokens are ignored."""
    [[ddl]] = store.query(f"SHOW CREATE TABLE {table}").rows
    assert "non_replicated_deduplication_window = 10000" in ddl


def test_an_installation_of_the_last_release_is_taken_along(bare_store: EngineStore, database: str) -> None:
    """Rows that were written before there was invalid traffic are valid ones, also for the views."""
    released = [migration for migration in migrations.load() if migration.number < 6]
    migrations.apply(bare_store, database, released)
    old = {name: [0 if name in INTEGERS else "x"] for name in Outcome.__struct_fields__ if name != "invalid"}
    bare_store.insert("outcomes", old | {"topic_partition": [0], "topic_offset": [1]}, "t")
    assert "0006_invalid_traffic" == migrations.apply(bare_store, database)[0]
    for view in ("unique_outcomes", "valid_outcomes"):
        assert [("x", "")] == bare_store.query(f"SELECT outcome_id, invalid FROM {view}").rows
