"""Calibration: predictions bent to the rate at which labels come, online, for all and for each segment."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

SEGMENTS = 64
"""Of a task; segments are hashed into so many rows."""
OWN_SEGMENTS = SEGMENTS // 2
"""The first of them are those of our own choices: the bucket of the slot modulo this."""
ANCHOR = -3.0  # logit at which shift and slope are nearly independent: a rate of 5%
PRIOR = 10.0  # the identity counts as much as 200 examples at a rate of 5%
MEMORY = 300.0
"""Curvature, p(1 - p) summed up, after which an example counts 1/e: about so many positives, whatever their
rate. Chosen by ``headrace bench calibration``."""
SLOPE_RANGE, SHIFT_RANGE = (0.2, 5.0), 8.0
MAX_LOGIT = 30.0

SHIFT, SLOPE, H00, H01, H11 = range(5)

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True, inline="always")
def _odds(p: float) -> float:
    """Logit of a probability, at most 30 either way; that of NaN is 0."""
    if p != p:
        return 0.0
    if p <= 1e-13:
        return -MAX_LOGIT
    if p >= 1.0 - 1e-13:
        return MAX_LOGIT
    return math.log(p / (1.0 - p))


@njit(cache=True, nogil=True, inline="always")
def _bend(row: Floats, logit: float) -> float:
    bent: float = row[SHIFT] + row[SLOPE] * (logit - ANCHOR) + ANCHOR
    return bent


@njit(cache=True, nogil=True)
def _step(
    row: Floats, logit: float, bent: float, label: bool, w: float, delayed: bool, memory: float
) -> None:
    x = logit - ANCHOR
    p = 1.0 / (1.0 + math.exp(-bent))
    keep = 1.0
    if delayed and label:
        error = w  # the click was learned as a negative: the residual goes from -p to 1 - p
    else:
        error = w * ((1.0 if label else 0.0) - p)
        if w > 0.0:
            curvature = w * p * (1.0 - p)
            keep = max(1.0 - curvature / memory, 0.5)
            row[H00] = keep * row[H00] + curvature
            row[H01] = keep * row[H01] + curvature * x
            row[H11] = keep * row[H11] + curvature * x * x
    g0 = error - (1.0 - keep) * PRIOR * row[SHIFT]
    g1 = error * x - (1.0 - keep) * PRIOR * (row[SLOPE] - 1.0)
    h00, h01, h11 = row[H00] + PRIOR, row[H01], row[H11] + PRIOR
    determinant = h00 * h11 - h01 * h01
    row[SHIFT] = min(max(row[SHIFT] + (h11 * g0 - h01 * g1) / determinant, -SHIFT_RANGE), SHIFT_RANGE)
    row[SLOPE] = min(max(row[SLOPE] + (h00 * g1 - h01 * g0) / determinant, SLOPE_RANGE[0]), SLOPE_RANGE[1])


@njit(cache=True, nogil=True)
def _calibrate(  # type: ignore[no-untyped-def]
    state, predictions, segments, labels, weights, learned, delayed, memory
):
    calibrated = np.empty(predictions.size)
    for i in range(predictions.size):
        logit = _odds(predictions[i])
        overall = _bend(state[0], logit)
        row = state[1 + segments[i]]
        bent = min(max(_bend(row, overall), -MAX_LOGIT), MAX_LOGIT)
        calibrated[i] = 1.0 / (1.0 + math.exp(-bent))
        if learned[i] and weights[i] != 0.0:
            _step(row, overall, bent, labels[i], weights[i], delayed, memory)
            _step(
                state[0],
                logit,
                min(max(overall, -MAX_LOGIT), MAX_LOGIT),
                labels[i],
                weights[i],
                delayed,
                memory,
            )
    return calibrated


def lines(state: Floats) -> Floats:
    """Slope and shift by which a raw logit of each segment becomes the calibrated one, float64[segments, 2].

    ``state`` is that of a ``Calibration``.

    >>> lines(Calibration(segments=2).state).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    overall, rows = state[0], state[1:]
    bent = overall[SHIFT] - overall[SLOPE] * ANCHOR + ANCHOR  # what becomes of a logit of 0, for all
    shifts = rows[:, SHIFT] + rows[:, SLOPE] * (bent - ANCHOR) + ANCHOR
    return np.stack([overall[SLOPE] * rows[:, SLOPE], shifts], axis=1)


