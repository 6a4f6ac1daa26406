"""Chapelle's delay model as an online kernel: whether a click converts, and when, learned together."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.ftrl import lazy_weight, sigmoid

DAY_MS = 86_400_000
MAX_LOG_HAZARD = 12.0  # either way: a mean of half a second, or of 400 years
START_LOGIT = -3.0  # added to every logit: from even odds, silence would be taken for a long delay
MAX_GRADIENT = 20.0  # of the log hazard: a conversion after 20 times its mean is an outlier, not news


@njit(cache=True, nogil=True, error_model="numpy")
def unconverted_gradient(p: float, hazard: float, age: float) -> tuple[float, float]:
    """Of -log P(no conversion by ``age``) = -log(1 - p + p exp(-hazard age)), by logit and by log hazard.

    Equation 7 of Chapelle 2014. Nothing is known of a click of age 0; of a very old one its label.

    >>> unconverted_gradient(0.2, hazard=1.0, age=0.0)
    (0.0, 0.0)
    >>> round(unconverted_gradient(0.2, hazard=1.0, age=100.0)[0], 9)
    0.2
    """
    lasting = math.exp(-hazard * age)
    unconverted = 1.0 - p * (1.0 - lasting)
    return p * (1.0 - p) * (1.0 - lasting) / unconverted, p * lasting * hazard * age / unconverted


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    z, n, buckets, offsets, labels, ages, previous, importance, alpha, beta, l2
):
    predictions = np.empty(offsets.size - 1)
    weights = np.empty((2, buckets.size))
    for row in range(predictions.size):
        first, end = offsets[row], offsets[row + 1]
        logit, log_hazard = START_LOGIT, 0.0
        for k in range(first, end):
            for side in range(2):
                bucket = buckets[k]
                weights[side, k] = lazy_weight(z[side, bucket], n[side, bucket], alpha[side], beta, 0.0, l2)
            logit += weights[0, k]
            log_hazard += weights[1, k]
        p = sigmoid(logit)
        hazard = math.exp(min(max(log_hazard, -MAX_LOG_HAZARD), MAX_LOG_HAZARD))
        predictions[row] = p
        known, known_hazard = unconverted_gradient(p, hazard, previous[row])
        if labels[row]:
            error, hazard_error = p - 1.0, hazard * ages[row] - 1.0
        else:
            error, hazard_error = unconverted_gradient(p, hazard, ages[row])
        error = (error - known) * importance[row]
        hazard_error = (hazard_error - known_hazard) * importance[row]
        hazard_error = min(max(hazard_error, -MAX_GRADIENT), MAX_GRADIENT)
        for k in range(first, end):
            bucket = buckets[k]
            for side in range(2):
                gradient = error if side == 0 else hazard_error
                n_after = n[side, bucket] + gradient * gradient
                sigma = (math.sqrt(n_after) - math.sqrt(n[side, bucket])) / alpha[side]
                z[side, bucket] += gradient - sigma * weights[side, k]
                n[side, bucket] = n_after
    return predictions


class DelayedFeedback:
    """Conversion probability by logistic regression and exponential delay by a hazard, both linear.

    A click is learned again as it grows older without a conversion: each time what is known at its age
    replaces what was known at the age before, at today's weights; the conversion replaces all of it. Both
    sides are FTRL-Proximal per coordinate (McMahan et al. 2013) over the same hashed features.

    It is measured beside what is shipped (`headrace bench delays`) and is not a champion: it needs two
    more arrays of state and several examples a click.

    Parameters
    ----------
    bits, alpha, beta, l2
        As for ``models.ftrl.FTRLProximal``.
    hazard_alpha
        Learning rate of the log hazard.

    References
    ----------
    Chapelle, O., 2014. Modeling delayed feedback in display advertising. KDD.
    """

    def __init__(
        self,
        bits: int = 18,
        alpha: float = 0.05,
        beta: float = 1.0,
        l2: float = 1.0,
        hazard_alpha: float = 0.05,
    ) -> None:
        self.bits = bits
        self._alpha = np.array([alpha, hazard_alpha])
        self._beta = beta
        self._l2 = l2
        self.z = np.zeros((2, 1 << bits))
        self.n = np.zeros((2, 1 << bits))

    def learn_many_hashed(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        ages_ms: NDArray[np.int64],
        previous_ms: NDArray[np.int64],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Learn n rows in order; returns the conversion probability before each, float64[n].

        Rows are as for ``models.ftrl.FTRLProximal``. ``ages_ms`` is the age at which a click has not
        converted (label False), or the delay after which it has; ``previous_ms`` the age up to which it was
        learned as unconverted before, 0 for never. A weight of -1 takes a row back: a refund is its
        conversion with the whole window as ``previous_ms``.
        """
        predictions: NDArray[np.float64] = _learn(
            self.z, self.n, buckets, offsets, labels, ages_ms / DAY_MS, previous_ms / DAY_MS, weights,
            self._alpha, self._beta, self._l2,
        )  # fmt: skip
        return predictions

    def predict_many_hashed(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probability that a click converts at all, float64[n]."""
        return 1.0 / (1.0 + np.exp(-START_LOGIT - self._sums(0, buckets, offsets)))

    def mean_delays_s(self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean delay of the conversions of such clicks, float64[n]."""
        log_hazard = np.clip(self._sums(1, buckets, offsets), -MAX_LOG_HAZARD, MAX_LOG_HAZARD)
        return DAY_MS / 1000 * np.exp(-log_hazard)

    def _sums(
        self, side: int, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        scale = (self._beta + np.sqrt(self.n[side, buckets])) / self._alpha[side] + self._l2
        sums = np.concatenate(([0.0], np.cumsum(-self.z[side, buckets] / scale)))
        return np.asarray(sums[offsets[1:]] - sums[offsets[:-1]])
