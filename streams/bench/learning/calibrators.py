"""What the shipped calibration is chosen against: nothing, one row for all, beta scaling, and bins."""

import math
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.calibration import ANCHOR, MAX_LOGIT, PRIOR, Calibration
from models.scorecard import BINS, BINS_A_LOGIT, LOWEST_LOGIT
from streams.bench.learning.exposures import Stream

Floats = NDArray[np.float64]
PARTS = 4  # of MEMORY between two isotonic fits
PSEUDO = 50.0  # examples that a bin is believed to have had, at its own prediction


def none(stream: Stream, memory: float) -> Floats:
    """The corrected prediction as it is."""
    return stream.predictions


def platt(stream: Stream, memory: float) -> Floats:
    """Platt scaling of the whole task; slots are not told apart."""
    return _platt(stream, np.zeros_like(stream.segments), memory)


def platt_by_segment(stream: Stream, memory: float) -> Floats:
    """What is shipped."""
    return _platt(stream, stream.segments, memory)


def beta_by_segment(stream: Stream, memory: float) -> Floats:
    """Beta scaling (Kull, Silva Filho and Flach 2017): slopes of ln p and -ln(1 - p), and a shift."""
    calibrated: Floats = _beta(
        stream.predictions, stream.segments, stream.labels, stream.weights, stream.seen, memory
    )
    return calibrated


def bins_by_segment(stream: Stream, memory: float) -> Floats:
    """Isotonic regression over bins of a quarter of a logit, fitted anew four times a memory."""
    calibrated: Floats = _isotonic(
        stream.predictions, stream.segments, stream.labels, stream.weights, stream.seen, memory
    )
    return calibrated


METHODS: dict[str, Callable[[Stream, float], Floats]] = {
    "none": none,
    "platt": platt,
    "platt by segment": platt_by_segment,
    "beta by segment": beta_by_segment,
    "bins by segment": bins_by_segment,
}
SHIPPED = "platt by segment"


def _platt(stream: Stream, segments: NDArray[np.int64], memory: float) -> Floats:
    calibration = Calibration(memory=memory)
    return calibration.learn(stream.predictions, segments, stream.labels, stream.weights, stream.seen)


@njit(cache=True, nogil=True)
def _beta(predictions, segments, labels, weights, seen, memory):  # type: ignore[no-untyped-def]
    rows = segments.max() + 1
    theta = np.zeros((rows, 3))
    theta[:, 0], theta[:, 1] = 1.0, 1.0
    curvature = np.zeros((rows, 3, 3))
    calibrated = np.empty(predictions.size)
    x = np.empty(3)
    home = np.array([1.0, 1.0, 0.0])
    for i in range(predictions.size):
        p = min(max(predictions[i], 1e-13), 1.0 - 1e-13)
        row = segments[i]
        # Drawn to the anchor, as the shipped one is, so that the shift is not tied to the slopes.
        x[0], x[1], x[2] = math.log(p) - ANCHOR, -math.log(1.0 - p), 1.0
        logit = theta[row] @ x + ANCHOR
        logit = min(max(logit, -MAX_LOGIT), MAX_LOGIT)
        calibrated[i] = q = 1.0 / (1.0 + math.exp(-logit))
        if not seen[i]:
            continue
        keep = max(1.0 - weights[i] * q * (1.0 - q) / memory, 0.5)
        error = weights[i] * ((1.0 if labels[i] else 0.0) - q)
        curvature[row] = keep * curvature[row] + weights[i] * q * (1.0 - q) * np.outer(x, x)
        gradient = error * x + (1.0 - keep) * PRIOR * (home - theta[row])
        theta[row] += np.linalg.solve(curvature[row] + PRIOR * np.eye(3), gradient)
        theta[row, 0], theta[row, 1] = max(theta[row, 0], 0.0), max(theta[row, 1], 0.0)
    return calibrated


@njit(cache=True, nogil=True)
def _pool(weight, label):  # type: ignore[no-untyped-def]
    """Pool adjacent violators: rates that rise with the bin."""
    size = weight.size
    total, good, length = np.empty(size), np.empty(size), np.empty(size, np.int64)
    blocks = 0
    for i in range(size):
        total[blocks], good[blocks], length[blocks] = weight[i], label[i], 1
        blocks += 1
        while blocks > 1 and good[blocks - 2] * total[blocks - 1] >= good[blocks - 1] * total[blocks - 2]:
            total[blocks - 2] += total[blocks - 1]
            good[blocks - 2] += good[blocks - 1]
            length[blocks - 2] += length[blocks - 1]
            blocks -= 1
    rates = np.empty(size)
    place = 0
    for block in range(blocks):
        rates[place : place + length[block]] = good[block] / total[block]
        place += length[block]
    return rates


@njit(cache=True, nogil=True)
def _isotonic(predictions, segments, labels, weights, seen, memory):  # type: ignore[no-untyped-def]
    rows = segments.max() + 1
    middle = (np.arange(BINS) + 0.5) / BINS_A_LOGIT + LOWEST_LOGIT
    own = 1.0 / (1.0 + np.exp(-middle))
    weight, label = np.zeros((rows, BINS)), np.zeros((rows, BINS))
    shift = np.zeros((rows, BINS))
    since = np.zeros(rows)
    calibrated = np.empty(predictions.size)
    for i in range(predictions.size):
        p = min(max(predictions[i], 1e-13), 1.0 - 1e-13)
        logit = math.log(p / (1.0 - p))
        row = segments[i]
        place = (logit - LOWEST_LOGIT) * BINS_A_LOGIT - 0.5
        low = min(max(math.floor(place), 0), BINS - 2)
        part = min(max(place - low, 0.0), 1.0)
        logit += (1.0 - part) * shift[row, low] + part * shift[row, low + 1]
        calibrated[i] = 1.0 / (1.0 + math.exp(-logit))
        if not seen[i]:
            continue
        near = low if part < 0.5 else low + 1
        weight[row, near] += weights[i]
        label[row, near] += weights[i] * labels[i]
        since[row] += weights[i] * calibrated[i] * (1.0 - calibrated[i])
        if since[row] >= memory / PARTS:
            keep = math.exp(-since[row] / memory)
            since[row] = 0.0
            rates = _pool(weight[row] + PSEUDO, label[row] + PSEUDO * own)
            for b in range(BINS):
                rate = min(max(rates[b], 1e-9), 1.0 - 1e-9)
                shift[row, b] = math.log(rate / (1.0 - rate)) - middle[b]
            weight[row] *= keep
            label[row] *= keep
    return calibrated
