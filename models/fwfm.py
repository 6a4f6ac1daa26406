"""Field-weighted factorisation machine, the factorised challenger: Pan et al. 2018."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.ftrl import (
    LIMITS,
    SETTING_RANGE,
    Delayed,
    check_settings,
    fake_negative_weight,
    lazy_weight,
    sigmoid,
)
from models.hashed import HashedClassifier, Rows, State, Storage
from models.hashing import mix

MAX_FACTOR = 1e6  # of |factor| and |field weight|; with MAX_VALUE it keeps logits below 1e60


@njit(cache=True, nogil=True)
def initial_factors(bits: int, factors: int, scale: float, seed: int) -> NDArray[np.float64]:
    """Uniform in +-``scale``, float64[2**bits, factors]: a function of seed, bucket and factor alone.

    >>> initial_factors(18, 4, 0.1, seed=1)[7].tobytes() == initial_factors(3, 4, 0.1, seed=1)[7].tobytes()
    True
    """
    factors_of = np.empty((1 << bits, factors))
    for bucket in range(1 << bits):
        for d in range(factors):
            drawn = mix(mix(np.uint64(seed)) ^ mix(np.uint64(bucket * 64 + d)))
            factors_of[bucket, d] = scale * (2.0 * (np.float64(drawn >> np.uint64(11)) * 2.0**-53) - 1.0)
    return factors_of


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _stepped(kept: float, squares: float, gradient: float, alpha: float, beta: float) -> tuple[float, float]:
    """Coordinate and sum of squared gradients after a step of AdaGrad (Duchi et al. 2011)."""
    squares += gradient * gradient
    return kept - alpha / (beta + math.sqrt(squares)) * gradient, squares


@njit(cache=True, nogil=True, error_model="numpy")
def _logit(z, n, v, r, buckets, values, fields, settings, w, scaled, pull, strength):  # type: ignore[no-untyped-def]
    """Logit of one example of m features; fills the last four.

    ``w`` [m]: weights. ``scaled`` [k, m]: factors times value. ``strength`` [m, m]: weights of the pairs of
    fields, 0 on the diagonal. ``pull`` [k, m]: what the factors of a feature are multiplied with, the sum of
    the others' by strength. ``fields`` is empty where a feature's field is its place.
    """
    alpha, beta, l1, l2 = settings
    m, k = buckets.size, v.shape[1]
    linear = 0.0
    for i in range(m):
        bucket = buckets[i]
        w[i] = lazy_weight(np.float64(z[bucket]), np.float64(n[bucket]), alpha, beta, l1, l2)
        linear += w[i] * values[i]
        for d in range(k):
            scaled[d, i] = np.float64(v[bucket, d]) * values[i]
        strength[i, i] = 0.0
        if fields.size:
            for j in range(i + 1, m):
                strength[i, j] = r[min(fields[i], fields[j]), max(fields[i], fields[j])]
        else:
            for j in range(i + 1, m):
                strength[i, j] = r[i, j]
        for j in range(i + 1, m):
            strength[j, i] = strength[i, j]
    # The innermost loop goes over features, side by side in memory, and sums nothing: it vectorises.
    twice = 0.0
    for d in range(k):
        of = pull[d]
        of[:m] = 0.0
        for i in range(m):
            one, by = scaled[d, i], strength[i]
            for j in range(m):
                of[j] += one * by[j]
        for j in range(m):
            twice += scaled[d, j] * of[j]
    return linear + 0.5 * twice


@njit(cache=True, nogil=True, error_model="numpy")
def _scratch(offsets, k):  # type: ignore[no-untyped-def]
    """Arrays for the longest row: ``w``, ``scaled``, ``pull`` and ``strength`` of ``_logit``."""
    longest = 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return np.empty(longest), np.empty((k, longest)), np.empty((k, longest)), np.empty((longest, longest))


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(z, n, v, r, buckets, values, offsets, fields, settings):  # type: ignore[no-untyped-def]
    w, scaled, pull, strength = _scratch(offsets, v.shape[1])
    predictions = np.empty(offsets.size - 1)
    for row in range(predictions.size):
        of = slice(offsets[row], offsets[row + 1])
        logit = _logit(
            z, n, v, r, buckets[of], values[of], fields[of], settings, w, scaled, pull, strength
        )  # fmt: skip
        predictions[row] = sigmoid(logit)
    return predictions


@njit(cache=True, nogil=True, error_model="numpy")
def _variances(z, n, v, v_n, r, r_n, buckets, values, offsets, fields, settings, prior, v_prior):  # type: ignore[no-untyped-def]
    k = v.shape[1]
    w, scaled, pull, strength = _scratch(offsets, k)
    variances = np.empty(offsets.size - 1)
    for row in range(variances.size):
        of = slice(offsets[row], offsets[row + 1])
        bucket, value, field = buckets[of], values[of], fields[of]
        _logit(z, n, v, r, bucket, value, field, settings, w, scaled, pull, strength)
        variance = 0.0
        for i in range(bucket.size):
            variance += value[i] ** 2 / (prior + np.float64(n[bucket[i]]))
            for d in range(k):
                slope = value[i] * pull[d, i]
                variance += slope**2 / (v_prior + np.float64(v_n[bucket[i], d]))
            for j in range(i + 1, bucket.size):
                slope = 0.0
                for d in range(k):
                    slope += scaled[d, i] * scaled[d, j]
                a, b = (min(field[i], field[j]), max(field[i], field[j])) if field.size else (i, j)
                variance += slope**2 / (v_prior + r_n[a, b])
        variances[row] = variance
    return variances


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    z, n, v, v_n, r, r_n, touched, buckets, values, offsets, fields, labels, importance, settings,
    factor_alpha, factor_beta, factor_l2, fake_negative, max_z, max_n,
):  # fmt: skip
    alpha, k = settings[0], v.shape[1]
    w, scaled, pull, strength = _scratch(offsets, k)
    products = np.empty(w.size)
    predictions = np.empty(offsets.size - 1)
    rejected = 0
    for row in range(predictions.size):
        of = slice(offsets[row], offsets[row + 1])
        bucket, value, field = buckets[of], values[of], fields[of]
        m = bucket.size
        p = sigmoid(_logit(z, n, v, r, bucket, value, field, settings, w, scaled, pull, strength))
        predictions[row] = p
        scale = importance[row]
        if fake_negative:
            scale *= fake_negative_weight(p, labels[row])
        error = (p - 1.0 if labels[row] else p) * scale
        # All comparisons with limits are written so that NaN fails, too.
        for i in range(m):
            at = bucket[i]
            gradient = error * value[i]
            before = np.float64(n[at])
            after = before + gradient * gradient
            z_after = np.float64(z[at]) + gradient - (math.sqrt(after) - math.sqrt(before)) / alpha * w[i]
            if abs(z_after) < max_z and after < max_n:
                z[at] = z_after
                n[at] = after
                touched[at] = 1
            else:
                rejected += 1
            for d in range(k):
                kept = np.float64(v[at, d])
                gradient = error * value[i] * pull[d, i] + factor_l2 * scale * kept
                factor, after = _stepped(kept, np.float64(v_n[at, d]), gradient, factor_alpha, factor_beta)
                if abs(factor) < MAX_FACTOR and after < max_n:
                    v[at, d] = factor
                    v_n[at, d] = after
                    touched[at] = 1
                else:
                    rejected += 1
        for i in range(m):
            products[:m] = 0.0
            for d in range(k):
                one, others = error * scaled[d, i], scaled[d]
                for j in range(i + 1, m):
                    products[j] += one * others[j]
            if field.size:
                for j in range(i + 1, m):
                    a, b = min(field[i], field[j]), max(field[i], field[j])
                    weight, after = _stepped(r[a, b], r_n[a, b], products[j], factor_alpha, factor_beta)
                    fine = abs(weight) < MAX_FACTOR and after < max_n
                    r[a, b] = weight if fine else r[a, b]
                    r_n[a, b] = after if fine else r_n[a, b]
                    rejected += 0 if fine else 1
            else:  # the same without the detour by fields, which would keep it from being vectorised
                weights, squares = r[i], r_n[i]
                for j in range(i + 1, m):
                    weight, after = _stepped(weights[j], squares[j], products[j], factor_alpha, factor_beta)
                    fine = (abs(weight) < MAX_FACTOR) & (after < max_n)
                    weights[j] = weight if fine else weights[j]
                    squares[j] = after if fine else squares[j]
                    rejected += 0 if fine else 1
    return predictions, rejected


class FwFM(HashedClassifier):
    """Logistic regression with weighted products of latent factors, over hashed features.

    The logit is ``sum_i w_i x_i + sum_{i<j} r_{F(i)F(j)} <v_i, v_j> x_i x_j``: a weight and a vector of
    factors a bucket, and a weight for every pair of fields, so that a pair that matters little does not
    have to be unlearned by its factors. Linear weights are learned by FTRL-Proximal, as
    ``models.ftrl.FTRLProximal`` does; factors and field weights by AdaGrad, each coordinate at its own rate
    ``factor_alpha / (factor_beta + sqrt(sum of squared gradients))``. No intercept is added.

    In the batch API the field of a feature is its place in the row: every row has the features of one spec,
    in its order. In a dictionary it is the hash of its name. Two features that share a field share its
    weights, no more.

    An example with a weight below 0 takes an earlier one back, to first order: its gradient, reversed, at
    today's state. Since the loss is not convex that is no exact inverse; what was learned in between stands.

    Parameters
    ----------
    bits
        Features are hashed to ``2**bits`` buckets.
    fields
        A row of the batch API may be as long.
    factors
        Length of a bucket's vector, from 1 to 64; 0 would be ``FTRLProximal``.
    alpha, beta, l1, l2
        Of the linear weights.
    factor_alpha, factor_beta
        Learning rate of factors and field weights.
    factor_l2
        L2 strength on the factors of the features at hand.
    scale
        Factors begin uniform in +-``scale``, drawn by seed, bucket and factor, so that the order in which
        buckets are met has no effect.
    strength
        Field weights begin here. From 1, a plain factorisation machine, hundreds of pairs that say nothing
        would first have to be unlearned; from 0 no factor would ever move.
    seed
        Of the factors.
    delayed, storage
        As for ``models.ftrl.FTRLProximal``. Field weights are float64 always.

    Attributes
    ----------
    z, n
        float64[2**bits], or float32: of the linear weights.
    v, v_n
        float64[2**bits, factors], or float32: factors, and the sums of their squared gradients.
    r, r_n
        float64[fields, fields], above and on the diagonal: weights of pairs of fields, and the sums of their
        squared gradients.
    touched
        uint8[2**bits]: 1 where a bucket changed since ``take_touched``.
    rejected
        Updates of one coordinate that were not applied.

    Examples
    --------

    >>> from models.fwfm import FwFM

    >>> model = FwFM(bits=12)
    >>> for _ in range(500):  # the label is a product: no linear model can tell it
    ...     for a in ("x", "y"):
    ...         for b in ("x", "y"):
    ...             model.learn_one({"a": a, "b": b}, a == b)
    >>> [round(model.predict_proba_one({"a": "x", "b": b})[True], 1) for b in ("x", "y")]
    [1.0, 0.0]

    References
    ----------
    [^1]: [Pan, J., Xu, J., Ruiz, A.L., Zhao, W., Pan, S., Sun, Y. and Lu, Q., 2018, April. Field-weighted factorization machines for click-through rate prediction in display advertising. In Proceedings of the 2018 World Wide Web Conference (pp. 1349-1357)](https://arxiv.org/abs/1806.03514)
    [^2]: [Duchi, J., Hazan, E. and Singer, Y., 2011. Adaptive subgradient methods for online learning and stochastic optimization. Journal of machine learning research, 12(7)](https://jmlr.org/papers/v12/duchi11a.html)

    """  # noqa: E501

    def __init__(
        self,
        bits: int = 18,
        fields: int = 64,
        factors: int = 4,
        alpha: float = 0.05,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 1.0,
        factor_alpha: float = 0.07,
        factor_beta: float = 0.1,
        factor_l2: float = 0.003,
        scale: float = 0.05,
        strength: float = 0.2,
        seed: int = 0,
        delayed: Delayed = "none",
        storage: Storage = "float64",
    ) -> None:
        check_settings(bits, alpha, beta, l1, l2, delayed, storage)
        if not (1 <= fields <= 1024 and 1 <= factors <= 64):
            raise ValueError(
                f"Expected fields from 1 to 1024 and factors from 1 to 64, got {fields} and {factors}"
            )
        low, high = SETTING_RANGE
        if not (
            low <= factor_alpha <= high
            and low <= factor_beta <= high
            and 0.0 <= factor_l2 <= high
            and 0.0 <= scale <= 1.0
            and 0.0 <= strength <= 1.0
        ):
            raise ValueError(
                f"Expected factor_alpha and factor_beta from {low} to {high}, factor_l2 from 0 to {high}, "
                f"scale and strength from 0 to 1, "
                f"got {factor_alpha}, {factor_beta}, {factor_l2}, {scale} and {strength}"
            )
        self.bits = bits
        self.fields = fields
        self.factors = factors
        self.alpha = alpha
        self.beta = beta
        self.l1 = l1
        self.l2 = l2
        self.factor_alpha = factor_alpha
        self.factor_beta = factor_beta
        self.factor_l2 = factor_l2
        self.scale = scale
        self.strength = strength
        self.seed = seed
        self.delayed: Delayed = delayed
        self.storage: Storage = storage
        self.z: NDArray[Any] = np.zeros(1 << bits, storage)
        self.n: NDArray[Any] = np.zeros(1 << bits, storage)
        self.v: NDArray[Any] = initial_factors(bits, factors, scale, seed).astype(storage)
        self.v_n: NDArray[Any] = np.zeros((1 << bits, factors), storage)
        self.r = np.full((fields, fields), strength)
        self.r_n = np.zeros((fields, fields))
        self.touched = np.zeros(1 << bits, np.uint8)
        self.rejected = 0

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"bits": 8, "fields": 16}
        yield {"bits": 8, "fields": 5, "delayed": "fake_negative", "storage": "float32"}

    def logit_variances_many_hashed(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Variance of the logit of hashed examples, float64[n], as if all coordinates were independent.

        As ``models.ftrl.FTRLProximal.variances``, with the slope of the logit in each coordinate (delta
        method); a factor that has seen nothing has the variance ``factor_alpha / factor_beta``. Arguments
        and errors as for ``predict_many_hashed``.
        """
        rows = self._rows(buckets, offsets)
        variances: NDArray[np.float64] = _variances(
            self.z,
            self.n,
            self.v,
            self.v_n,
            self.r,
            self.r_n,
            rows.buckets,
            rows.values,
            rows.offsets,
            self._fields(rows),
            self._linear,
            self.beta / self.alpha + self.l2,
            self.factor_beta / self.factor_alpha,
        )
        return variances

    def occupied(self) -> NDArray[np.uint32]:
        """Buckets that were ever changed, in ascending order, uint32[k]."""
        changed = (self.z != 0.0) | (self.n != 0.0) | (self.v_n != 0.0).any(axis=1)
        return np.flatnonzero(changed).astype(np.uint32)

    def snapshot(self) -> State:
        """Buckets that were ever changed with their state, and the field weights."""
        buckets = self.occupied()
        state: State = {name: getattr(self, name)[buckets] for name in ("z", "n", "v", "v_n")}
        return {"buckets": buckets, **state, "r": self.r.copy(), "r_n": self.r_n.copy()}

    def restore(self, state: State) -> None:
        """Lay a snapshot over a model that has learned nothing."""
        for name in ("z", "n", "v", "v_n"):
            getattr(self, name)[state["buckets"]] = state[name]
        self.r[:], self.r_n[:] = state["r"], state["r_n"]

    @property
    def _linear(self) -> tuple[float, float, float, float]:
        return self.alpha, self.beta, self.l1, self.l2

    def _fields(self, rows: Rows) -> NDArray[np.int64]:
        if rows.names is not None:
            return rows.names % self.fields
        lengths = np.diff(rows.offsets)
        if lengths.size and lengths.max() > self.fields:
            raise ValueError(f"Expected rows of at most {self.fields} features, got {lengths.max()}")
        return np.zeros(0, np.int64)

    def _predict_rows(self, rows: Rows) -> NDArray[np.float64]:
        predictions: NDArray[np.float64] = _predict(
            self.z,
            self.n,
            self.v,
            self.r,
            rows.buckets,
            rows.values,
            rows.offsets,
            self._fields(rows),
            self._linear,
        )
        return predictions

    def _learn_rows(
        self, rows: Rows, labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        predictions: NDArray[np.float64]
        predictions, rejected = _learn(
            self.z,
            self.n,
            self.v,
            self.v_n,
            self.r,
            self.r_n,
            self.touched,
            rows.buckets,
            rows.values,
            rows.offsets,
            self._fields(rows),
            labels,
            weights,
            self._linear,
            self.factor_alpha,
            self.factor_beta,
            self.factor_l2,
            self.delayed == "fake_negative",
            *LIMITS[self.storage],
        )
        self.rejected += rejected
        return predictions
