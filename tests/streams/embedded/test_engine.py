"""The embedded engine's process: HTTP for any client, on loopback, until its parent is gone."""

import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from streams.embedded.platform import EngineProcess
from streams.embedded.platform import engine as embedded_engine
from streams.embedded.process import ProcessError, free_port

DEADLINE_S = 30.0

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "streams.embedded.engine", *sys.argv[1:]])
time.sleep(600)
"""


def ask(
    url: str, body: str = "", path: str = "/", headers: dict[str, str] | None = None, **arguments: str
) -> tuple[int, str]:
    """Status and text of one request."""
    address = urlsplit(url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=DEADLINE_S)
    try:
        connection.request("POST", f"{path}?{urlencode(arguments)}", body.encode(), headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def answers(port: int) -> bool:
    """Whether an engine serves at this port."""
    try:
        return (200, "Ok.\n") == ask(f"http://127.0.0.1:{port}", path="/ping")
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll a condition; fail the test when it does not come true."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def test_a_statement_may_come_in_the_url_or_in_the_body(engine: str) -> None:
    """Both are answered alike, tab-separated as ClickHouse does."""
    assert (200, "1\ta\n") == ask(engine, query="SELECT 1, 'a'") == ask(engine, "SELECT 1, 'a'")


@pytest.mark.parametrize(
    ("statement", "data"),
    [
        ("INSERT INTO kept FORMAT CSV", "1,a\n2,b\n"),
        ("insert into kept (name, x) format JSONColumns", '{"name": ["a", "b"], "x": [1, 2]}'),
        ("INSERT INTO kept FORMAT JSONEachRow", '{"x": 1, "name": "a"}\n{"x": 2, "name": "b"}'),
        ("INSERT INTO kept VALUES", "(1, 'a'), (2, 'b')"),
    ],
)
def test_data_of_an_insert_comes_in_the_body(engine: str, statement: str, data: str) -> None:
    """Whatever the format, the rows are stored."""
    ask(engine, "CREATE OR REPLACE TABLE kept (x Int64, name String) ENGINE = MergeTree ORDER BY x")
    assert (200, "") == ask(engine, data, query=statement)
    assert (200, "1\ta\n2\tb\n") == ask(engine, "SELECT * FROM kept ORDER BY x")


def test_an_insert_may_carry_its_data_in_its_text(engine: str) -> None:
    """As `curl -d` sends it."""
    ask(engine, "CREATE OR REPLACE TABLE kept (x Int64) ENGINE = MergeTree ORDER BY x")
    assert (200, "") == ask(engine, 'INSERT INTO kept FORMAT JSONEachRow {"x": 7}')
    assert (200, "7\n") == ask(engine, "SELECT x FROM kept")


def test_each_request_names_its_database(engine: str) -> None:
    """A request without one does not inherit that of the request before."""
    ask(engine, "CREATE DATABASE IF NOT EXISTS another")
    asked = [ask(engine, "SELECT currentDatabase()", **where) for where in ({"database": "another"}, {})]
    assert [(200, "another\n"), (200, "default\n")] == asked


def test_an_error_has_the_text_of_clickhouse(engine: str) -> None:
    """Status 400, and the engine goes on."""
    status, text = ask(engine, "SELECT x FROM nowhere")
    assert (400, True) == (status, text.startswith("Code: 60. DB::Exception"))
    assert (200, "1\n") == ask(engine, "SELECT 1")


def test_what_is_not_supported_is_refused_by_name(engine: str) -> None:
    """A setting in the URL is not silently left out."""
    expected = "Expected query, database, default_format or param_<name> in the URL, got max_threads\n"
    assert (400, expected) == ask(engine, "SELECT 1", max_threads="1")


def test_pages_in_a_browser_are_refused(engine: str) -> None:
    """A request that says which page sent it is not run."""
    status, _ = ask(engine, "SELECT 1", headers={"Origin": "http://example.org"})
    assert 403 == status


@pytest.mark.usefixtures("engine")
def test_the_data_outlives_the_process(tmp_path: Path) -> None:
    """What one engine stored, the next one over the same directory has."""
    with embedded_engine(tmp_path / "data") as url:
        ask(url, "CREATE TABLE kept (x Int64) ENGINE = MergeTree ORDER BY x")
        ask(url, "INSERT INTO kept VALUES (7)")
    with embedded_engine(tmp_path / "data") as url:
        assert (200, "7\n") == ask(url, "SELECT x FROM kept")


@pytest.mark.usefixtures("engine")
def test_a_killed_engine_comes_back_where_it_was(tmp_path: Path) -> None:
    """After SIGKILL the same URL answers again, with the rows and with the tokens of blocks it has had."""
    insert = "INSERT INTO kept SETTINGS insert_deduplication_token = 'first' VALUES (7)"
    with EngineProcess(tmp_path / "data") as running:
        settings = "SETTINGS non_replicated_deduplication_window = 10"
        ask(running.url, f"CREATE TABLE kept (x Int64) ENGINE = MergeTree ORDER BY x {settings}")
        ask(running.url, insert)
        running.kill()
        running.start()
        ask(running.url, insert)
        assert (200, "7\n") == ask(running.url, "SELECT x FROM kept")


@pytest.mark.usefixtures("engine")
def test_a_directory_in_use_is_an_error(tmp_path: Path) -> None:
    """A second engine over the same files ends at once and says why."""
    with (
        embedded_engine(tmp_path / "data"),
        pytest.raises(ProcessError, match="a port and a directory are for one engine at a time"),
        embedded_engine(tmp_path / "data"),
    ):
        pass


@pytest.mark.usefixtures("engine")
def test_it_ends_when_its_parent_was_killed(tmp_path: Path) -> None:
    """No engine stays behind, even where the parent had no time to stop it."""
    port = free_port()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, "--port", str(port), "--data-dir", str(tmp_path / "data")]
    )
    try:
        wait_until(lambda: answers(port))
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not answers(port))
