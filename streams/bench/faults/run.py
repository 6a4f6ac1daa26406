"""One run: a job over a disturbed stream, faults at their moments, and what came of it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from msgspec import Struct

from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, IDENTITIES, INPUTS, OUTCOMES, Topic
from streams.admin import open_admin
from streams.bench.faults.bed import Bed
from streams.bench.faults.comparison import Comparison, compare, learner_differences
from streams.bench.faults.crew import PROCESS, SINK, Crew, Ended
from streams.bench.faults.gauge import Gauge
from streams.bench.faults.logins import RECLAIM_AFTER_S
from streams.bench.faults.oracle import expected_results
from streams.bench.faults.pacing import Loader
from streams.bench.faults.plan import Fault, Kind
from streams.bench.faults.results import left_results
from streams.bench.faults.store import StoreComparison, compare_store, lay_tables
from streams.bench.faults.stream import Disturbances, Stream
from streams.bench.load import load
from streams.bench.mix import Mix
from streams.lag import wait_until_read
from streams.settings import ClickHouse, Identity, Kafka, Processing, Settings

Name = Literal["strict", "paced"]

POLL_S = 0.02
SESSION_TIMEOUT_S = 6.0
"""The shortest that Apache Kafka grants by default."""
FROZEN_S = SESSION_TIMEOUT_S + 4.0
NODE_AWAY_S = 2.0
STORE_AWAY_S = 3.0
STALL_TIMEOUT_S = 120.0

PROCESSING = {
    # All lies there before: time goes by events alone, so that labels may fall due soon.
    "strict": Processing(checkpoint_interval_s=0.25, click_window_s=50.0, lateness_s=10.0),
    # A second of the run is half a minute of events: who reads one topic later by some seconds is not late.
    "paced": Processing(checkpoint_interval_s=0.25, click_window_s=50.0, duplicate_horizon_s=7200.0),
}


STAGES: dict[str, tuple[Topic, ...]] = {
    "process": INPUTS,
    "learn": (EXAMPLES,),
    "sink": (DECISIONS, OUTCOMES, DEAD_LETTERS),
}
"""What each role has to have read in the end."""


class TimeIsUpError(RuntimeError):
    """The run did not come to its end in time."""


class Injected(Struct, frozen=True):
    """A fault that has befallen the run."""

    kind: Kind
    at_s: float
    at_events: int
    """Committed when it came."""


class Run(Struct, frozen=True):
    """What befell a run, and how it differs from the oracle."""

    name: Name
    seconds: float
    events_per_s: float
    """From the first worker's start to the last event's effect, faults included."""
    disturbances: Disturbances
    injected: list[Injected]
    workers_started: int
    ended: list[Ended]
    """Workers that ended by themselves and were started again."""
    learner_differences: list[str]
    """What of the learner's state is not that of one which reads the examples once, in order."""
    comparison: Comparison
    store: StoreComparison | None
    """None without a store."""

    @property
    def passed(self) -> bool:
        return (
            self.comparison.same and not self.learner_differences and (self.store is None or self.store.same)
        )


def run(
    name: Name,
    stream: Stream,
    faults: list[Fault],
    bed: Bed,
    workers: int,
    events_per_s: float,
    directory: Path,
    deadline_s: float,
    advance: Callable[[], None],
) -> Run:
    """Let a job work on a stream while faults befall it, then hold what it leaves against the oracle.

    ``strict``: all events lie on the brokers before a worker starts. ``paced``: they come meanwhile, at
    ``events_per_s``. ``advance`` is called after each fault.

    Raises:
        TimeIsUpError: It is later than ``deadline_s`` (monotonic).
        StalledError: Events are left and nobody works on them.
        ProcessError: A node or the store did not come back.
        StoreError: The store could not be asked.
    """
    settings = _settings(name, bed)
    partitions = settings.kafka.partitions
    _clear(settings.kafka)
    asyncio.run(load(settings.kafka, stream.mix if name == "strict" else Mix(stream.mix.catalog, {})))
    roles = [PROCESS] * workers
    if bed.store is not None:
        lay_tables(settings.clickhouse)
        roles.append(SINK)
    began_s = time.monotonic()
    with (
        Crew(settings, directory / name, roles) as crew,
        Gauge(settings.kafka, f"{settings.kafka.group_id}-process") as gauge,
    ):
        weather = _Weather(bed, crew, gauge, deadline_s, began_s)
        if name == "paced":
            with Loader(settings.kafka, stream.mix, events_per_s) as loader:
                _suffer(weather, faults, stream, advance)
                weather.until(lambda: not loader.running)
        else:
            _suffer(weather, faults, stream, advance)
        weather.clear()
        _finish("process", weather, settings.kafka)
        for _ in ("claims", "transfers"):
            _finish("process", weather, settings.kafka, (IDENTITIES,))
        seconds = time.monotonic() - began_s
        _finish("learn", weather, settings.kafka)
        # Ticks make outcomes as long as they run; the sink goes when it has stored the last of them.
        crew.stop(PROCESS)
        if bed.store is not None:
            _finish("sink", weather, settings.kafka)
            crew.stop(SINK)
    actual = left_results(settings)
    stream_ms = {partition: progress["stream_ms"] for partition, progress in actual.progress.items()}
    assert partitions == len(stream_ms)
    return Run(
        name=name,
        seconds=round(seconds, 1),
        events_per_s=round(stream.disturbances.events / seconds, 1),
        disturbances=stream.disturbances,
        injected=weather.injected,
        workers_started=crew.started,
        ended=crew.ended,
        learner_differences=learner_differences(settings),
        comparison=compare(expected_results(settings, stream_ms), actual, by_arrival=name == "paced"),
        store=compare_store(settings.kafka, settings.clickhouse) if bed.store else None,
    )


