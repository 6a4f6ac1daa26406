"""When conversions come after their clicks, and how a click is learned as a negative meanwhile.

A click converts days later or never, and nobody knows which. Learned as a negative at once and corrected by
the positive later (Ktena et al. 2019), each moment's estimate lacks the conversions that are still under
way: all of them for what is new, a share of them whenever there are more clicks than before. So here the
negative of a click comes as late as its conversion would: the shares of negatives and of positives that have
come are the same at every moment, and their ratio is right.

How long that is nobody knows either. The negative therefore comes at an age that is drawn from a law which
does not depend on data, and counts as often as conversions of that age are common: the weights are those of
importance sampling. The learner estimates these shares on the way, from conversions by age at which they
came over clicks that have reached the age, so that conversions which cannot have come yet bias nothing
(hazards at risk, as Kaplan and Meier 1958 count them).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.parts import float_array, to_bytes
from schemas.model import Delays, Task

BINS = 16
"""Of delays: the first is ``FIRST_S`` long, each other reaches to double the age."""
FIRST_S = 1200
PRIOR_RATE = 0.05  # conversions a click
PRIOR_MEAN_S = 86_400.0  # of an exponential law: conversions within a day or so are what is commonly told
PRIOR_CLICKS = 20.0
"""Clicks that the prior law counts as: one conversion's worth."""

_EDGES_S = np.concatenate(([0.0], FIRST_S * 2.0 ** np.arange(BINS)))
PRIOR: NDArray[np.float64] = -np.diff(np.exp(-_EDGES_S / PRIOR_MEAN_S))
"""Share of the conversions by bin, before any has come; float64[BINS]."""


@njit(cache=True)
def delay_bin(age_ms: int) -> int:
    """Bin of an age; what is below 0 is in the first, and what is beyond the last in the last.

    >>> [delay_bin(1000 * age_s) for age_s in (-5, 0, 1199, 1200, 2399, 2400, 604_800, 2**40)]
    [0, 0, 0, 1, 1, 2, 9, 15]
    """
    end_ms, number = 1000 * FIRST_S, 0
    while age_ms >= end_ms and number < BINS - 1:
        end_ms *= 2
        number += 1
    return number


@njit(cache=True)
def draw_age_ms(ticket: int, window_ms: int) -> tuple[int, int]:
    """At what age a click is learned as a negative, and how many clicks of that bin it stands for.

    Every bin that begins inside the window has the same probability, and so has every age inside a bin.

    Parameters
    ----------
    ticket
        A number from 0 to 2**63 - 1 without any pattern: a hash of the click's identity.
    window_ms
        No conversion is attributed to the click after this age.

    Examples
    --------
    >>> draw_age_ms(ticket=10**18 + 3, window_ms=7 * 86_400_000)
    (6400000, 10)
    """
    bins = delay_bin(window_ms - 1) + 1  # those that begin inside the window
    part, number = divmod(ticket, bins)
    start_ms = 1000 * FIRST_S << (number - 1) if number else 0
    end_ms = min(max(2 * start_ms, 1000 * FIRST_S), window_ms) if number < BINS - 1 else window_ms
    return start_ms + part % (end_ms - start_ms), bins


@njit(cache=True, nogil=True, error_model="numpy")
def _rates(conversions, clicks, rates):  # type: ignore[no-untyped-def]
    """Fill conversions a click by bin; the prior law, at the level that was met, where few got that old."""
    come, at_risk = PRIOR_RATE * PRIOR_CLICKS, PRIOR_CLICKS
    for i in range(BINS):
        come += conversions[i]
        at_risk += PRIOR[i] * max(clicks[i], 0.0)
    level = max(come, 0.0) / at_risk
    total = 0.0
    for i in range(BINS):
        expected = PRIOR_CLICKS * level * PRIOR[i]
        rates[i] = max(conversions[i] + expected, 0.0) / (max(clicks[i], 0.0) + PRIOR_CLICKS)
        total += rates[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(conversions, clicks, labels, ages_ms, weights, out):  # type: ignore[no-untyped-def]
    rates = np.empty(BINS)
    for row in range(labels.size):
        number = delay_bin(ages_ms[row])
        if labels[row]:
            conversions[number] += weights[row]
            out[row] = weights[row]
        else:
            total = _rates(conversions, clicks, rates)
            out[row] = weights[row] * rates[number] / total if total > 0.0 else weights[row]
            clicks[number] += weights[row]


class ConversionDelays:
    """The law of delays as the examples show it, and the weights of negatives under it.

    Attributes
    ----------
    conversions
        float64[BINS]: weights of positives by bin of their delay; what was refunded is taken back.
    clicks
        float64[BINS]: clicks that reached an age in the bin, by the weights of the negatives there.

    Examples
    --------
    >>> delays = ConversionDelays()
    >>> day_ms = 86_400_000
    >>> labels, ages_ms = np.array([False, True]), np.array([day_ms, 600_000])
    >>> delays.weigh(labels, ages_ms, np.array([10.0, 1.0])).round(2)  # all by the prior law yet
    array([2.42, 1.  ])
    >>> delays.clicks[delay_bin(day_ms)], delays.conversions[0]
    (np.float64(10.0), np.float64(1.0))
    """

    def __init__(self) -> None:
        self.conversions = np.zeros(BINS)
        self.clicks = np.zeros(BINS)

    def weigh(
        self, labels: NDArray[np.bool_], ages_ms: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Take n examples in order; returns the weights to learn them with, float64[n].

        ``labels`` bool[n], ``weights`` float64[n]; ``ages_ms`` int64[n] is the age at which a click was
        taken for a negative, or the delay of a conversion. Cut anywhere, the result is the same.
        """
        weighed = np.empty(weights.size)
        _weigh(self.conversions, self.clicks, labels, ages_ms, weights, weighed)
        return weighed

    def record(self, task: Task, version: int) -> Delays:
        """The state for the topic `model`."""
        return Delays(task, version, to_bytes(self.conversions, "<f8"), to_bytes(self.clicks, "<f8"))

    def restore(self, record: Delays) -> None:
        """Go on from a record."""
        self.conversions[:], self.clicks[:] = float_array(record.conversions), float_array(record.clicks)

    def shares(self) -> NDArray[np.float64]:
        """Share of the conversions by bin of their delay, float64[BINS]."""
        rates = np.empty(BINS)
        total: float = _rates(self.conversions, self.clicks, rates)
        return rates / total if total > 0.0 else PRIOR / PRIOR.sum()
