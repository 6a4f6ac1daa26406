"""Stores over the session's engine, each test with a database of its own."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from streams.sinks import migrations
from streams.sinks.engine import EngineStore

NUMBERS = count()


@pytest.fixture
def database() -> str:
    """A database's name that no other test has."""
    return f"sinks_{next(NUMBERS)}"


@pytest.fixture
def bare_store(engine: str, database: str) -> Iterator[EngineStore]:
    """A store whose database is yet to be made."""
    with closing(EngineStore(engine, database)) as store:
        yield store


@pytest.fixture
def store(bare_store: EngineStore, database: str) -> EngineStore:
    """A store with all migrations applied."""
    migrations.apply(bare_store, database)
    return bare_store
