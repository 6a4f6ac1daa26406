"""Throughput on the standard mix: Headrace, plain Faust with River, and the pass-through, in turn."""

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import aiokafka.errors
import kafka.errors
import psutil
from msgspec import Struct
from msgspec.structs import replace

from schemas.events import Exposure, View, decode_view
from schemas.topics import DECISIONS, EXAMPLES, OUTCOMES, VIEWS
from streams.admin import NoBrokerError, open_admin
from streams.bench.faults.bed import Bed, open_bed
from streams.bench.load import load
from streams.bench.measure import Measurement, MeasurementError, Sample, measure
from streams.bench.mix import Mix, generate
from streams.bench.systems import Plan, Running, System, running
from streams.embedded.process import Process, ProcessError
from streams.lag import StalledError, end_offsets, wait_until_read
from streams.settings import Kafka, Settings
from streams.topics import TopicError

POLL_INTERVAL_S = {"headrace": 0.2, "plain_faust": 0.05, "passthrough": 0.005}
"""A poll of Headrace asks the broker: twenty a second took 3% of a core here, and more of the broker's, from
what was measured. Its commits come in lumps a second apart, and both ends of a run are seen as late as each
other on average. The others report to a file, and the pass-through is done within two seconds."""
STALL_TIMEOUT_S = 120.0
"""Longer than any system takes to start, join and compile."""


RUN_ERRORS = (
    MeasurementError,
    ProcessError,
    StalledError,
    NoBrokerError,
    TopicError,
    kafka.errors.KafkaError,
    aiokafka.errors.KafkaError,
)


class BenchError(RuntimeError):
    """A run did not come to its end, or left work out."""


class Report(Struct, frozen=True):
    """What came out. A system that was not measured has no figure."""

    headrace_events_per_s: float | None
    plain_faust_events_per_s: float | None
    passthrough_events_per_s: float | None
    """Medians of the repetitions."""
    headrace_to_plain_faust: float | None
    headrace_to_passthrough: float | None
    python: str
    machine: str
    cores: int
    plan: Plan
    runs: dict[System, list[Measurement]]
    failures: list[str]


def run(plan: Plan, advance: Callable[[], None], keep_going: bool = False) -> Report:
    """Measure every system ``plan.repetitions`` times, one after the other and in turn.

    Each run has a broker of its own, freshly started and loaded with the same events. ``advance`` is
    called after each run. With ``keep_going`` a failed run is reported and the others go on.

    Raises:
        BenchError: A run failed.
    """
    runs: dict[System, list[Measurement]] = {system: [] for system in plan.systems}
    mixes = {
        events: generate(events, plan.seed, plan.partitions)
        for events in set(map(plan.events_of, plan.systems))
    }
    failures = []
    for repetition in range(plan.repetitions):
        for system in plan.systems:
            try:
                runs[system].append(run_once(system, plan, mixes[plan.events_of(system)]))
            except (BenchError, *RUN_ERRORS) as error:
                failure = f"{system}, repetition {repetition + 1}: {error}"
                if not keep_going:
                    raise BenchError(failure) from error
                failures.append(failure)
            advance()
    return report(plan, runs, failures)


def run_once(system: System, plan: Plan, mix: Mix) -> Measurement:
    """One run of one system over ``mix``, which holds ``plan.events_of(system)`` events.

    Raises:
        BenchError: It stalled, or wrote less than was due.
        RUN_ERRORS: The broker or the system failed, or there were too few events to tell a rate.
    """
    events = plan.events_of(system)
    with (
        tempfile.TemporaryDirectory(prefix="headrace-bench-") as run_dir,
        open_bed(Path(run_dir) / "broker", nodes=1, embedded=not plan.kafka) as bed,
    ):
        settings = plan.settings(bed.bootstrap_servers)
        asyncio.run(load(settings.kafka, mix))
        with running(system, plan, settings, Path(run_dir) / "system.log") as started:
            samples = _watch(started, _broker_process(bed), events, POLL_INTERVAL_S[system])
            learned_after_s = _wait_for_learner(settings, started.process) if system == "headrace" else None
        if system != "passthrough":
            _check_results(settings.kafka, mix)
    measured = measure(samples, events, round(plan.warm_up_share * events))
    return replace(measured, learned_after_s=learned_after_s)


def report(plan: Plan, runs: dict[System, list[Measurement]], failures: list[str]) -> Report:
    """Medians and ratios of what was measured."""
    rates = {
        system: median(each.events_per_s for each in measured)
        for system, measured in runs.items()
        if measured
    }
    headrace = rates.get("headrace")

    def ratio_to(other: System) -> float | None:
        return headrace / rates[other] if headrace is not None and other in rates else None

    return Report(
        headrace_events_per_s=headrace,
        plain_faust_events_per_s=rates.get("plain_faust"),
        passthrough_events_per_s=rates.get("passthrough"),
        headrace_to_plain_faust=ratio_to("plain_faust"),
        headrace_to_passthrough=ratio_to("passthrough"),
        python=platform.python_version(),
        machine=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        plan=plan,
        runs=runs,
        failures=failures,
    )


def _watch(started: Running, broker_process: psutil.Process, events: int, interval_s: float) -> list[Sample]:
    """Sample until all events are done."""
    worker_process = psutil.Process(started.process.pid)
    samples: list[Sample] = []
    moved_s = time.monotonic()
    while not samples or samples[-1].events < events:
        time.sleep(interval_s)
        done = started.events_done()
        if done < events:
            started.process.check()
        now_s = time.monotonic()
        if samples and done > samples[-1].events:
            moved_s = now_s
        samples.append(Sample(now_s, done, _cpu_s(worker_process), _cpu_s(broker_process)))
        if now_s - moved_s > STALL_TIMEOUT_S:
            raise BenchError(
                f"no progress for {STALL_TIMEOUT_S:g} s after {done:,} of {events:,} events; "
                f"the end of its log:\n{started.process.log_tail()}"
            )
    return samples


def _wait_for_learner(settings: Settings, process: Process) -> float:
    """Seconds until every example has been learned: a learner that trails has left work for later."""
    started_s = time.monotonic()
    group_id = f"{settings.kafka.group_id}-learn"
    wait_until_read(settings.kafka, group_id, [EXAMPLES], STALL_TIMEOUT_S, lambda *_: process.check())
    return time.monotonic() - started_s


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _broker_process(bed: Bed) -> psutil.Process:
    """The node; or our child that was told to listen on the port."""
    if bed.cluster is not None:
        return psutil.Process(bed.cluster.nodes[0].pid)
    port = bed.bootstrap_servers.rpartition(":")[2]
    return next(child for child in psutil.Process().children() if port in child.cmdline())


def _check_results(kafka: Kafka, mix: Mix) -> None:
    """No figure by leaving work out: every slot that asked has its decision, every exposure its outcome."""
    seen = [
        decode_view(value)
        for (topic, _), rows in mix.records.items()
        if topic == VIEWS.name
        for _, value, _ in rows
    ]
    due = {
        DECISIONS: sum(len(event.slots) for event in seen if isinstance(event, View)),
        OUTCOMES: sum(isinstance(event, Exposure) for event in seen),
    }
    with open_admin(kafka) as admin:
        for topic, expected in due.items():
            written = sum(end_offsets(admin, [topic]).values())
            if written < expected:
                raise BenchError(f"Expected at least {expected:,} records on `{topic.name}`, got {written:,}")
