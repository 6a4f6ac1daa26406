"""New ads in a shop whose truth is known: how wrong their click probabilities are in their first exposures.

A quarter of the synthetic shop's ads is first shown when half of the log has been learned. The examples are
those of a log with the shipped features; what is judged is what was predicted before each was learned.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numba import njit
from numpy.typing import NDArray

from models.ad_shifts import AdShifts
from models.cold_start import SmoothedAds
from models.features import FEATURES, Buckets
from models.ftrl import FTRLProximal
from models.population import Population
from streams.bench.hashing import hashed
from streams.settings import Learning
from streams.simulate.configuration import load
from streams.simulate.shop import Shop

EDGES = (0, 10, 30, 100, 300, 1000)
"""Exposures of an ad between which it is judged."""
LAUNCHED_SHARE, LAUNCHED_AFTER = 0.25, 0.5
CONTENT = tuple(name for name in FEATURES if name.startswith(("campaign", "ad_category", "ad_feature")))
CHAIN = ("ad_category", "campaign", "ad")
STRENGTH = 4.0
"""Expected clicks that a prior rate counts as; of 1 to 10 none was much better on `base`."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Plan(Struct, frozen=True):
    """What is measured."""

    configuration: str = "base"
    exposures: int = 800_000
    seeds: tuple[int, ...] = (1, 2, 3)


class Errors(Struct, frozen=True):
    """Of one method; means over the seeds."""

    error_by_exposures: dict[str, float]
    """By exposures of the ad: root mean square over new ads of log(mean prediction / mean truth)."""
    excess_log_loss_new: float
    """Mean divergence from the true probability, nats an exposure; first 1,000 exposures of new ads."""
    excess_log_loss_old: float
    """The same for the other ads, in the half of the log after the launch."""


class Report(Struct, frozen=True):
    """By method."""

    plan: Plan
    methods: dict[str, Errors]


class Log(Struct, frozen=True):
    """Arrays with an entry an exposure, in order."""

    rows: Buckets
    clicked: Flags
    truth: Floats
    ad: NDArray[np.intp]
    nth: NDArray[np.int64]
    """How many exposures the ad had before."""
    is_new: Flags
    is_old: Flags
    """Of another ad, after the launch."""


def run(plan: Plan, advance: Callable[[], object]) -> Report:
    """Measure; ``advance`` is called after each method and seed.

    Raises:
        ConfigurationError: There is no such configuration.
    """
    found: dict[str, list[Errors]] = {name: [] for name in METHODS}
    for seed in plan.seeds:
        log = draw(plan, seed)
        for name, predict in METHODS.items():
            found[name].append(judge(log, predict(log)))
            advance()
    return Report(plan, {name: _mean(errors) for name, errors in found.items()})


def draw(plan: Plan, seed: int) -> Log:
    """The log of one seed, without what new ads were shown before their launch."""
    shop = Shop(load(plan.configuration), seed)
    shown = shop.exposures(plan.exposures)
    count = len(shop.world.ad_ids)
    launched = np.zeros(count, np.bool_)
    launched[np.random.default_rng([seed, 9]).permutation(count)[: int(LAUNCHED_SHARE * count)]] = True
    after = np.arange(plan.exposures) >= LAUNCHED_AFTER * plan.exposures
    kept = np.flatnonzero(after | ~launched[shown.ad])
    ad = shown.ad[kept]
    order = np.argsort(ad, kind="stable")
    first = np.searchsorted(ad[order], np.arange(count))
    nth = np.empty(len(ad), np.int64)
    nth[order] = np.arange(len(ad)) - first[ad[order]]
    return Log(
        rows=hashed(shop, shown, Learning().bits)[kept],
        clicked=shown.clicked[kept],
        truth=shown.p_click[kept],
        ad=ad,
        nth=nth,
        is_new=launched[ad],
        is_old=~launched[ad] & after[kept],
    )


