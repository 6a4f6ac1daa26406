"""A stream of events, and beds that hold it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery.bed import Bed, bed
from msgspec.structs import replace

from streams.bench.load import load
from streams.bench.mix import Mix, generate
from streams.settings import Kafka, Processing, Settings

EVENTS = 60_000
PARTITIONS = 4
SETTINGS = Settings(
    kafka=Kafka(
        partitions=PARTITIONS,
        session_timeout_s=6.0,
        rebalance_timeout_s=6.0,
        fetch_max_records=200,  # many polls and checkpoints, so that there are many moments to be killed at
    ),
    # Windows that close within the 200 s that the events span.
    processing=Processing(checkpoint_interval_s=0.05, click_window_s=50.0, lateness_s=10.0),
)


@pytest.fixture(scope="session")
def stream() -> Mix:
    """The events that all tests of delivery use."""
    return generate(EVENTS, seed=1, partitions=PARTITIONS)


@pytest.fixture
def loaded(fresh_broker: str, stream: Mix, tmp_path: Path) -> Iterator[Bed]:
    """A bed whose broker holds the whole stream before a worker starts."""
    settings = _at(fresh_broker)
    asyncio.run(load(settings.kafka, stream))
    with bed(settings, tmp_path) as made:
        yield made


@pytest.fixture
def shop(fresh_broker: str, stream: Mix, tmp_path: Path) -> Iterator[Bed]:
    """A bed whose broker holds the stream's catalogue, and no event yet."""
    settings = _at(fresh_broker)
    asyncio.run(load(settings.kafka, Mix(stream.catalog, {})))
    with bed(settings, tmp_path) as made:
        yield made


def _at(bootstrap_servers: str) -> Settings:
    return replace(SETTINGS, kafka=replace(SETTINGS.kafka, bootstrap_servers=bootstrap_servers))
