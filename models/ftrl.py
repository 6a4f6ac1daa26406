"""FTRL-Proximal, the champion: McMahan et al. 2013 behind River's API and behind a batch API."""

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from river import base

from models.hashing import stable_key

Delayed = Literal["none", "fake_negative"]

MAX_VALUE = 1e15  # a feature's value is clipped here: the largest amount of money of the contract, in micros
MAX_Z = 1e150  # with SETTING_RANGE and MAX_VALUE this keeps weights below 1e162 and logits finite
SETTING_RANGE = 1e-6, 1e6  # of alpha and of beta + l2; far wider than any use


@njit(cache=True, nogil=True, error_model="numpy")
def _weight(z: float, n: float, alpha: float, beta: float, l1: float, l2: float) -> float:
    if abs(z) <= l1:
        return 0.0
    return -(z - math.copysign(l1, z)) / ((beta + math.sqrt(n)) / alpha + l2)


@njit(cache=True, nogil=True, error_model="numpy")
def _sigmoid(logit: float) -> float:
    if logit >= 0.0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)


@njit(cache=True, nogil=True, error_model="numpy")
def fake_negative_weight(p: float, label: bool) -> float:
    """Importance of an example whose positives came as negatives before (Ktena et al. 2019).

    ``p`` is the prediction, taken as a constant.

    >>> fake_negative_weight(0.25, True), fake_negative_weight(0.25, False)
    (1.25, 0.9375)
    """
    return 1.0 + p if label else (1.0 - p) * (1.0 + p)


@njit(cache=True, nogil=True, error_model="numpy")
def closed_form(
    z: NDArray[np.float64], n: NDArray[np.float64], alpha: float, beta: float, l1: float, l2: float
) -> NDArray[np.float64]:
    """Weights, float64[k], of the coordinates with state ``z`` and ``n``, both float64[k].

    This is the lazy weight of algorithm 1 in McMahan et al. 2013, computed as learning computes it, so
    that a reader's weights equal the writer's bit for bit.

    >>> closed_form(np.array([0.5, -3.0]), np.array([4.0, 4.0]), alpha=0.5, beta=1.0, l1=1.0, l2=1.0)
    array([0.        , 0.28571429])
    """
    weights = np.empty(z.size)
    for i in range(z.size):
        weights[i] = _weight(z[i], n[i], alpha, beta, l1, l2)
    return weights


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(z, n, buckets, values, offsets, alpha, beta, l1, l2):  # type: ignore[no-untyped-def]
    predictions = np.empty(offsets.size - 1)
    for row in range(predictions.size):
        logit = 0.0
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            logit += _weight(z[bucket], n[bucket], alpha, beta, l1, l2) * values[k]
        predictions[row] = _sigmoid(logit)
    return predictions


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    z, n, touched, buckets, values, offsets, labels, importance, alpha, beta, l1, l2, fake_negative
):
    predictions = np.empty(offsets.size - 1)
    weights = np.empty(buckets.size)
    rejected = 0
    for row in range(predictions.size):
        logit = 0.0
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            weights[k] = _weight(z[bucket], n[bucket], alpha, beta, l1, l2)
            logit += weights[k] * values[k]
        p = _sigmoid(logit)
        predictions[row] = p
        error = (p - 1.0 if labels[row] else p) * importance[row]
        if fake_negative:
            error *= fake_negative_weight(p, labels[row])
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            gradient = error * values[k]
            n_after = n[bucket] + gradient * gradient
            sigma = (math.sqrt(n_after) - math.sqrt(n[bucket])) / alpha
            z_after = z[bucket] + gradient - sigma * weights[k]
            # Written so that NaN fails too; an n that overflows makes z_after infinite or NaN.
            if abs(z_after) < MAX_Z:
                z[bucket] = z_after
                n[bucket] = n_after
                touched[bucket] = 1
            else:
                rejected += 1
    return predictions, rejected


