"""Test beds that several modules share. A missing one skips its tests, or fails them where ``CI=true``."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from hypothesis import settings

from streams.embedded.broker import broker as embedded_broker
from streams.embedded.platform import engine as embedded_engine
from streams.embedded.process import MissingPackageError

# A kernel that is compiled, or a busy machine, is no fault of what is tested.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

MARKER_OF_FIXTURE = {"broker": "broker", "fresh_broker": "broker", "engine": "engine"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the beds it asks for, so that ``-m 'not broker'`` leaves out all of them."""
    for item in items:
        for fixture in MARKER_OF_FIXTURE.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(MARKER_OF_FIXTURE[fixture])


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of an embedded broker that the whole session shares."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_broker(tmp_path_factory.mktemp("broker")))


@pytest.fixture
def fresh_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of an embedded broker without topics, for one test."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_broker(tmp_path_factory.mktemp("fresh_broker")))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded ClickHouse engine that the whole session shares."""
    with ExitStack() as stack:
        yield _entered(stack, embedded_engine(tmp_path_factory.mktemp("engine") / "data"))


def _entered(stack: ExitStack, bed: AbstractContextManager[str]) -> str:
    try:
        return stack.enter_context(bed)
    except MissingPackageError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
