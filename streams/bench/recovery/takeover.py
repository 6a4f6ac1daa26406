"""How long the partitions of a worker that is killed lie still, where another one runs beside it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from msgspec import Struct

from schemas.topics import DECISIONS
from streams.admin import ask
from streams.bench.faults.crew import PROCESS, Crew, Worker
from streams.bench.faults.gauge import Gauge
from streams.bench.faults.log import records_of
from streams.bench.faults.pacing import Loader
from streams.bench.mix import generate
from streams.settings import Settings

EVENTS, EVENTS_PER_S = 120_000, 2_000.0
"""A minute of traffic, below what a worker can do."""
SETTLED_EVENTS = 10_000
AFTER_S = 25.0
"""Longer than a session and a rebalance."""
TIMEOUT_S = 60.0
POLL_S = 0.1


class Takeover(Struct, frozen=True):
    """From `kill -9` to decisions on the partitions that moved."""

    moved_partitions: list[int]
    first_decision_s: float
    """On any of them."""
    all_deciding_s: float
    """On the last of them."""
    session_timeout_s: float
    """After which it goes on where no other worker runs on the same host."""


class TakeoverError(RuntimeError):
    """The workers did not share the partitions, or nobody took over."""


def take_over(settings: Settings, directory: Path, seed: int) -> Takeover:
    """Kill one of two workers under traffic. The topics must be there, with the catalogue of the mix.

    Raises:
        TakeoverError: See there.
    """
    group_id = f"{settings.kafka.group_id}-process"
    mix = generate(EVENTS, seed, settings.kafka.partitions)
    with Crew(settings, directory, [PROCESS] * 2) as crew:
        crew.supervise()
        _wait_for(lambda: len(_owned(settings, group_id)) == 2, "two workers in the group")
        with Gauge(settings.kafka, group_id) as gauge, Loader(settings.kafka, mix, EVENTS_PER_S):
            _wait_for(lambda: gauge.events >= SETTLED_EVENTS, f"{SETTLED_EVENTS:,} events")
            victim = crew.take(0)
            assert victim is not None
            moved = _partitions_of(victim, _owned(settings, group_id))
            killed_ms = time.time() * 1000
            victim.kill()
            time.sleep(AFTER_S)
        crew.stop(PROCESS)
    decisions = records_of(settings.kafka, DECISIONS)
    waits_s = [
        min((each.timestamp for each in decisions[partition] if each.timestamp > killed_ms), default=0.0)
        / 1000
        - killed_ms / 1000
        for partition in moved
    ]
    if not moved or min(waits_s) < 0.0:
        raise TakeoverError(
            f"expected decisions on all of the partitions {moved} after the kill, got some none"
        )
    return Takeover(moved, round(min(waits_s), 2), round(max(waits_s), 2), settings.kafka.session_timeout_s)


def _owned(settings: Settings, group_id: str) -> dict[str, list[int]]:
    """Partition numbers by client id, of members that have some."""

    def describe(admin: KafkaAdminClient) -> dict[str, list[int]]:
        members = admin.describe_groups([group_id])[group_id]["members"]
        return {each["client_id"]: _numbers(each["member_assignment"]) for each in members}

    return {client: numbers for client, numbers in ask(settings.kafka, describe).items() if numbers}


def _numbers(assignment: Any) -> list[int]:
    """Of a member that has been assigned something; it has bytes before."""
    topics = assignment["assigned_partitions"] if isinstance(assignment, dict) else ()
    return sorted({number for topic in topics for number in topic["partitions"]})


def _partitions_of(worker: Worker, owned: dict[str, list[int]]) -> list[int]:
    return next((numbers for client, numbers in owned.items() if client.endswith(f":{worker.pid}")), [])


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TakeoverError(f"expected {what} within {TIMEOUT_S:g} s")
        time.sleep(POLL_S)
