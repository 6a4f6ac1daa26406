"""How well calibrated predictions are, before and after, by methods that could be shipped."""

import math
from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.calibration import MEMORY
from models.scorecard import BINS, COLUMNS, figures, tally
from streams.bench.learning.calibrators import METHODS, SHIPPED
from streams.bench.learning.exposures import SLOTS, Exposures, Stream, odds

SLOPE_STEPS = 8  # of Newton's method; it has converged after five
SLOPES = 0.95, 1.05
MOST_OF_UNCALIBRATED = 0.5

Floats = NDArray[np.float64]


class Result(Struct, frozen=True):
    """One method on one stream; every prediction is made before its label is seen."""

    stream: str
    method: str
    memory: float
    log_loss: float
    ece: float
    """Of all slots together."""
    ece_debiased: float
    ece_noise: float
    """A calibrated model's ``ece_debiased`` is below it in 97% of cases."""
    slot_ece_debiased: float
    """Mean over the slots."""
    slot_ece_noise: float
    slope: float
    """Of the logistic regression of labels on calibrated logits; 1 is right."""
    calibration: float
    """Sum of predictions / sum of labels."""


class Report(Struct, frozen=True):
    """All methods and memories on all streams."""

    examples: int
    seed: int
    shipped: str
    shipped_memory: float
    results: list[Result]
    failures: list[str]
    """Where the shipped method misses what it must show."""


def run(examples: int, seed: int, memories: tuple[float, ...], advance: Callable[[], object]) -> Report:
    """Calibrate ``examples`` exposures of each stream by each method; ``advance`` is called after each."""
    results = []
    for stream in Exposures(examples, seed).streams():
        for method, calibrate in METHODS.items():
            for memory in memories:
                if method != "none" or memory == memories[0]:
                    results.append(measured(stream, method, memory, calibrate(stream, memory)))
                advance()
    return Report(examples, seed, SHIPPED, MEMORY, results, failures(results))


def measured(stream: Stream, method: str, memory: float, calibrated: Floats) -> Result:
    """Figures of one run."""
    bins, sums = np.zeros((1 + SLOTS, BINS, COLUMNS)), np.zeros((1 + SLOTS, 4))
    everywhere, ones = np.zeros_like(stream.segments), np.ones(calibrated.size)
    tally(bins, sums, everywhere, calibrated, stream.labels, ones, 0.05, False)
    tally(bins, sums, stream.segments + 1, calibrated, stream.labels, ones, 0.05, False)
    overall, *slots = (figures(*row) for row in zip(bins, sums, strict=True))
    return Result(
        stream=stream.name,
        method=method,
        memory=memory,
        log_loss=overall.log_loss or math.nan,
        ece=overall.ece or 0.0,
        ece_debiased=overall.ece_debiased or 0.0,
        ece_noise=overall.ece_noise or 0.0,
        slot_ece_debiased=float(np.mean([slot.ece_debiased or 0.0 for slot in slots])),
        slot_ece_noise=float(np.mean([slot.ece_noise or 0.0 for slot in slots])),
        slope=slope(odds(calibrated), stream.labels),
        calibration=overall.calibration or math.nan,
    )


def slope(logits: Floats, labels: NDArray[np.bool_]) -> float:
    """Slope of the logistic regression of ``labels``, bool[n], on ``logits``, float64[n] (Cox 1958).

    >>> random = np.random.default_rng(1)
    >>> logits = random.normal(-2.0, 1.0, 100_000)
    >>> round(slope(2.0 * logits, random.random(100_000) < 1.0 / (1.0 + np.exp(-logits))), 1)
    0.5
    """
    rate = labels.mean()
    shift, slant = float(np.log(rate / (1.0 - rate))), 0.0  # from there Newton's steps do not overshoot
    for _ in range(SLOPE_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(shift + slant * logits, -30.0, 30.0)))
        error, w = labels - p, p * (1.0 - p)
        h00, h01, h11 = w.sum(), w @ logits, w @ logits**2
        g0, g1 = error.sum(), error @ logits
        determinant = h00 * h11 - h01 * h01
        shift += (h11 * g0 - h01 * g1) / determinant
        slant += (h00 * g1 - h01 * g0) / determinant
    return float(slant)


def failures(results: list[Result]) -> list[str]:
    """Streams on which the shipped method misses its mark, in words."""
    uncalibrated = {result.stream: result for result in results if result.method == "none"}
    missed = []
    for result in results:
        if result.method != SHIPPED or result.memory != MEMORY:
            continue
        for label, error, noise, most in (
            ("all", result.ece_debiased, result.ece_noise, uncalibrated[result.stream].ece_debiased),
            (
                "a slot",
                result.slot_ece_debiased,
                result.slot_ece_noise,
                uncalibrated[result.stream].slot_ece_debiased,
            ),
        ):
            if error > max(MOST_OF_UNCALIBRATED * most, noise):
                missed.append(
                    f"{result.stream}: expected a debiased ECE of {label} of at most "
                    f"{MOST_OF_UNCALIBRATED} x {most:.5f}, got {error:.5f}"
                )
        if not SLOPES[0] <= result.slope <= SLOPES[1]:
            missed.append(f"{result.stream}: expected a slope from 0.95 to 1.05, got {result.slope:.3f}")
    return missed
