"""FTRL-Proximal, the champion: McMahan et al. 2013 behind River's API and behind a batch API."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.hashed import HashedClassifier, Rows, State, Storage

Delayed = Literal["none", "fake_negative"]

LIMITS: dict[Storage, tuple[float, float]] = {"float64": (1e150, 1e308), "float32": (1e30, 1e38)}
"""Of |z| and n. With SETTING_RANGE and MAX_VALUE they keep weights below 1e162 and logits finite."""
SETTING_RANGE = 1e-6, 1e6  # of alpha and of beta + l2; far wider than any use


@njit(cache=True, nogil=True, error_model="numpy")
def lazy_weight(z: float, n: float, alpha: float, beta: float, l1: float, l2: float) -> float:
    """The weight of a coordinate (McMahan et al. 2013, algorithm 1)."""
    if abs(z) <= l1:
        return 0.0
    return -(z - math.copysign(l1, z)) / ((beta + math.sqrt(n)) / alpha + l2)


@njit(cache=True, nogil=True, error_model="numpy")
def sigmoid(logit: float) -> float:
    """Probability of a logit, without overflow."""
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
        weights[i] = lazy_weight(np.float64(z[i]), np.float64(n[i]), alpha, beta, l1, l2)
    return weights


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(z, n, buckets, values, offsets, alpha, beta, l1, l2):  # type: ignore[no-untyped-def]
    predictions = np.empty(offsets.size - 1)
    for row in range(predictions.size):
        logit = 0.0
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            w = lazy_weight(np.float64(z[bucket]), np.float64(n[bucket]), alpha, beta, l1, l2)
            logit += w * values[k]
        predictions[row] = sigmoid(logit)
    return predictions


@njit(cache=True, nogil=True, error_model="numpy")
def _variances(n, buckets, values, offsets, prior):  # type: ignore[no-untyped-def]
    variances = np.empty(offsets.size - 1)
    for row in range(variances.size):
        variance = 0.0
        for k in range(offsets[row], offsets[row + 1]):
            variance += values[k] * values[k] / (prior + np.float64(n[buckets[k]]))
        variances[row] = variance
    return variances


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    z, n, touched, buckets, values, offsets, labels, importance, alpha, beta, l1, l2, fake_negative,
    max_z, max_n,
):  # fmt: skip
    predictions = np.empty(offsets.size - 1)
    weights = np.empty(buckets.size)
    rejected = 0
    for row in range(predictions.size):
        logit = 0.0
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            weights[k] = lazy_weight(np.float64(z[bucket]), np.float64(n[bucket]), alpha, beta, l1, l2)
            logit += weights[k] * values[k]
        p = sigmoid(logit)
        predictions[row] = p
        error = (p - 1.0 if labels[row] else p) * importance[row]
        if fake_negative:
            error *= fake_negative_weight(p, labels[row])
        for k in range(offsets[row], offsets[row + 1]):
            bucket = buckets[k]
            gradient = error * values[k]
            n_before = np.float64(n[bucket])
            n_after = n_before + gradient * gradient
            sigma = (math.sqrt(n_after) - math.sqrt(n_before)) / alpha
            z_after = np.float64(z[bucket]) + gradient - sigma * weights[k]
            if abs(z_after) < max_z and n_after < max_n:  # written so that NaN fails too
                z[bucket] = z_after
                n[bucket] = n_after
                touched[bucket] = 1
            else:
                rejected += 1
    return predictions, rejected


def check_settings(
    bits: int, alpha: float, beta: float, l1: float, l2: float, delayed: Delayed, storage: Storage
) -> None:
    """Raise ValueError for settings of ``FTRLProximal`` without a finite weight for every state."""
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
    if storage not in LIMITS:
        raise ValueError(f"Expected storage 'float64' or 'float32', got {storage!r}")


class FTRLProximal(HashedClassifier):
    """Logistic regression by FTRL-Proximal, per coordinate, over hashed features.

    State is two arrays of ``2**bits`` buckets, ``z`` and ``n``; a weight is derived from them when it is
    needed and is exactly 0 where ``|z| <= l1``. No intercept is added: give a feature that is always
    there. Features are hashed as ``models.hashed.HashedClassifier`` says. A bucket that occurs twice in
    one example counts twice: two terms of the logit and two updates, each with the gradient of one.

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

    storage
        ``float32`` halves the memory: sums are made in float64 and rounded when they are kept, so a
        coordinate's ``z`` is off by at most 2**-24 of its largest value an update, and ``n`` stops growing
        where it is 2**24 squared gradients. After 10,000 examples no weight of a test is off by 1e-6.

    Attributes
    ----------
    z, n
        float64[2**bits], or float32.
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
        storage: Storage = "float64",
    ) -> None:
        check_settings(bits, alpha, beta, l1, l2, delayed, storage)
        self.bits = bits
        self.alpha = alpha
        self.beta = beta
        self.l1 = l1
        self.l2 = l2
        self.delayed: Delayed = delayed
        self.storage: Storage = storage
        self.z: NDArray[Any] = np.zeros(1 << bits, storage)
        self.n: NDArray[Any] = np.zeros(1 << bits, storage)
        self.touched = np.zeros(1 << bits, np.uint8)
        self.rejected = 0

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"bits": 10}
        yield {"bits": 10, "delayed": "fake_negative"}
        yield {"bits": 10, "storage": "float32"}

    def weights(self) -> NDArray[np.float64]:
        """The weight of every bucket, float64[2**bits]."""
        weights: NDArray[np.float64] = closed_form(self.z, self.n, *self._settings)
        return weights

    def variances(self) -> NDArray[np.float64]:
        """Variance of the weight of every bucket given the examples, float64[2**bits].

        The inverse of the diagonal of the Hessian at the mode (Laplace's approximation, Chapelle and Li
        2011): ``n``, whose expectation is the sum of p (1 - p), plus the regularisation of a coordinate
        that has seen nothing, ``beta / alpha + l2``. It says what the examples leave open. That an online
        learner wanders about the mode comes on top, more so with a large ``alpha``. An example's weight
        enters squared, so with weights other than 1 it is a rough guide.
        """
        return 1.0 / (self._prior + self.n.astype(np.float64))

    def logit_variances_many_hashed(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Variance of the logit of hashed examples, float64[n], as if weights were independent.

        Arguments and errors as for ``predict_many_hashed``.
        """
        rows = self._rows(buckets, offsets)
        variances: NDArray[np.float64] = _variances(
            self.n, rows.buckets, rows.values, rows.offsets, self._prior
        )
        return variances

    def occupied(self) -> NDArray[np.uint32]:
        """Buckets that were ever changed, in ascending order, uint32[k]."""
        return np.flatnonzero((self.z != 0.0) | (self.n != 0.0)).astype(np.uint32)

    def snapshot(self) -> State:
        """Buckets that were ever changed, and their ``z`` and ``n``."""
        buckets = self.occupied()
        return {"buckets": buckets, "z": self.z[buckets], "n": self.n[buckets]}

    def restore(self, state: State) -> None:
        """Lay a snapshot over a model that has learned nothing."""
        self.z[state["buckets"]] = state["z"]
        self.n[state["buckets"]] = state["n"]

    @property
    def _prior(self) -> float:
        return self.beta / self.alpha + self.l2

    @property
    def _settings(self) -> tuple[float, float, float, float]:
        return self.alpha, self.beta, self.l1, self.l2

    def _predict_rows(self, rows: Rows) -> NDArray[np.float64]:
        predictions: NDArray[np.float64] = _predict(
            self.z, self.n, rows.buckets, rows.values, rows.offsets, *self._settings
        )
        return predictions

    def _learn_rows(
        self, rows: Rows, labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        predictions: NDArray[np.float64]
        predictions, rejected = _learn(
            self.z,
            self.n,
            self.touched,
            rows.buckets,
            rows.values,
            rows.offsets,
            labels,
            weights,
            *self._settings,
            self.delayed == "fake_negative",
            *LIMITS[self.storage],
        )
        self.rejected += rejected
        return predictions
