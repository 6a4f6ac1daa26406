"""Delays between cause and effect, by quantile: exponential, or with a heavy tail.

Conversions follow clicks by an exponential law in Chapelle 2014, "Modeling delayed feedback in display
advertising"; waits between human actions have tails that fall as a power (Barabási 2005, "The origin of
bursts and heavy tails in human dynamics").
"""

from typing import Any

import numpy as np

from streams.simulate.configuration import Delay
from streams.simulate.randomness import Floats, Integers

MAX_S = 3.2e8
"""Ten years, so that no tail leaves what a timestamp may say."""


def quantile_s(delay: Delay, draws: Any, factor: Any = 1.0) -> Floats:
    """Delays in seconds whose share below is ``draws`` (0 to 1); ``factor`` multiplies the mean.

    >>> from streams.simulate.configuration import Delay
    >>> float(quantile_s(Delay("lomax", mean_s=10.0, shape=2.0), 0.75))
    10.0
    """
    longer = 1.0 - np.asarray(draws, np.float64)
    with np.errstate(divide="ignore"):
        if delay.kind == "exponential":
            unit = -np.log(longer)
        else:
            unit = (longer ** (-1.0 / delay.shape) - 1.0) * (delay.shape - 1.0)
    return np.minimum(delay.mean_s * np.asarray(factor) * unit, MAX_S)


def quantile_ms(delay: Delay, draws: Any, factor: Any = 1.0) -> Integers:
    """As ``quantile_s``, in whole milliseconds, at least 1: an effect comes after its cause."""
    return np.maximum(1, np.rint(1000 * quantile_s(delay, draws, factor))).astype(np.int64)


def share_within(delay: Delay, time_s: Any, factor: Any = 1.0) -> Floats:
    """Share of the delays that are at most ``time_s``: the inverse of ``quantile_s``."""
    mean_s = delay.mean_s * np.asarray(factor, np.float64)
    if delay.kind == "exponential":
        return np.asarray(-np.expm1(-np.asarray(time_s) / mean_s))
    scale_s = mean_s * (delay.shape - 1.0)
    return np.asarray(1.0 - (1.0 + np.asarray(time_s) / scale_s) ** -delay.shape)
