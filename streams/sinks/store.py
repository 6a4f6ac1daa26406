"""Where rows go and questions are answered: a ClickHouse server, or the embedded engine."""

import re
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from streams.settings import ClickHouse

RETRIABLE_CODES = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY: a server that starts or moves away
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED: the server shuts down
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY: Keeper is away
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        999,  # KEEPER_EXCEPTION
    }
)
"""Error codes (ClickHouse, src/Common/ErrorCodes.cpp) that pass by themselves or leave the outcome open."""


NOT_MADE_YET = frozenset({60, 81})
"""UNKNOWN_TABLE and UNKNOWN_DATABASE: what `headrace init` makes is not there."""
NOT_MADE_SO_FAR = frozenset({16, 47})
"""NO_SUCH_COLUMN_IN_TABLE and UNKNOWN_IDENTIFIER: the newest migrations are still to be applied."""


class StoreError(Exception):
    """A store did not do what it was asked."""

    code: int = 0
    """ClickHouse's own number of the error; 0 where it has said none."""


class RefusedError(StoreError):
    """The store answered that it cannot do this; to ask again is in vain."""


class UncertainError(StoreError):
    """No answer, or "not now". Whether it took effect is unknown: send the same again, same token."""


@dataclass(frozen=True)
class Result:
    """Rows of a query. Times are text, ``YYYY-MM-DD hh:mm:ss[.mmm]``, in the zone of their column."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class Store(Protocol):
    """A database of ClickHouse's. May be used by several threads at once.

    Every method raises ``RefusedError`` or ``UncertainError``.
    """

    def create_database(self, name: str) -> None:
        """Create the database where it is missing; the one method that does not need the store's own."""

    def execute(self, sql: str) -> None:
        """Run one statement that returns no rows."""

    def query(self, sql: str, parameters: dict[str, str] | None = None) -> Result:
        """Run one query; ``parameters`` fill placeholders of the form ``{name:Type}``."""

    def insert(self, table: str, columns: dict[str, list[Any]], token: str) -> None:
        """Insert one block, whole or not at all.

        Args:
            table: Table of the store's database.
            columns: Values by column; all of one length. Times are integers of milliseconds.
            token: Names the block. A block with a token that the table has seen (within its
                deduplication window) is dropped, whatever its rows.
        """

    def close(self) -> None:
        """Close the connections; the store is not used afterwards."""


def open_store(settings: ClickHouse) -> Store:
    """The store that the settings name. Connects at first use, so that it may come up later.

    Raises:
        StoreError: They name none.
    """
    if settings.host:
        from streams.sinks.clickhouse import ClickHouseStore  # not needed, nor imported, beside an engine

        return ClickHouseStore(settings)
    if settings.engine_url:
        from streams.sinks.engine import EngineStore

        return EngineStore(settings.engine_url, settings.database)
    raise StoreError(
        "No store is set: expected clickhouse.host (a server) or clickhouse.engine_url, got neither"
    )


def fail(code: int, message: str) -> NoReturn:
    """Raise what an error of ClickHouse with this code means to the caller."""
    error = (UncertainError if code in RETRIABLE_CODES else RefusedError)(message)
    error.code = code
    raise error


def without_values(message: str) -> str:
    """An insert's error without what it quotes: values of the block, which may be personal.

    >>> without_values("Cannot parse input: expected 'a' before: 'u1': (while reading position)")
    'Cannot parse input: expected ...: (while reading position)'
    """
    return re.sub(r"'.*'", "...", message, flags=re.DOTALL)