def judge(log: Log, predictions: Floats) -> Errors:
    """Hold predictions against the truth."""
    errors = {}
    for start, end in pairwise(EDGES):
        judged = log.is_new & (log.nth >= start) & (log.nth < end)
        counts = np.bincount(log.ad[judged])
        whole = counts == end - start
        expected = np.bincount(log.ad[judged], log.truth[judged])[whole]
        ratio = np.log(np.bincount(log.ad[judged], predictions[judged])[whole] / expected)
        errors[f"{start}-{end}"] = float(np.sqrt((ratio**2).mean())) if whole.any() else float("nan")
    p, truth = np.clip(predictions, 1e-12, 1 - 1e-12), log.truth
    divergence = truth * np.log(truth / p) + (1 - truth) * np.log((1 - truth) / (1 - p))
    return Errors(
        error_by_exposures=errors,
        excess_log_loss_new=float(divergence[log.is_new & (log.nth < EDGES[-1])].mean()),
        excess_log_loss_old=float(divergence[log.is_old].mean()),
    )


def without_content(log: Log) -> Floats:
    """An ad is nothing but its id."""
    kept = [number for number, name in enumerate(FEATURES) if name not in CONTENT]
    return _plain(np.ascontiguousarray(log.rows[:, kept]), log.clicked)


def alone(log: Log) -> Floats:
    """FTRL-Proximal with all features."""
    return _plain(log.rows, log.clicked)


def shipped(log: Log) -> Floats:
    """The same with challengers, of which one that is better takes its place, and shifts for ads."""
    rows, edges = log.rows, np.arange(0, log.rows.size + 1, log.rows.shape[1], dtype=np.int64)
    population = Population(_champion(), Learning().challengers)
    weights = np.ones(len(log.clicked))
    said, _ = population.learn_many_hashed(rows.ravel(), edges, log.clicked, weights)
    shifts = AdShifts(Learning().bits)
    return shifts.learn(rows.ravel(), edges, said, log.clicked, weights)


def faster(log: Log) -> Floats:
    """The same with twice the learning rate."""
    return _plain(log.rows, log.clicked, alpha=2 * Learning().alpha)


def counted(chain: tuple[str, ...]) -> Callable[[Log], Floats]:
    """Clicks by expected clicks of each level, smoothed to the level above, as a factor on the odds."""

    def predict(log: Log) -> Floats:
        places = np.array([FEATURES.index(name) for name in chain])
        predictions = alone(log)
        _smooth(log.rows, log.clicked, predictions, places, 1 << Learning().bits)
        return predictions

    return predict


def smoothed(log: Log) -> Floats:
    """``models.cold_start``."""
    model = SmoothedAds(_champion(), FEATURES.index("ad"))
    return model.learn_many_hashed(log.rows, log.clicked, np.ones(len(log.clicked)))


METHODS: dict[str, Callable[[Log], Floats]] = {
    "ad-id-only": without_content,
    "alone": alone,
    "shipped": shipped,
    "twice-the-rate": faster,
    "counted-ad": counted(CHAIN[2:]),
    "counted-chain": counted(CHAIN),
    "smoothed-ad": smoothed,
}


@njit(cache=True)
def _smooth(rows, clicked, predictions, places, buckets):  # type: ignore[no-untyped-def]
    """Gamma-Poisson shrinkage, level by level; ``predictions`` are changed in place."""
    clicks, expected = np.zeros(buckets), np.zeros(buckets)
    for row in range(rows.shape[0]):
        p = predictions[row]
        factor = 1.0
        for place in places:
            bucket = rows[row, place]
            factor = (clicks[bucket] + STRENGTH * factor) / (expected[bucket] + STRENGTH)
        odds = p / (1.0 - p) * factor
        predictions[row] = odds / (1.0 + odds)
        for place in places:
            clicks[rows[row, place]] += clicked[row]
            expected[rows[row, place]] += p


def _champion(alpha: float | None = None) -> FTRLProximal:
    settings = Learning()
    return FTRLProximal(settings.bits, alpha or settings.alpha, settings.beta, settings.l1, settings.l2)


def _plain(rows: Buckets, clicked: Flags, alpha: float | None = None) -> Floats:
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int64)
    return _champion(alpha).learn_many_hashed(rows.ravel(), offsets, clicked, np.ones(len(clicked)))


def _mean(errors: list[Errors]) -> Errors:
    return Errors(
        {
            name: _mean_known([each.error_by_exposures[name] for each in errors])
            for name in errors[0].error_by_exposures
        },
        _mean_known([each.excess_log_loss_new for each in errors]),
        _mean_known([each.excess_log_loss_old for each in errors]),
    )


def _mean_known(values: list[float]) -> float:
    """Of those seeds where an ad was shown so often; NaN where there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
