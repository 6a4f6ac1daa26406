"""A ClickHouse server, over its native protocol by clickhouse-driver."""

import logging
import re
import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import (
    Error,
    NetworkError,
    ServerException,
    SocketTimeoutError,
    TypeMismatchError,
)

from streams.settings import ClickHouse
from streams.sinks.store import RefusedError, Result, UncertainError, fail, without_values

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
"""Longer than an insert takes on a server in need; then the outcome counts as unknown."""

# The driver logs a traceback of each attempt to connect; what is raised says it in one sentence.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


class ClickHouseStore:
    """One connection a thread, because a native connection carries one query at a time."""

    def __init__(self, settings: ClickHouse) -> None:
        self._settings = settings
        self._local = threading.local()
        self._clients: list[Client] = []

    def create_database(self, name: str) -> None:
        # A connection to a database that is not there is refused, hence one of its own.
        client = self._connect("default")
        try:
            self._ask(lambda: client.execute(f"CREATE DATABASE IF NOT EXISTS {name}"))
        finally:
            client.disconnect()

    def execute(self, sql: str) -> None:
        self._ask(lambda: self._client().execute(sql))

    def query(self, sql: str, parameters: dict[str, str] | None = None) -> Result:
        rows, columns = self._ask(lambda: self._client().execute(sql, parameters, with_column_types=True))
        return Result([name for name, _ in columns], [tuple(map(_plain, row)) for row in rows])

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        block = list(columns.values())
        settings = {"insert_deduplication_token": token}
        try:
            self._ask(lambda: self._client().execute(sql, block, columnar=True, settings=settings))
        except RefusedError as error:
            raise RefusedError(f"Block {token} for {table}: {without_values(str(error))}") from None

    def close(self) -> None:
        for client in self._clients:
            client.disconnect()

    def _client(self) -> Client:
        if not hasattr(self._local, "client"):
            self._local.client = self._connect(self._settings.database)
            self._clients.append(self._local.client)
        return self._local.client

    def _connect(self, database: str) -> Client:
        return Client(
            self._settings.host,
            port=self._settings.port,
            user=self._settings.user,
            password=self._settings.password,
            database=database,
            secure=self._settings.secure,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
            client_name="headrace",
            settings={"server_side_params": True},
        )

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except ServerException as error:
            fail(error.code, f"ClickHouse error {error.code}: {_first_line(error.message)}")
        except (NetworkError, SocketTimeoutError, EOFError, OSError) as error:
            address = f"{self._settings.host}:{self._settings.port}"
            raise UncertainError(f"ClickHouse at {address} did not answer: {error!r}") from error
        except TypeMismatchError as error:
            column = re.search(r"Column (\w+)", str(error))
            raise RefusedError(f"a value does not fit column {column[1] if column else '?'}") from None
        except Error as error:
            raise RefusedError(f"{type(error).__name__}: {error}") from None


def _first_line(message: str) -> str:
    """A server's message without the stack trace that older ones append."""
    return re.split(r"\n|,? ?Stack trace:", message.removeprefix("DB::Exception: "), maxsplit=1)[0]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        precision = "milliseconds" if value.microsecond else "seconds"
        return value.replace(tzinfo=None).isoformat(" ", precision)
    return value.isoformat() if isinstance(value, date) else value
