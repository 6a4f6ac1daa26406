"""How good predictions are, and how sure that is."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy import stats

from models.progressive import SMALLEST_P

LEVEL = 0.95
BOOTSTRAP_DRAWS = 2_000


class Interval(Struct, frozen=True):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


def losses(predictions: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Log loss of each example in nats, float64[n]; predictions are clamped as River's metrics do.

    >>> losses(np.array([0.5, 0.0]), np.array([True, False])).round(3)
    array([0.693, 0.   ])
    """
    p = np.clip(predictions, SMALLEST_P, 1.0 - SMALLEST_P)
    return np.where(labels, -np.log(p), -np.log1p(-p))


def relative_information_gain(log_loss: float, labels: NDArray[np.bool_]) -> float:
    """1 - log loss / entropy of the rate of positives: 0 for who knows the rate only (He et al. 2014).

    >>> relative_information_gain(np.log(2), np.array([True, False]))
    0.0
    """
    rate = labels.mean()
    return float(1.0 - log_loss / losses(np.full(labels.size, rate), labels).mean())


def auc(predictions: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann and Whitney 1947); ties count half; NaN with one label only.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True]))
    0.875
    """
    positives = int(labels.sum())
    negatives = labels.size - positives
    if not positives or not negatives:
        return float("nan")
    ranks = stats.rankdata(predictions)[labels].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def divergences(predictions: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of predicted from true probabilities in nats, float64[n].

    >>> divergences(np.array([0.3, 0.5]), np.array([0.3, 0.25])).round(4)
    array([0.    , 0.1308])
    """
    p = np.clip(predictions, SMALLEST_P, 1.0 - SMALLEST_P)
    q = np.clip(truth, SMALLEST_P, 1.0 - SMALLEST_P)
    return np.asarray(q * np.log(q / p) + (1.0 - q) * np.log((1.0 - q) / (1.0 - p)))


def over_orders(values: NDArray[np.float64]) -> Interval:
    """Mean of independent repetitions, at least two, with Student's interval."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
    reach = error * float(stats.t.ppf((1.0 + LEVEL) / 2.0, values.size - 1))
    return Interval(mean, mean - reach, mean + reach)


def over_blocks(values: NDArray[np.float64], block: int, seed: int) -> Interval:
    """Mean of a series with the percentiles of a bootstrap of whole blocks (Künsch 1989).

    Values of one ``block`` of neighbours stay together, so that what hangs together in time does so in a
    draw. The last block may be shorter.
    """
    starts = np.arange(0, values.size, block)
    sums = np.add.reduceat(values, starts)
    sizes = np.diff(np.append(starts, values.size))
    drawn = np.random.default_rng(seed).integers(starts.size, size=(BOOTSTRAP_DRAWS, starts.size))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(float(values.mean()), float(low), float(high))
