"""``headrace query``."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams import queries
from streams.cli import main
from streams.embedded.platform import engine as embedded_engine
from streams.embedded.process import free_port
from streams.sinks.engine import EngineStore


def query(*arguments: str, **settings: str) -> Result:
    """Run the command with settings of the environment."""
    environment = {f"HEADRACE_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ["query", *arguments], env=environment)


def test_sql_is_answered_as_an_aligned_table(engine: str) -> None:
    """Numbers stand to the right, text to the left, nothing is a dash."""
    sql = "SELECT number * 50 AS n, if(n = 0, 'zero', NULL) AS name, [n, 1] AS list FROM numbers(3)"
    expected = "  n  name  list\n  0  zero  [0,1]\n 50  -     [50,1]\n100  -     [100,1]\n"
    result = query(sql, clickhouse_engine_url=engine, clickhouse_database="default")
    assert (0, expected) == (result.exit_code, result.stdout)


def test_json_is_one_object(engine: str) -> None:
    """Columns and rows, and nothing else on stdout."""
    result = query(
        "SELECT 1 AS x, 'a' AS y", "--json", clickhouse_engine_url=engine, clickhouse_database="default"
    )
    assert {"columns": ["x", "y"], "rows": [[1, "a"]]} == orjson.loads(result.stdout)


def test_a_named_query_is_found(engine: str, database: str, shop_store: EngineStore) -> None:
    """Its answer is that of its SQL."""
    settings = {"clickhouse_engine_url": engine, "clickhouse_database": database}
    answer = shop_store.query(queries.load()["funnel"].sql)
    report = orjson.loads(query("funnel", "--json", **settings).stdout)
    assert (answer.columns, answer.rows) == (report["columns"], [tuple(row) for row in report["rows"]])


def test_the_list_needs_no_store() -> None:
    """Every name with what it answers."""
    summaries = {name: one.summary for name, one in queries.load().items()}
    assert summaries == orjson.loads(query("--list", "--json").stdout)


def test_an_unknown_name_is_wrong_usage() -> None:
    """The known names are listed."""
    result = query("funel")
    assert 2 == result.exit_code
    assert "There is no query 'funel'; known are billing, ctr_by_ad, " in result.stderr


def test_wrong_sql_fails_with_one_sentence(engine: str) -> None:
    """Exit status 1 and ClickHouse's text."""
    result = query("SELECT x FROM nowhere", clickhouse_engine_url=engine, clickhouse_database="default")
    assert (1, "") == (result.exit_code, result.stdout)
    assert ["Error: Code: 60. DB::Exception"] == [line[:30] for line in result.stderr.splitlines()]


def test_a_store_that_is_away_fails_with_one_sentence() -> None:
    """Exit status 1, and the address that was asked."""
    port = free_port()
    result = query("SELECT 1", clickhouse_engine_url=f"http://127.0.0.1:{port}")
    assert 1 == result.exit_code
    assert f"The embedded engine at 127.0.0.1:{port} did not answer" in result.stderr


def test_without_a_store_it_says_how_to_get_one(tmp_path: Path) -> None:
    """Neither a server, nor an engine, nor files of one."""
    result = query("SELECT 1", embedded_data_dir=str(tmp_path))
    assert 1 == result.exit_code
    assert "run `headrace demo` first, or set clickhouse.host" in result.stderr


@pytest.mark.parametrize("address", [None, "http://127.0.0.1:{port}\n"])
@pytest.mark.usefixtures("engine")
def test_after_a_demo_the_engine_is_started_for_the_command(tmp_path: Path, address: str | None) -> None:
    """Also where a demo that was killed left its address behind."""
    with embedded_engine(tmp_path / "engine") as url:
        EngineStore(url, "headrace").create_database("headrace")
        EngineStore(url, "headrace").execute("CREATE TABLE kept ENGINE = Log AS SELECT 7 AS x")
    if address:
        (tmp_path / "engine.url").write_text(address.format(port=free_port()))
    result = query("SELECT x FROM kept", embedded_data_dir=str(tmp_path))
    assert (0, "x\n7\n") == (result.exit_code, result.stdout)


def test_a_running_demo_is_asked(engine: str, tmp_path: Path) -> None:
    """The address in the data directory wins over its files."""
    (tmp_path / "engine.url").write_text(engine + "\n")
    result = query("SELECT 1 AS x", embedded_data_dir=str(tmp_path), clickhouse_database="default")
    assert (0, "x\n1\n") == (result.exit_code, result.stdout)
    assert not (tmp_path / "engine").exists()
