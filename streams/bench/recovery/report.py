"""Restoring and taking over, measured."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import orjson
from msgspec import Struct
from msgspec.json import Decoder

from schemas.topics import STATE
from streams.admin import open_admin
from streams.bench.faults.bed import Bed, open_bed
from streams.bench.load import load
from streams.bench.mix import Mix, generate
from streams.bench.recovery.content import write_state, write_table
from streams.bench.recovery.plain_restoring import CHANGELOG
from streams.bench.recovery.restoring import Restored
from streams.bench.recovery.takeover import Takeover, take_over
from streams.settings import Kafka, Settings, child_environment
from streams.topics import topic_config

PARTITIONS = 8
FEW = 800
TIMEOUT_S = 600.0


class RecoveryError(RuntimeError):
    """A measured program did not come to its end, or restored something else."""


class Report(Struct, frozen=True):
    """What came out."""

    broker: str
    profiles: int
    seconds: float
    profiles_per_s: float
    profiles_per_cpu_s: float
    """What a machine that has nothing else to do comes near to."""
    rss_bytes_per_profile: float
    """Of a worker's process, less what it has with a few profiles."""
    plain_faust_rows: int
    plain_faust_rows_per_s: float
    takeover: Takeover


def run(profiles: int, plain_rows: int, embedded: bool, seed: int, advance: Callable[[int], None]) -> Report:
    """Restore ``profiles`` in one process, ``plain_rows`` in plain Faust, and let a worker take over.

    ``advance`` is called with the rows written since the last call.

    Raises:
        RecoveryError, TakeoverError: A measurement failed.
        MissingPackageError, ProcessError: There is no broker.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-recovery-") as scratch:
        directory = Path(scratch)
        with open_bed(directory / "bed", 1, embedded) as bed:
            settings = _settings(bed)
            asyncio.run(load(settings.kafka, Mix(generate(0, seed, PARTITIONS).catalog, {})))
            takeover = take_over(settings, directory, seed)
        with open_bed(directory / "fresh", 1, embedded) as bed:
            settings = _settings(bed)
            asyncio.run(load(settings.kafka, Mix([], {})))
            # Of a few, so that what is loaded at first use is not counted with the rows.
            asyncio.run(write_state(settings, FEW, lambda rows: None))
            few = _restored(settings)
            asyncio.run(write_state(settings, profiles, advance))
            full = _restored(settings)
            if full.rows != profiles:
                raise RecoveryError(f"expected {profiles:,} profiles restored, got {full.rows:,}")
            _create_table_topic(settings.kafka)
            asyncio.run(write_table(settings, CHANGELOG, plain_rows, advance))
            rows, seconds = _plain_restored(settings)
            if rows != plain_rows:
                raise RecoveryError(f"expected {plain_rows:,} rows recovered by plain Faust, got {rows:,}")
    return Report(
        broker="noida-db, embedded" if embedded else "Apache Kafka, one node",
        profiles=profiles,
        seconds=round(full.seconds, 2),
        profiles_per_s=round(profiles / full.seconds),
        profiles_per_cpu_s=round(profiles / full.cpu_s),
        rss_bytes_per_profile=round((full.rss_bytes - few.rss_bytes) / (profiles - FEW), 1),
        plain_faust_rows=plain_rows,
        plain_faust_rows_per_s=round(plain_rows / seconds),
        takeover=takeover,
    )


def _settings(bed: Bed) -> Settings:
    return Settings(kafka=Kafka(bootstrap_servers=bed.bootstrap_servers, partitions=PARTITIONS))


def _restored(settings: Settings) -> Restored:
    return Decoder(Restored).decode(_output(settings, "streams.bench.recovery.restoring"))


def _plain_restored(settings: Settings) -> tuple[int, float]:
    figures = orjson.loads(_output(settings, "streams.bench.recovery.plain_restoring"))
    return figures["rows"], figures["seconds"]


def _output(settings: Settings, module: str) -> bytes:
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            env=child_environment(settings),
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise RecoveryError(f"{module} did not end within {TIMEOUT_S:g} s") from None
    if done.returncode:
        raise RecoveryError(f"{module} ended with status {done.returncode}: {done.stderr.decode()[-1000:]}")
    return done.stdout


def _create_table_topic(kafka: Kafka) -> None:
    """As Faust would, but before its records are written."""
    with open_admin(kafka) as admin:
        config = {"num_partitions": kafka.partitions, "replication_factor": 1, "configs": topic_config(STATE)}
        admin.create_topics({CHANGELOG: config})
        admin.wait_for_topics([CHANGELOG])
