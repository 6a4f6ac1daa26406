"""The measured systems: how each is started over a loaded broker, and how far it has come."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from kafka import TopicPartition
from msgspec import Struct

from schemas.topics import INPUTS
from streams.admin import open_admin
from streams.bench.progress import last_report
from streams.embedded.process import Process
from streams.lag import committed_offsets
from streams.settings import ENVIRONMENT_PREFIX, Kafka

System = Literal["headrace", "plain_faust", "passthrough"]
SYSTEMS: tuple[System, ...] = ("headrace", "plain_faust", "passthrough")


class Plan(Struct, frozen=True):
    """What is run."""

    systems: tuple[System, ...] = SYSTEMS
    events: int = 300_000
    plain_faust_events: int = 20_000
    """Of the same stream; fewer, because it is slow."""
    repetitions: int = 3
    seed: int = 1
    partitions: int = 8
    warm_up_share: float = 0.1
    click_window_s: float = 50.0
    lateness_s: float = 10.0
    """Short, so that labels fall due many times within a run: the stream has 100 events a second."""

    def events_of(self, system: System) -> int:
        """How many events a system gets."""
        return min(self.events, self.plain_faust_events) if system == "plain_faust" else self.events


class Running(NamedTuple):
    """A system that has been started."""

    process: Process
    events_done: Callable[[], int]


@contextmanager
def running(system: System, plan: Plan, kafka: Kafka, log_path: Path) -> Iterator[Running]:
    """Start a system over a loaded broker; it is stopped on exit.

    Raises:
        ProcessError: It did not start.
    """
    process = Process(
        name=system.replace("_", "-"),
        command=[sys.executable, "-m", *_command(system, plan, kafka)],
        log_path=log_path,
        environment={
            name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)
        },
    )
    with ExitStack() as stack:
        stack.enter_context(process)
        if system != "headrace":
            yield Running(process, lambda: last_report(log_path))
            return
        # Watched from outside, by what its transactions have committed.
        admin = stack.enter_context(open_admin(kafka))
        partitions = [TopicPartition(topic.name, p) for topic in INPUTS for p in range(kafka.partitions)]
        group_id = f"{kafka.group_id}-process"
        yield Running(process, lambda: sum(committed_offsets(admin, group_id, partitions).values()))


def _command(system: System, plan: Plan, kafka: Kafka) -> list[str]:
    events, servers = str(plan.events_of(system)), kafka.bootstrap_servers
    if system == "passthrough":
        return ["streams.bench.passthrough", servers, events]
    if system == "plain_faust":
        label_delay_s = plan.click_window_s + plan.lateness_s
        return ["streams.bench.plain_faust", servers, events, str(plan.seed), str(label_delay_s)]
    overrides = {
        "kafka.bootstrap_servers": servers,
        "kafka.group_id": kafka.group_id,
        "kafka.partitions": kafka.partitions,
        "processing.click_window_s": plan.click_window_s,
        "processing.lateness_s": plan.lateness_s,
    }
    options = [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]
    return ["streams", *options, "worker", "--roles", "process,learn"]