class Calibration:
    """Platt scaling, online: logit -> shift + slope x logit, first for the whole task, then for the segment.

    Each pair is learned by recursive Newton steps on the log loss: curvature is summed up with exponential
    forgetting, so that old labels lose their say, and a Gaussian prior draws to the identity, so that a
    segment with few labels keeps what the task as a whole has learned. Slopes are positive: the order within
    a segment never changes. Memory is fixed: five numbers a row. The same examples give the same bits,
    however they are cut into batches.

    A weight below 0 takes an example back at today's prediction. With ``delayed`` every example comes as a
    negative first, and its positive takes that back.

    Parameters
    ----------
    segments
        Rows; a caller hashes whatever makes a segment into them.
    delayed
        Whether positives were negatives before.
    memory
        Curvature of a row's examples, about the number of positives, after which one counts 1/e.

    Attributes
    ----------
    state
        float64[1 + segments, 5]: shift, slope and the curvature of each row, the task's first.

    Examples
    --------
    A model that says 20% where 10% is true:

    >>> random = np.random.default_rng(1)
    >>> calibration = Calibration()
    >>> said = np.full(20_000, 0.2)
    >>> p = calibration.learn(said, np.zeros(20_000, np.int64), random.random(20_000) < 0.1, np.ones(20_000))
    >>> print(f"{p[0]:.2f} {p[-1]:.2f}")
    0.20 0.10

    References
    ----------
    [^1]: Platt, J., 1999. Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods. Advances in large margin classifiers, 10(3), pp. 61-74
    [^2]: Ljung, L. and Söderström, T., 1983. Theory and practice of recursive identification. MIT Press (recursive Newton steps with a forgetting factor)
    """  # noqa: E501

    def __init__(self, segments: int = SEGMENTS, delayed: bool = False, memory: float = MEMORY) -> None:
        if segments < 1 or not 1.0 <= memory < math.inf:
            raise ValueError(
                f"Expected segments and memory from 1 up, got segments={segments}, memory={memory}"
            )
        self.segments = segments
        self.delayed = delayed
        self.memory = memory
        self.state = np.zeros((1 + segments, 5))
        self.state[:, SLOPE] = 1.0

    def predict(self, predictions: Floats, segments: NDArray[np.int64]) -> Floats:
        """Calibrated probabilities, float64[n], of ``predictions``, float64[n], in ``segments``, int64[n]."""
        nobody = np.zeros(predictions.size, np.bool_)
        return self._run(predictions, segments, nobody, np.zeros(predictions.size), nobody)

    def learn(
        self,
        predictions: Floats,
        segments: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: Floats,
        learned: NDArray[np.bool_] | None = None,
    ) -> Floats:
        """Learn n examples one after the other; returns what was said of each before, float64[n].

        ``learned``, bool[n], leaves examples out that are only to be scored. Raises ValueError for a segment
        that has no row.
        """
        chosen = np.ones(predictions.size, np.bool_) if learned is None else learned
        return self._run(predictions, segments, labels, weights, chosen)

    def _run(
        self,
        predictions: Floats,
        segments: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: Floats,
        learned: NDArray[np.bool_],
    ) -> Floats:
        if segments.size and not (segments.min() >= 0 and segments.max() < self.segments):
            raise ValueError(
                f"Expected segments from 0 to {self.segments - 1}, got {segments.min()} to {segments.max()}"
            )
        calibrated: Floats = _calibrate(
            self.state, predictions, segments, labels, weights, learned, self.delayed, self.memory
        )
        return calibrated