class FTRLProximal(base.Classifier):
    """Logistic regression by FTRL-Proximal, per coordinate, over hashed features.

    State is two float64 arrays of ``2**bits`` buckets, ``z`` and ``n``; a weight is derived from them
    when it is needed and is exactly 0 where ``|z| <= l1``. No intercept is added: give a feature that
    is always there. The same examples in the same order give the same bits, one by one or in batches
    of any size.

    A feature of a dictionary is hashed by name. A number keeps its value, clipped to +-1e15; a string
    ``s`` becomes the feature ``name=s`` with the value 1; None, NaN and infinities are left out. The
    order of keys has no effect. A bucket that occurs twice in one example counts twice: two terms of the
    logit and two updates, each with the gradient of one.

    An example with a weight below 0 takes an earlier one back: it is the pull of its label, reversed, at
    today's prediction. An update that would not leave the state finite is not applied and counts in
    ``rejected``.

    Parameters
    ----------
    bits
        Features are hashed to ``2**bits`` buckets.
    alpha
        Learning rate of a coordinate that has seen no gradient, times ``beta``.
    beta
        Smooths the learning rate ``alpha / (beta + sqrt(n))``; the paper takes 1.
    l1
        L1 strength: makes weights exactly 0.
    l2
        L2 strength.
    delayed
        ``fake_negative``: every example comes first as a negative, and once more as a positive if it
        converts later. Positives are then weighted by 1 + p and negatives by (1 - p)(1 + p), with p the
        prediction at that moment, which makes the conversion rate the fixed point (Ktena et al. 2019).

    Attributes
    ----------
    z, n
        float64[2**bits].
    touched
        uint8[2**bits]: 1 where a bucket changed since ``take_touched``.
    rejected
        Updates of one coordinate that were not applied.

    Examples
    --------

    >>> from river import datasets
    >>> from river import evaluate
    >>> from river import metrics
    >>> from river import preprocessing
    >>> from models.ftrl import FTRLProximal

    >>> model = preprocessing.StandardScaler() | FTRLProximal(bits=10, alpha=0.5)

    >>> evaluate.progressive_val_score(datasets.Phishing(), model, metrics.ROCAUC())
    ROCAUC: 95.49%

    References
    ----------
    [^1]: [McMahan, H.B., Holt, G., Sculley, D., Young, M., Ebner, D., Grady, J., Nie, L., Phillips, T., Davydov, E., Golovin, D. and Chikkerur, S., 2013, August. Ad click prediction: a view from the trenches. In Proceedings of the 19th ACM SIGKDD international conference on Knowledge discovery and data mining (pp. 1222-1230)](https://research.google.com/pubs/archive/41159.pdf)
    [^2]: [Ktena, S.I., Tejani, A., Theis, L., Myana, P.K., Dilipkumar, D., Huszár, F., Yoo, S. and Shi, W., 2019. Addressing delayed feedback for continuous training with neural networks in CTR prediction. In Proceedings of the 13th ACM conference on recommender systems (pp. 187-195)](https://arxiv.org/abs/1907.06558)

    """  # noqa: E501

    def __init__(
        self,
        bits: int = 18,
        alpha: float = 0.05,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 1.0,
        delayed: Delayed = "none",
    ) -> None:
        if not 1 <= bits <= 32:
            raise ValueError(f"Expected bits from 1 to 32, got {bits}")
        low, high = SETTING_RANGE
        in_range = low <= alpha <= high and low <= beta + l2 <= high
        if not (in_range and beta >= 0.0 and l1 >= 0.0 and l2 >= 0.0):
            raise ValueError(
                f"Expected alpha and beta + l2 from {low} to {high}, and beta, l1 and l2 from 0 up, "
                f"got alpha={alpha}, beta={beta}, l1={l1}, l2={l2}"
            )
        if delayed not in ("none", "fake_negative"):
            raise ValueError(f"Expected delayed 'none' or 'fake_negative', got {delayed!r}")
        self.bits = bits
        self.alpha = alpha
        self.beta = beta
        self.l1 = l1
        self.l2 = l2
        self.delayed: Delayed = delayed
        self.z = np.zeros(1 << bits)
        self.n = np.zeros(1 << bits)
        self.touched = np.zeros(1 << bits, np.uint8)
        self.rejected = 0

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"bits": 10}
        yield {"bits": 10, "delayed": "fake_negative"}

    def predict_proba_one(self, x: Mapping[Hashable, Any]) -> dict[bool, float]:
        """Probability of each label for a dictionary of features."""
        buckets, values, offsets = self._hash(x)
        p = float(_predict(self.z, self.n, buckets, values, offsets, *self._settings)[0])
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Mapping[Hashable, Any], y: bool, w: float = 1.0) -> None:
        """Update with a dictionary of features, its label and its weight."""
        buckets, values, offsets = self._hash(x)
        self._learn(buckets, values, offsets, np.array([bool(y)]), np.array([w], np.float64))

    def predict_many_hashed(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Predict hashed examples in compressed sparse rows; every feature has the value 1.

        Parameters
        ----------
        buckets
            uint32[nnz]: the buckets of all examples, one example after the other.
        offsets
            int64[n + 1]: example ``i`` has ``buckets[offsets[i]:offsets[i + 1]]``.

        Returns
        -------
        float64[n]: the probability of the positive label.

        Raises
        ------
        ValueError
            A bucket lies outside the state, or the offsets do not fit the buckets.
        """
        self._check_rows(buckets, offsets)
        predictions: NDArray[np.float64] = _predict(
            self.z, self.n, buckets, np.ones(buckets.size), offsets, *self._settings
        )
        return predictions

    def learn_many_hashed(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Learn hashed examples one after the other, and return what was predicted before each.

        ``buckets`` and ``offsets`` as for ``predict_many_hashed``; ``labels`` bool[n], ``weights``
        float64[n]. Returns float64[n]. Raises ValueError as that does, and where lengths differ.
        """
        self._check_rows(buckets, offsets)
        if not labels.size == weights.size == offsets.size - 1:
            raise ValueError(
                f"Expected {offsets.size - 1} labels and weights, got {labels.size} and {weights.size}"
            )
        return self._learn(buckets, np.ones(buckets.size), offsets, labels, weights)

    def weights(self) -> NDArray[np.float64]:
        """The weight of every bucket, float64[2**bits]."""
        weights: NDArray[np.float64] = closed_form(self.z, self.n, *self._settings)
        return weights

    def take_touched(self) -> NDArray[np.uint32]:
        """Buckets that changed since the last call, in ascending order, uint32[k]."""
        buckets = np.flatnonzero(self.touched).astype(np.uint32)
        self.touched[buckets] = 0
        return buckets

    def occupied(self) -> NDArray[np.uint32]:
        """Buckets that were ever changed, in ascending order, uint32[k]."""
        return np.flatnonzero((self.z != 0.0) | (self.n != 0.0)).astype(np.uint32)

    @property
    def _settings(self) -> tuple[float, float, float, float]:
        return self.alpha, self.beta, self.l1, self.l2

    def _learn(
        self,
        buckets: NDArray[np.uint32],
        values: NDArray[np.float64],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        predictions: NDArray[np.float64]
        predictions, rejected = _learn(
            self.z,
            self.n,
            self.touched,
            buckets,
            values,
            offsets,
            labels,
            weights,
            *self._settings,
            self.delayed == "fake_negative",
        )
        self.rejected += rejected
        return predictions

    def _check_rows(self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]) -> None:
        # The kernels do not check bounds: what passes here must be safe there.
        if buckets.size and buckets.max() >= self.z.size:
            raise ValueError(f"Expected buckets below 2**{self.bits}, got {buckets.max()}")
        if offsets[0] != 0 or offsets[-1] != buckets.size or np.any(np.diff(offsets) < 0):
            raise ValueError(f"Expected offsets that rise from 0 to {buckets.size}")

    def _hash(
        self, x: Mapping[Hashable, Any]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float64], NDArray[np.int64]]:
        mask = self.z.size - 1
        features = []
        for name, value in x.items():
            if value is None:
                continue
            if isinstance(value, str):
                features.append((stable_key(f"{name}={value}") & mask, 1.0))
                continue
            number = float(value)
            if abs(number) <= MAX_VALUE:
                features.append((stable_key(str(name)) & mask, number))
            elif math.isfinite(number):
                features.append((stable_key(str(name)) & mask, math.copysign(MAX_VALUE, number)))
        features.sort()  # floating-point sums depend on the order, which must not be that of the keys
        buckets = np.array([bucket for bucket, _ in features], np.uint32)
        values = np.array([number for _, number in features], np.float64)
        return buckets, values, np.array([0, len(features)], np.int64)
