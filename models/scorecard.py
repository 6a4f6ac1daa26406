"""What predictions were worth: sums over bins of the logit, from which every figure of quality follows."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS = 64
BINS_A_LOGIT = 4
LOWEST_LOGIT = -BINS / BINS_A_LOGIT / 2
"""Bins are a quarter of a logit wide, from -8 to 8; the outermost take what lies beyond."""

WEIGHT, WEIGHT_SQ, PREDICTION, LABEL = range(4)
COLUMNS = 4
LOSS, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = range(4)
SUMS = 4

SMALLEST_P = 1e-15  # where River's metrics clamp a probability
HALF_NORMAL_MEAN = math.sqrt(2.0 / math.pi)
NULL_MEAN, NULL_SD = 0.4674, 0.8192
"""Of a bin's debiased gap, in standard deviations of its label mean, where the model is calibrated: mean and
standard deviation of 2|Z| - E|Z + N| for standard normal Z and N, by numerical integration."""

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def bin_of(p: float) -> int:
    """The bin of a probability.

    >>> bin_of(0.0), bin_of(0.5), bin_of(1.0)
    (0, 32, 63)
    """
    p = min(max(p, SMALLEST_P), 1.0 - SMALLEST_P)
    place = math.floor((math.log(p / (1.0 - p)) - LOWEST_LOGIT) * BINS_A_LOGIT)
    return min(max(place, 0), BINS - 1)


@njit(cache=True, nogil=True)
def tally(  # type: ignore[no-untyped-def]
    bins, sums, rows, predictions, labels, weights, threshold, delayed
):
    """Add examples to ``bins``, float64[k, BINS, COLUMNS], and ``sums``, float64[k, SUMS], at their ``rows``.

    With ``delayed`` a positive is an example that was counted as a negative before. Predictions that are
    NaN count as a half.
    """
    for i in range(predictions.size):
        p = predictions[i] if predictions[i] == predictions[i] else 0.5
        w, row = weights[i], rows[i]
        place = bin_of(p)
        clamped = min(max(p, SMALLEST_P), 1.0 - SMALLEST_P)
        flagged = p >= threshold
        if labels[i]:
            bins[row, place, LABEL] += w
            sums[row, LOSS] -= w * math.log(clamped)
            sums[row, TRUE_POSITIVE if flagged else FALSE_NEGATIVE] += w
            if delayed:
                sums[row, LOSS] += w * math.log(1.0 - clamped)
                if flagged:
                    sums[row, FALSE_POSITIVE] -= w
                continue
        else:
            sums[row, LOSS] -= w * math.log(1.0 - clamped)
            if flagged:
                sums[row, FALSE_POSITIVE] += w
        bins[row, place, WEIGHT] += w
        bins[row, place, WEIGHT_SQ] += w * abs(w)  # an example that is taken back takes its share of noise
        bins[row, place, PREDICTION] += w * p


class Figures(NamedTuple):
    """What a scorecard says; None where it is not defined."""

    weight: float
    base_rate: float | None
    log_loss: float | None
    """Nats an example."""
    relative_information_gain: float | None
    """1 - log loss / entropy of the base rate: what is known beyond the mean; 0 is the mean."""
    auc: float | None
    """Two examples of one bin, a quarter of a logit, count as a tie."""
    precision: float | None
    recall: float | None
    f1: float | None
    """Precision, recall and F1 at the threshold."""
    calibration: float | None
    """Sum of predictions / sum of labels."""
    ece: float | None
    """Expected calibration error: mean |prediction - label rate| over the bins, by weight."""
    ece_debiased: float | None
    """Less what chance adds to each bin's gap (Kumar, Liang and Ma 2019, by the normal's closed form)."""
    ece_noise: float | None
    """What ``ece_debiased`` stays below in 97% of cases where the model is calibrated."""


def figures(bins: Floats, sums: Floats) -> Figures:
    """Figures of one scorecard: ``bins`` float64[BINS, COLUMNS] and ``sums`` float64[SUMS]."""
    weight, labels = float(bins[:, WEIGHT].sum()), float(bins[:, LABEL].sum())
    predictions = float(bins[:, PREDICTION].sum())
    if not weight > 0.0:
        return Figures(weight, *[None] * 11)
    base_rate, log_loss = labels / weight, float(sums[LOSS]) / weight
    entropy = _entropy(base_rate)
    true, false, missed = (float(sums[i]) for i in (TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE))
    precision = true / (true + false) if true + false > 0.0 and false >= 0.0 else None
    recall = true / (true + missed) if true + missed > 0.0 else None
    f1 = 2.0 * true / (2.0 * true + false + missed) if 2.0 * true + false + missed > 0.0 else None
    ece, debiased, noise = calibration_error(bins)
    return Figures(
        weight=weight,
        base_rate=base_rate,
        log_loss=log_loss,
        relative_information_gain=1.0 - log_loss / entropy if entropy > 0.0 else None,
        auc=_auc(bins),
        precision=precision,
        recall=recall,
        f1=f1,
        calibration=predictions / labels if labels > 0.0 else None,
        ece=ece,
        ece_debiased=debiased,
        ece_noise=noise,
    )


def calibration_error(bins: Floats) -> tuple[float, float, float]:
    """Expected calibration error of ``bins``, float64[BINS, COLUMNS]: as it is, debiased, and its noise.

    A bin's label mean has the variance q(1 - q) sum(w^2) / sum(w)^2, with q drawn a little to the
    prediction, so that a bin without positives has one, too.
    """
    used = bins[bins[:, WEIGHT] > 0.0]
    weight, square = used[:, WEIGHT], np.maximum(used[:, WEIGHT_SQ], 0.0)
    mean = used[:, PREDICTION] / weight
    rate = used[:, LABEL] / weight
    gap = np.abs(mean - rate)
    effective = np.where(square > 0.0, weight**2 / np.maximum(square, 1e-300), np.inf)
    q = np.clip((rate * effective + mean) / (effective + 1.0), 0.0, 1.0) if used.size else rate
    q = np.where(np.isfinite(effective), q, rate)
    sigma = np.sqrt(np.clip(q * (1.0 - q), 0.0, None) / effective)
    share = weight / weight.sum() if used.size else weight
    bias = _folded_normal_mean(gap, sigma) - gap
    ece = float(share @ gap)
    noise = NULL_MEAN * float(share @ sigma) + 2.0 * NULL_SD * math.sqrt(
        float((share * sigma) @ (share * sigma))
    )
    return ece, max(float(share @ (gap - bias)), 0.0), noise


def _folded_normal_mean(mean: Floats, sigma: Floats) -> Floats:
    """E|X| of normal X."""
    safe = np.where(sigma > 0.0, sigma, 1.0)
    ratio = mean / safe
    erf = np.array([math.erf(x / math.sqrt(2.0)) for x in ratio.tolist()])
    folded: Floats = np.where(
        sigma > 0.0, sigma * HALF_NORMAL_MEAN * np.exp(-(ratio**2) / 2.0) + mean * erf, mean
    )
    return folded


def _auc(bins: Floats) -> float | None:
    positives = np.maximum(bins[:, LABEL], 0.0)
    negatives = np.maximum(bins[:, WEIGHT] - bins[:, LABEL], 0.0)
    pairs = positives.sum() * negatives.sum()
    if not pairs > 0.0:
        return None
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2.0) / pairs)


def _entropy(p: float) -> float:
    if not 0.0 < p < 1.0:
        return 0.0
    return -p * math.log(p) - (1.0 - p) * math.log(1.0 - p)
