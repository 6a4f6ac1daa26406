"""Pairs of learners on drawn streams, as kernels, so that thousands of streams fit into a bench."""

import math

import numpy as np
from numba import njit

from models.contest import FIELDS, LOG_CAPITAL, interval, loss, observe

VALUES = 20  # of a field
BASE_LOGIT = -3.0
COMMON, TWIN = 0.6, 0.4
"""Standard deviation of the effects of the field that both see, and of the fields that only one sees."""
EXTRA = 0.29
"""Of the field that only a better challenger sees: a gain of 1% in log loss."""
ALPHA, BETA, L2 = 0.1, 1.0, 1.0  # FTRL-Proximal as shipped but for its rate: these streams are short
SLIGHT = 0.15  # logits by which a predecessor is off: a third of a percent in log loss
CERTAIN, INVERTED, SHIFTED, NOT_A_NUMBER = range(4)
BREAKS = {
    "says 0.5": CERTAIN,
    "inverts the sign": INVERTED,
    "is off by a logit": SHIFTED,
    "says NaN": NOT_A_NUMBER,
}


@njit(cache=True, nogil=True)
def _logit(z, n, buckets, weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(buckets.size):
        bucket = buckets[k]
        weights[k] = -z[bucket] / ((BETA + math.sqrt(n[bucket])) / ALPHA + L2)
        total += weights[k]
    return total


@njit(cache=True, nogil=True)
def _learn(z, n, buckets, weights, error):  # type: ignore[no-untyped-def]
    for k in range(buckets.size):
        bucket = buckets[k]
        after = n[bucket] + error * error
        z[bucket] += error - (math.sqrt(after) - math.sqrt(n[bucket])) / ALPHA * weights[k]
        n[bucket] = after


@njit(cache=True, nogil=True)
def _effects(size):  # type: ignore[no-untyped-def]
    """Standard normal quantiles in a drawn order: every stream has the same effects, at other values."""
    effects = np.empty(size)
    for i in range(size):
        # Tukey's lambda with 0.14 is the normal's quantile to a percent.
        u = (i + 0.5) / size
        effects[i] = (u**0.14 - (1.0 - u) ** 0.14) / 0.1975
    np.random.shuffle(effects)
    return effects


@njit(cache=True, nogil=True)
def equals(seed, events, warm_up, margin, error_rate):  # type: ignore[no-untyped-def]
    """Two learners of equal quality: the event at which the challenger would be promoted; -1 is never.

    Both see a common field, and each one of two fields with the same effects at other values, drawn apart. By
    symmetry neither is better, and their predictions differ. Returned for betting and for the empirical
    Bernstein sequence.
    """
    np.random.seed(seed)
    common = COMMON * _effects(VALUES)
    twins = np.stack((TWIN * _effects(VALUES), TWIN * _effects(VALUES)))
    z, n = np.zeros((2, 2 * VALUES + 1)), np.zeros((2, 2 * VALUES + 1))
    row = np.zeros(FIELDS)
    threshold = -math.log(error_rate)
    betting, bernstein = -1, -1
    buckets, weights = np.empty((2, 3), np.int64), np.empty((2, 3))
    losses = np.empty(2)
    for i in range(warm_up + events):
        shared = np.random.randint(VALUES)
        logit = BASE_LOGIT + common[shared]
        for m in range(2):
            own = np.random.randint(VALUES)
            logit += twins[m, own]
            buckets[m, 0], buckets[m, 1], buckets[m, 2] = shared, VALUES + own, 2 * VALUES
        label = np.random.random() < 1.0 / (1.0 + math.exp(-logit))
        for m in range(2):
            p = 1.0 / (1.0 + math.exp(-_logit(z[m], n[m], buckets[m], weights[m])))
            losses[m] = loss(p, label, False)
            _learn(z[m], n[m], buckets[m], weights[m], p - label)
        if i < warm_up:
            continue
        observe(row, losses[0], losses[1], 1.0, margin, error_rate)
        if betting < 0 and row[LOG_CAPITAL] >= threshold:
            betting = i - warm_up + 1
        if bernstein < 0 and interval(row, error_rate)[0] > 0.0:
            bernstein = i - warm_up + 1
        if betting >= 0 and bernstein >= 0:
            break
    return betting, bernstein


@njit(cache=True, nogil=True)
def better(seed, events, warm_up, margin, error_rate):  # type: ignore[no-untyped-def]
    """A challenger that sees one field more, compared after both have learned ``warm_up`` examples.

    Returns the events to its promotion by betting and by the empirical Bernstein sequence (-1 is never),
    and the log loss of both over ``events``.
    """
    np.random.seed(seed)
    common, extra = COMMON * _effects(VALUES), EXTRA * _effects(VALUES)
    z, n = np.zeros((2, 2 * VALUES + 1)), np.zeros((2, 2 * VALUES + 1))
    row = np.zeros(FIELDS)
    threshold = -math.log(error_rate)
    betting, bernstein = -1, -1
    buckets, weights = np.empty(3, np.int64), np.empty((2, 3))
    losses, sums = np.empty(2), np.zeros(2)
    for i in range(warm_up + events):
        shared, own = np.random.randint(VALUES), np.random.randint(VALUES)
        buckets[0], buckets[1], buckets[2] = shared, 2 * VALUES, VALUES + own
        label = np.random.random() < 1.0 / (1.0 + math.exp(-BASE_LOGIT - common[shared] - extra[own]))
        for m in range(2):
            seen = buckets[: 2 + m]
            p = 1.0 / (1.0 + math.exp(-_logit(z[m], n[m], seen, weights[m])))
            losses[m] = loss(p, label, False)
            _learn(z[m], n[m], seen, weights[m], p - label)
        if i < warm_up:
            continue
        sums += losses
        observe(row, losses[0], losses[1], 1.0, margin, error_rate)
        if betting < 0 and row[LOG_CAPITAL] >= threshold:
            betting = i - warm_up + 1
        if bernstein < 0 and interval(row, error_rate)[0] > 0.0:
            bernstein = i - warm_up + 1
    return betting, bernstein, sums / events


@njit(cache=True, nogil=True)
def broken(seed, events, kind, reign, margin, error_rate):  # type: ignore[no-untyped-def]
    """Events until a champion that breaks is rolled back; -1 is never.

    For ``reign`` events the champion says the truth, and then the truth in the way of ``kind``; the
    predecessor is off by a little all the time. ``error_rate`` is what the way back has.
    """
    np.random.seed(seed)
    common = COMMON * _effects(VALUES)
    row = np.zeros(FIELDS)
    threshold = -math.log(error_rate)
    for i in range(reign + events):
        logit = BASE_LOGIT + common[np.random.randint(VALUES)]
        p = 1.0 / (1.0 + math.exp(-logit))
        label = np.random.random() < p
        before = 1.0 / (1.0 + math.exp(-logit - SLIGHT))
        if i < reign:
            said = p
        elif kind == CERTAIN:
            said = 0.5
        elif kind == INVERTED:
            said = 1.0 - p
        elif kind == SHIFTED:
            said = 1.0 / (1.0 + math.exp(-logit - 1.0))
        else:
            said = np.nan
        observe(row, loss(said, label, False), loss(before, label, False), 1.0, margin, error_rate)
        if row[LOG_CAPITAL] >= threshold and i >= reign:
            return i - reign + 1
    return -1
