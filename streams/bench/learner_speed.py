"""What predicting and learning one example costs, ours beside River and Vowpal Wabbit."""

import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from statistics import median

import numpy as np
from msgspec import Struct
from river import linear_model

from models.dense import DenseNetwork
from models.ftrl import FTRLProximal
from models.fwfm import FwFM
from streams.bench.contestants import (
    SHIPPED,
    Contestant,
    has_dense,
    one_by_one,
    ours,
    river_ftrl,
    vowpal_wabbit,
    vw_ftrl,
)

BITS = 18
FEATURES = 16, 39
ZIPF = 1.2
"""Exponent of how often the values of a field come: few often, most rarely, as words of a shop do."""
CLICK_RATE = 0.2
FASTEST_VW, RIVER_FTRL, FTRL, FWFM = "vw ftrl", "river ftrl", "ftrl", "fwfm"


class Cost(Struct, frozen=True):
    """Microseconds of CPU time of the process an example: others may use the machine, too."""

    median_us: float
    low_us: float
    high_us: float
    """Of the fastest and the slowest repetition."""
    examples: int
    """Of a repetition."""


class Report(Struct, frozen=True):
    """By number of features (as text) and learner."""

    costs: dict[str, dict[str, Cost]]
    river_ftrl_to_ftrl: dict[str, float]
    """Ratios of medians of one run."""
    vw_ftrl_to_ftrl: dict[str, float]
    """Of Vowpal Wabbit by its fastest way."""
    vw_ftrl_predict_first_to_ftrl: dict[str, float]
    versions: dict[str, str]
    machine: str


def contestants() -> Iterator[Contestant]:
    """All that are measured; FTRL has the same settings whoever's it is."""
    yield ours(FTRL, lambda: FTRLProximal(BITS))
    yield ours("ftrl float32", lambda: FTRLProximal(BITS, storage="float32"))
    yield one_by_one("ftrl, dictionaries", lambda: FTRLProximal(BITS), True, slowness=20)
    yield ours(FWFM, lambda: FwFM(BITS), slowness=4)
    yield ours("fwfm float32", lambda: FwFM(BITS, storage="float32"), slowness=4)
    if has_dense():
        yield ours("dense", lambda: DenseNetwork(BITS), slowness=20)
    yield one_by_one("river sgd", linear_model.LogisticRegression, False, slowness=20)
    yield one_by_one(RIVER_FTRL, river_ftrl(SHIPPED), False, slowness=40)
    yield vowpal_wabbit(FASTEST_VW, vw_ftrl(SHIPPED), BITS)
    yield vowpal_wabbit(f"{FASTEST_VW}, predict first", vw_ftrl(SHIPPED), BITS, predict_first=True)


def measure(examples: int, repetitions: int, seed: int, advance: Callable[[], object]) -> Report:
    """Run all in turn, ``repetitions`` times, so that what else the machine does befalls all alike.

    ``examples`` are those of the fastest; slow ones get a share. A first run, for compilation, is not
    measured. ``advance`` is called after each of ``repetitions * len(FEATURES) * len(contestants)`` runs.
    """
    costs = {str(features): _costs(features, examples, repetitions, seed, advance) for features in FEATURES}

    def ratios(of: str) -> dict[str, float]:
        return {
            features: by_name[of].median_us / by_name[FTRL].median_us for features, by_name in costs.items()
        }

    return Report(
        costs=costs,
        river_ftrl_to_ftrl=ratios(RIVER_FTRL),
        vw_ftrl_to_ftrl=ratios(FASTEST_VW),
        vw_ftrl_predict_first_to_ftrl=ratios(f"{FASTEST_VW}, predict first"),
        versions=versions(),
        machine=platform.machine(),
    )


def versions() -> dict[str, str]:
    """Of the libraries that are compared."""
    names = ("river", "vowpalwabbit", "numba", "numpy", *(["jax"] if has_dense() else []))
    return {name: version(name) for name in names}


def _costs(
    features: int, examples: int, repetitions: int, seed: int, advance: Callable[[], object]
) -> dict[str, Cost]:
    random = np.random.default_rng(seed)
    # Values of a field by Zipf's law, scattered over the table by a multiplicative hash (Knuth).
    tokens = random.zipf(ZIPF, (examples, features)) * np.arange(1, features + 1)
    buckets = (tokens.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - BITS)).astype(
        np.uint32
    )
    labels = random.random(examples) < CLICK_RATE
    compared = list(contestants())
    took_us: dict[str, list[float]] = {contestant.name: [] for contestant in compared}
    for contestant in compared:
        contestant.prepare(buckets[:10], labels[:10])()
    for _ in range(repetitions):
        for contestant in compared:
            count = examples // contestant.slowness
            run = contestant.prepare(buckets[:count], labels[:count])
            started_s = time.process_time()
            run()
            took_us[contestant.name].append(1e6 * (time.process_time() - started_s) / count)
            advance()
    return {
        contestant.name: Cost(
            median(took_us[contestant.name]),
            min(took_us[contestant.name]),
            max(took_us[contestant.name]),
            examples // contestant.slowness,
        )
        for contestant in compared
    }
