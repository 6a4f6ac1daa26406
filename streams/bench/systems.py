"""The measured systems: how each is started over a loaded broker, and how far it has come."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from kafka import TopicPartition
from msgspec import Struct

from schemas.topics import INPUTS
from streams.admin import ask, open_admin
from streams.bench.progress import last_report
from streams.embedded.process import Process
from streams.lag import committed_offsets
from streams.settings import Kafka, Processing, Settings, child_environment

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
    kafka: bool = False
    """Over Apache Kafka instead of the embedded broker."""
    warm_up_share: float = 0.0
    """Of the events; 0 measures from the first commit on, since commits come in lumps a second apart."""
    click_window_s: float = 50.0
    attribution_window_s: float = 300.0
    lateness_s: float = 10.0
    """Of event time, of which a run has minutes: shorter than shipped, so that labels fall due in it."""

    def settings(self, bootstrap_servers: str) -> Settings:
        """The shipped settings, but for the three windows and the broker."""
        return Settings(
            kafka=Kafka(bootstrap_servers=bootstrap_servers, partitions=self.partitions),
            processing=Processing(
                click_window_s=self.click_window_s,
                attribution_window_s=self.attribution_window_s,
                lateness_s=self.lateness_s,
            ),
        )

    def events_of(self, system: System) -> int:
        """How many events a system gets."""
        return min(self.events, self.plain_faust_events) if system == "plain_faust" else self.events


class Running(NamedTuple):
    """A system that has been started."""

    process: Process
    events_done: Callable[[], int]


@contextmanager
def running(system: System, plan: Plan, settings: Settings, log_path: Path) -> Iterator[Running]:
    """Start a system over a loaded broker; it is stopped on exit.

    Raises:
        ProcessError: It did not start.
    """
    process = Process(
        name=system,
        command=[sys.executable, "-m", *_command(system, plan, settings.kafka)],
        log_path=log_path,
        environment=child_environment(settings),
    )
    with ExitStack() as stack:
        stack.enter_context(process)
        if system != "headrace":
            yield Running(process, lambda: last_report(log_path))
            return
        # Watched from outside, by what its transactions have committed.
        group_id = f"{settings.kafka.group_id}-process"
        partitions = [TopicPartition(topic.name, p) for topic in INPUTS for p in range(plan.partitions)]
        ask(settings.kafka, lambda admin: committed_offsets(admin, group_id, partitions))
        admin = stack.enter_context(open_admin(settings.kafka))
        yield Running(process, lambda: sum(committed_offsets(admin, group_id, partitions).values()))


def _command(system: System, plan: Plan, kafka: Kafka) -> list[str]:
    if system == "headrace":
        return ["streams", "worker", "--roles", "process,learn"]
    events = str(plan.events_of(system))
    if system == "passthrough":
        return ["streams.bench.passthrough", kafka.bootstrap_servers, events]
    return ["streams.bench.plain_faust", events, str(plan.seed)]
