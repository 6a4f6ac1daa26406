"""A new ad with a Gaussian prior: it starts from its like and learns as fast as its evidence is worth.

In the additive model an ad's log odds are those of its content (campaign, category, words), of everything
(bias), and a rest of its own: ad -> campaign -> category -> global, as far as each is known. FTRL-Proximal
learns the rest at a rate that falls with the root of what was seen, tuned for millions of examples: after 100
exposures it holds a tenth of what they say. Here the rest has a normal prior of mean 0, and each example
moves it by the posterior's step (online Newton with a diagonal Laplace approximation, as in Chapelle and Li
2011, "An empirical evaluation of Thompson sampling", algorithm 3), while FTRL-Proximal learns what is left.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.ftrl import FTRLProximal, lazy_weight, sigmoid


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(  # type: ignore[no-untyped-def]
    z, n, touched, mean, information, rows, field, labels, importance, settings, prior
):
    alpha, beta, l1, l2 = settings
    predictions, weights = np.empty(rows.shape[0]), np.empty(rows.shape[1])
    for row in range(rows.shape[0]):
        own = rows[row, field]
        logit = mean[own]
        for k in range(rows.shape[1]):
            bucket = rows[row, k]
            weights[k] = lazy_weight(z[bucket], n[bucket], alpha, beta, l1, l2)
            logit += weights[k]
        p = sigmoid(logit)
        predictions[row] = p
        error = (p - 1.0 if labels[row] else p) * importance[row]
        information[own] = max(information[own] + importance[row] * p * (1.0 - p), 0.0)
        mean[own] -= error / (prior + information[own])
        for k in range(rows.shape[1]):
            bucket = rows[row, k]
            n_after = n[bucket] + error * error
            sigma = (math.sqrt(n_after) - math.sqrt(n[bucket])) / alpha
            z[bucket] += error - sigma * weights[k]
            n[bucket] = n_after
            touched[bucket] = 1
    return predictions


class SmoothedAds:
    """FTRL-Proximal whose ads have a smoothed weight beside the one that it learns.

    It is measured (`headrace bench cold-start`) beside what serves (``models.ad_shifts``), which takes the
    champion as it is: here the champion learns what the smoothed weight leaves.

    Parameters
    ----------
    model
        Learns on; its state changes with each example.
    field
        Place of the ad in an example's row.
    spread
        Standard deviation of ads of one content, in log odds. 0.5 was best of 0.3, 0.5 and 0.8 on the
        configuration `base`.

    Attributes
    ----------
    mean
        float64[2**bits]: the smoothed part of the weight, 0 for what was never an ad.
    information
        float64[2**bits]: sum of p (1 - p) over an ad's examples; its variance is about
        1 / (1 / spread**2 + information).
    """

    def __init__(self, model: FTRLProximal, field: int, spread: float = 0.5) -> None:
        if not spread > 0.0:
            raise ValueError(f"Expected a spread above 0, got {spread}")
        self.model = model
        self._field = field
        self._prior = 1.0 / spread**2
        self.mean = np.zeros(model.z.size)
        self.information = np.zeros(model.z.size)

    def learn_many_hashed(
        self, rows: NDArray[np.uint32], labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Learn examples in order; returns what was predicted before each, float64[n].

        ``rows`` uint32[n, features], each with the value 1; ``labels`` bool[n]; ``weights`` float64[n].
        Raises ValueError where lengths differ or a bucket lies outside the state.
        """
        if not len(rows) == labels.size == weights.size:
            raise ValueError(f"Expected {len(rows)} labels and weights, got {labels.size} and {weights.size}")
        if rows.size and rows.max() >= self.mean.size:
            raise ValueError(f"Expected buckets below {self.mean.size}, got {rows.max()}")
        model = self.model
        predictions: NDArray[np.float64] = _learn(
            model.z, model.n, model.touched, self.mean, self.information, rows, self._field, labels, weights,
            (model.alpha, model.beta, model.l1, model.l2), self._prior,
        )  # fmt: skip
        return predictions

    def weights(self) -> NDArray[np.float64]:
        """What is to be summed to a logit, float64[2**bits]."""
        return self.model.weights() + self.mean
