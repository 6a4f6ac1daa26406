"""The embedded engine as a store, over its HTTP on loopback (see ``streams.embedded.engine``)."""

import threading
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from streams.sinks.store import RefusedError, Result, StoreError, UncertainError, fail, without_values

ANSWER_TIMEOUT_S = 60


class EngineStore:
    """One kept connection a thread; blocks travel as ``JSONColumns``.

    Args:
        url: ``http://127.0.0.1:<port>``.
        database: What unqualified names are looked up in.
    """

    def __init__(self, url: str, database: str) -> None:
        address = urlsplit(url)
        if address.scheme != "http" or not address.hostname or not address.port:
            raise StoreError(f"clickhouse.engine_url: expected http://HOST:PORT, got {url!r}")
        self._host, self._port = address.hostname, address.port
        self._database = database
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []

    def create_database(self, name: str) -> None:
        self._ask({}, f"CREATE DATABASE IF NOT EXISTS {name}".encode())

    def execute(self, sql: str) -> None:
        self._ask({"database": self._database}, sql.encode())

    def query(self, sql: str, parameters: dict[str, str] | None = None) -> Result:
        arguments = {"database": self._database, "default_format": "JSONCompact"}
        arguments |= {f"param_{name}": _escaped(value) for name, value in (parameters or {}).items()}
        answer = self._ask(arguments, sql.encode())
        if not answer:  # a statement without rows
            return Result([], [])
        try:
            document = orjson.loads(answer)
            return Result(
                [column["name"] for column in document["meta"]], [tuple(r) for r in document["data"]]
            )
        except (orjson.JSONDecodeError, TypeError, KeyError):
            raise StoreError("Expected a query without a FORMAT clause") from None

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        literal = _escaped(token).replace("'", "\\'")
        sql = (
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SETTINGS insert_deduplication_token = '{literal}' FORMAT JSONColumns"
        )
        try:
            self._ask({"database": self._database, "query": sql}, orjson.dumps(columns))
        except RefusedError as error:
            raise RefusedError(f"Block {token} for {table}: {without_values(str(error))}") from None

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _ask(self, arguments: dict[str, str], body: bytes) -> bytes:
        connection = self._connection()
        try:
            connection.request("POST", "/?" + urlencode(arguments, quote_via=quote), body)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            connection.close()  # it connects anew at the next request
            address = f"{self._host}:{self._port}"
            raise UncertainError(f"The embedded engine at {address} did not answer: {error!r}") from error
        if response.status != 200:
            fail(
                int(response.headers.get("X-ClickHouse-Exception-Code", 0)),
                answer.decode(errors="replace").strip(),
            )
        return answer

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = HTTPConnection(self._host, self._port, timeout=ANSWER_TIMEOUT_S)
            self._connections.append(self._local.connection)
        connection: HTTPConnection = self._local.connection
        return connection


def _escaped(text: str) -> str:
    """Text as a field of TabSeparated, the form in which ClickHouse reads parameters."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
