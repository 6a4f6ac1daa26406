"""When sessions begin: a Poisson process whose intensity has the peaks of the day.

Made from one of constant intensity by inverting the cumulative intensity (Çinlar 1975, "Introduction to
stochastic processes").
"""

import numpy as np

from streams.simulate.configuration import Day
from streams.simulate.randomness import Floats, Integers

DAY_MS = 86_400_000
MINUTES = 1440


class Calendar:
    """Turns days that all pass alike into days with peaks; both begin at midnight UTC."""

    def __init__(self, day: Day) -> None:
        self._edges = np.arange(MINUTES + 1) / MINUTES
        middles_h = (np.arange(MINUTES) + 0.5) * 24 / MINUTES
        self.intensity = np.full(MINUTES, 1.0 - sum(day.weights))
        """By minute of the day, of mean 1."""
        for peak_h, width_h, weight in zip(day.peaks_h, day.widths_h, day.weights, strict=True):
            away_h = (middles_h - peak_h + 12) % 24 - 12  # a day's end is next to its beginning
            bump = np.exp(-0.5 * (away_h / width_h) ** 2)
            self.intensity += weight * bump / bump.mean()
        self._cumulative = np.concatenate([[0.0], np.cumsum(self.intensity) / MINUTES])
        self._cumulative /= self._cumulative[-1]

    def times_ms(self, even_days: Floats) -> Integers:
        """Milliseconds of times that are given in days since 1970 of a process without peaks."""
        whole = np.floor(even_days)
        parts = np.interp(even_days - whole, self._cumulative, self._edges)
        return np.floor((whole + parts) * DAY_MS).astype(np.int64)

    def even_days(self, ts_ms: int) -> float:
        """The inverse of ``times_ms``."""
        whole, part = divmod(ts_ms / DAY_MS, 1.0)
        return whole + float(np.interp(part, self._edges, self._cumulative))
