import asyncio
import time
from pathlib import Path

import pytest

from streams.bench.load import load
from streams.bench.mix import generate
from streams.bench.systems import SYSTEMS, Plan, System, running

EVENTS = 2000
GIVE_UP_AFTER_S = 120.0
POLL_INTERVAL_S = 0.05  # leaves the cores to what is watched


@pytest.mark.parametrize("system", SYSTEMS)
def test_progress_ends_at_the_number_of_events(system: System, fresh_broker: str, tmp_path: Path) -> None:
    """What is watched from outside never falls and comes to exactly the events of the plan."""
    plan = Plan(events=EVENTS, partitions=2)
    settings = plan.settings(fresh_broker)
    asyncio.run(load(settings.kafka, generate(EVENTS, plan.seed, plan.partitions)))
    seen = [0]
    with running(system, plan, settings, tmp_path / "log") as started:
        deadline_s = time.monotonic() + GIVE_UP_AFTER_S
        while seen[-1] < EVENTS and time.monotonic() < deadline_s:
            seen.append(started.events_done())
            if seen[-1] < EVENTS:
                started.process.check()
                time.sleep(POLL_INTERVAL_S)
    assert sorted(seen) == seen
    assert EVENTS == seen[-1]


def test_only_plain_faust_gets_fewer_events() -> None:
    """Plain Faust gets a smaller share of the stream, but never more than the others."""
    assert {"headrace": 300_000, "plain_faust": 20_000, "passthrough": 300_000} == {
        system: Plan().events_of(system) for system in SYSTEMS
    }
    assert 5000 == Plan(events=5000).events_of("plain_faust")
