"""How fast the synthetic shop is: as arrays, as events, and as a log on disk."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from msgspec import Struct

from streams.data.jsonl import Writer
from streams.simulate.configuration import load
from streams.simulate.log import log
from streams.simulate.shop import Shop


class Report(Struct, frozen=True):
    """Rates of one process, in wall time and in time of its CPU: others may use the machine, too."""

    configuration: str
    seed: int
    exposures: int
    exposures_per_s: float
    """As arrays, with features and truth."""
    exposures_per_cpu_s: float
    events: int
    events_per_s: float
    """As structs of the contract."""
    events_per_cpu_s: float
    written_events_per_s: float
    """As lines on disk, each decoded again by the contract."""
    written_events_per_cpu_s: float
    numpy: str


def run(name: str, seed: int, exposures: int, events: int, advance: Callable[[], object]) -> Report:
    """Measure; the shop itself is made before. ``advance`` is called after each of three.

    Raises:
        ConfigurationError: There is no such configuration.
        OSError: The log cannot be written.
    """
    shop = Shop(load(name), seed)

    def as_arrays() -> None:
        shop.exposures(exposures)

    def as_events() -> None:
        for _ in log(shop, events, with_truth=False):
            pass

    def written() -> None:
        with TemporaryDirectory() as directory, Writer(Path(directory) / "shop.jsonl") as writer:
            for entry in log(shop, events, with_truth=False):
                writer.write(entry.event)

    took = []
    for work in (as_arrays, as_events, written):
        took.append(_seconds(work))
        advance()
    (arrays_s, arrays_cpu_s), (events_s, events_cpu_s), (written_s, written_cpu_s) = took
    return Report(
        configuration=name,
        seed=seed,
        exposures=exposures,
        exposures_per_s=exposures / arrays_s,
        exposures_per_cpu_s=exposures / arrays_cpu_s,
        events=events,
        events_per_s=events / events_s,
        events_per_cpu_s=events / events_cpu_s,
        written_events_per_s=events / written_s,
        written_events_per_cpu_s=events / written_cpu_s,
        numpy=np.__version__,
    )


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Wall time and CPU time that it takes."""
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started_s, time.process_time() - started_cpu_s
