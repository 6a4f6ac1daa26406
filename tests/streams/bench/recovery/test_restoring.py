"""The measured restore."""

import asyncio

import pytest

pytest.importorskip("psutil", reason="the extra `bench` is not installed")

from streams.admin import open_admin
from streams.bench.recovery.content import write_state
from streams.bench.recovery.restoring import restore_all
from streams.settings import Kafka, Settings
from streams.topics import create_topics


def test_all_that_was_written_is_restored(fresh_broker: str) -> None:
    """Every profile of every partition is there, and it took time and memory."""
    settings = Settings(kafka=Kafka(bootstrap_servers=fresh_broker, partitions=2))
    with open_admin(settings.kafka) as admin:
        create_topics(admin, settings.kafka)
    written: list[int] = []
    asyncio.run(write_state(settings, 2000, written.append))
    restored = asyncio.run(restore_all(settings))
    assert 2000 == restored.rows <= sum(written)
    assert min(restored.seconds, restored.cpu_s, restored.rss_bytes) > 0