def _finish(role: str, weather: "_Weather", kafka: Kafka, topics: Sequence[Topic] = ()) -> None:
    """Wait until the group of a role has read all that is there for it; or all of these topics."""
    group_id = f"{kafka.group_id}-{role}"
    wait_until_read(kafka, group_id, topics or STAGES[role], STALL_TIMEOUT_S, lambda *_: weather.turn())


def _settings(name: Name, bed: Bed) -> Settings:
    """Settings of a job of its own: Kafka remembers groups and transactional ids of the run before."""
    return Settings(
        kafka=Kafka(
            bootstrap_servers=bed.bootstrap_servers,
            group_id=f"headrace-{uuid.uuid4()}",
            partitions=6,
            replication_factor=bed.nodes,
            session_timeout_s=SESSION_TIMEOUT_S,
            fetch_max_records=500,  # many polls, so that there are many moments to be killed at
        ),
        processing=PROCESSING[name],
        identity=Identity(RECLAIM_AFTER_S),
        clickhouse=ClickHouse(
            engine_url=bed.store.url if bed.store else "",
            database=f"headrace_{name}",
            insert_rows=500,  # many blocks, for the same reason
            insert_interval_s=0.1,
        ),
    )


def _clear(kafka: Kafka) -> None:
    with open_admin(kafka) as admin:
        left = [name for name in admin.list_topics() if not name.startswith("__")]
        if left:
            admin.delete_topics(left)


def _suffer(weather: "_Weather", faults: list[Fault], stream: Stream, advance: Callable[[], None]) -> None:
    for fault in faults:
        due_events = fault.at_share * stream.disturbances.events
        weather.until(partial(weather.reached, due_events))
        weather.befall(fault)
        advance()


class _Weather:
    """Faults as they come and go. Its turns must come often, from the thread that started the brokers."""

    def __init__(self, bed: Bed, crew: Crew, gauge: Gauge, deadline_s: float, began_s: float) -> None:
        self.gauge = gauge
        self.injected: list[Injected] = []
        self._bed = bed
        self._crew = crew
        self._deadline_s = deadline_s
        self._began_s = began_s
        self._agenda: list[tuple[float, Callable[[], None]]] = []

    def turn(self) -> None:
        """Do what is due, keep the crew complete."""
        now_s = time.monotonic()
        if now_s > self._deadline_s:
            raise TimeIsUpError(
                f"the time was up after {self.gauge.events:,} events and {len(self.injected)} faults"
            )
        due = [(at_s, act) for at_s, act in self._agenda if at_s <= now_s]
        self._agenda = [(at_s, act) for at_s, act in self._agenda if at_s > now_s]
        for _, act in due:
            act()
        if self._bed.store is not None:
            self._bed.store.check()
        self._crew.supervise()

    def until(self, condition: Callable[[], bool]) -> None:
        """Turn until it is so."""
        while not condition():
            self.turn()
            time.sleep(POLL_S)

    def reached(self, events: float) -> bool:
        """Whether so many events have had their effect."""
        return self.gauge.events >= events

    def clear(self) -> None:
        """Wait until all that was ended or frozen is back."""
        self.until(lambda: not self._agenda)
        if self._bed.cluster is not None:
            self._bed.cluster.wait_until_in_sync()

    def befall(self, fault: Fault) -> None:
        """Let a fault happen, and set a time for its end."""
        cluster = self._bed.cluster
        if cluster is not None and fault.kind in ("kill-node", "stop-node", "kill-cluster"):
            self.clear()  # of three nodes two must have each record
        self.injected.append(
            Injected(fault.kind, round(time.monotonic() - self._began_s, 1), self.gauge.events)
        )
        if fault.kind in ("kill", "terminate", "freeze", "kill-sink"):
            self._befall_worker(fault)
        elif fault.kind == "kill-store":
            self._kill_store()
        elif cluster is not None and fault.kind == "kill-cluster":
            cluster.kill()
            self._in(NODE_AWAY_S, cluster.start)
        elif cluster is not None:
            node = cluster.nodes[fault.victim % len(cluster.nodes)]
            if fault.kind == "kill-node":
                node.kill()
            else:
                node.stop()
            self._in(NODE_AWAY_S, node.start)

    def _befall_worker(self, fault: Fault) -> None:
        place = self._crew.place_of(SINK if fault.kind == "kill-sink" else PROCESS, fault.victim)
        self.until(lambda: self._crew.worker(place) is not None)
        worker = self._crew.worker(place) if fault.kind == "freeze" else self._crew.take(place)
        assert worker is not None
        if fault.kind == "freeze":
            worker.pause()
            self._in(FROZEN_S, worker.resume)
        elif fault.kind == "terminate":
            self._crew.dismiss(worker)
        else:
            worker.kill()

    def _kill_store(self) -> None:
        store = self._bed.store
        assert store is not None
        self.until(lambda: store.pid != 0)
        store.kill()
        self._in(STORE_AWAY_S, store.start)

    def _in(self, wait_s: float, act: Callable[[], None]) -> None:
        self._agenda.append((time.monotonic() + wait_s, act))
