"""How far the shop is from its first tastes to its second: none, abrupt, gradual, recurring.

The kinds are those of Gama, Žliobaitė, Bifet, Pechenizkiy, Bouchachia 2014, "A survey on concept drift
adaptation".
"""

import numpy as np

from streams.simulate.configuration import Drift
from streams.simulate.day import DAY_MS
from streams.simulate.randomness import Floats, Integers


def progress(drift: Drift, start_ms: int, ts_ms: Integers) -> Floats:
    """0 before any change, ``extent`` at its end.

    >>> from streams.simulate.configuration import Drift
    >>> gradual = Drift("gradual", start_day=0.0, length_days=2.0)
    >>> progress(gradual, 0, np.array([0, DAY_MS, 5 * DAY_MS])).tolist()
    [0.0, 0.5, 1.0]
    """
    days = (np.asarray(ts_ms) - start_ms) / DAY_MS - drift.start_day
    if drift.kind == "none":
        done = np.zeros_like(days)
    elif drift.kind == "abrupt":
        done = (days >= 0).astype(np.float64)
    elif drift.kind == "gradual":
        done = np.clip(days / drift.length_days, 0.0, 1.0)
    else:  # back and forth, half a period each
        done = ((days >= 0) & (days % drift.length_days < drift.length_days / 2)).astype(np.float64)
    return drift.extent * done


def weights(progressed: Floats) -> tuple[Floats, Floats]:
    """Weights of the first and the second tastes; their squares sum to 1, so the spread stays what it is."""
    angle = progressed * np.pi / 2
    return np.cos(angle), np.sin(angle)
