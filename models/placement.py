"""Which ad to place: expected value, a floored softmax, and the exact propensity of the draw."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.features import (
    AD,
    CALIBRATION,
    CONTEXT,
    CROSSED,
    FEATURES,
    Buckets,
    cross_bucket,
    join_buckets,
)

POLICY = "softmax-ecpm-1"
MILLION = 1_000_000

SHARES = (*FEATURES, CALIBRATION)
"""What the logit of a candidate is the sum of."""

DRAWN, OUTSIDE_FLIGHT, OUTSIDE_SHORTLIST = 0, 1, 2
REASONS = {OUTSIDE_FLIGHT: "outside_flight", OUTSIDE_SHORTLIST: "outside_shortlist"}
"""Why a candidate did not compete."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@njit(cache=True)
def bend(logit: float, slope: float, shift: float) -> float:
    """What calibration adds to a logit, in whole millionths, so that logged shares have a short sum.

    >>> bend(-4.0, 1.25, 0.5)
    -0.5
    """
    exact = np.round(1e6 * logit)  # weights are in millionths: the order of their sum makes no difference
    added: float = np.round((slope - 1.0) * exact + 1e6 * shift) / 1e6
    return added


@njit(cache=True)
def rank(
    weights: Floats, slope: float, shift: float, context: Buckets,
    ads: npt.NDArray[Any], candidates: Integers, ts_ms: int, mask: int,
    shortlist: int, p_click: Floats, ecpm_micros: Integers, reasons: Integers,
) -> int:  # fmt: skip
    """Score the candidates and mark who competes; returns how many do.

    Fills, one entry a candidate: ``p_click`` = sigmoid of the sum of weights as the line of the calibration
    bends it, rounded to 1e-9 (what is logged is what is used); ``ecpm_micros`` = 1000 x bid x p_click;
    ``reasons`` = ``DRAWN`` or a key of ``REASONS``.
    """
    shared = 0.0
    for i in range(len(CONTEXT)):
        shared += weights[context[i]]
    competing = 0
    for c in range(len(candidates)):
        ad = ads[candidates[c]]
        logit = shared
        for i in range(len(AD)):
            logit += weights[ad.buckets[i]]
        for i in range(len(CROSSED)):
            logit += weights[cross_bucket(i, context, ad.buckets, mask)]
        logit += bend(logit, slope, shift)
        p_click[c] = np.round(1e9 / (1.0 + np.exp(-logit))) / 1e9
        ecpm_micros[c] = np.int64(np.round(1000.0 * ad.bid_micros * p_click[c]))
        reasons[c] = DRAWN if ad.start_ms <= ts_ms < ad.end_ms else OUTSIDE_FLIGHT
        competing += reasons[c] == DRAWN
    while competing > shortlist:
        worst = -1
        for c in range(len(candidates)):
            if reasons[c] == DRAWN and (worst < 0 or ecpm_micros[c] <= ecpm_micros[worst]):
                worst = c
        reasons[worst] = OUTSIDE_SHORTLIST
        competing -= 1
    return competing


@njit(cache=True)
def spread(
    scores: Integers,
    reasons: Integers,
    competing: int,
    temperature: float,
    floor: float,
    propensity: Integers,
) -> None:
    """Fill ``propensity``, in millionths, with the floored softmax of the competing candidates' scores.

    ``floor`` of the probability is spread evenly, the rest by softmax of score / best score at the
    given temperature. The result is rounded to whole millionths that sum to exactly one million, and
    the draw is made from the rounded numbers: so the logged propensity is exact.
    """
    best = 0
    for c in range(len(scores)):
        if reasons[c] == DRAWN and scores[c] > best:
            best = scores[c]
    scale = 1.0 / (temperature * best) if best > 0 else 0.0
    total = 0.0
    for c in range(len(scores)):
        if reasons[c] == DRAWN:
            total += np.exp((scores[c] - best) * scale)
    left = MILLION
    first = -1
    for c in range(len(scores)):
        propensity[c] = 0
        if reasons[c] == DRAWN:
            share = np.exp((scores[c] - best) * scale) / total
            propensity[c] = np.int64(np.floor(MILLION * ((1.0 - floor) * share + floor / competing)))
            left -= propensity[c]
            if first < 0 or propensity[c] > propensity[first]:
                first = c
    propensity[first] += left


@njit(cache=True)
def draw(propensity: Integers, ticket: int) -> int:
    """Index of the candidate that owns a ticket of 0 to 999,999."""
    for c in range(len(propensity)):
        ticket -= propensity[c]
        if ticket < 0:
            return c
    return len(propensity) - 1


@njit(cache=True)
def place(
    weights: Floats, slope: float, shift: float, context: Buckets,
    ads: npt.NDArray[Any], candidates: Integers, ts_ms: int, mask: int,
    shortlist: int, temperature: float, floor: float, ticket: int,
    p_click: Floats, ecpm_micros: Integers, reasons: Integers, propensity: Floats, shares: Floats,
) -> tuple[int, int]:  # fmt: skip
    """Rank, spread and draw; the index of the chosen candidate (-1 where none competes), and how many do.

    Fills the arrays of ``rank``; ``propensity`` as a probability, in whole millionths; and ``shares``, what
    each of ``SHARES`` adds to the logit of the chosen one.
    """
    competing = rank(
        weights, slope, shift, context, ads, candidates, ts_ms, mask, shortlist, p_click, ecpm_micros, reasons
    )
    propensity[:] = 0.0
    if competing == 0:
        return -1, 0
    millionths = np.empty(len(candidates), np.int64)
    spread(ecpm_micros, reasons, competing, temperature, floor, millionths)
    for c in range(len(candidates)):
        propensity[c] = millionths[c] / MILLION
    chosen = draw(millionths, ticket)
    buckets = np.empty(len(FEATURES), np.uint32)
    join_buckets(context, ads, candidates[chosen], mask, buckets)
    logit = 0.0
    for i in range(len(FEATURES)):
        shares[i] = weights[buckets[i]]
        logit += shares[i]
    shares[len(FEATURES)] = bend(logit, slope, shift)
    return chosen, competing
