"""When sessions begin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tolerance import Z

from streams.simulate.configuration import load
from streams.simulate.day import DAY_MS, MINUTES, Calendar

CALENDAR = Calendar(load("base").day)


@given(st.integers(0, 60_000 * DAY_MS))
def test_times_are_inverted(ts_ms: int) -> None:
    """From a time to even days and back is the same time, to the 2 ms that a float leaves."""
    assert abs(ts_ms - int(CALENDAR.times_ms(np.array([CALENDAR.even_days(ts_ms)]))[0])) <= 2


def test_the_day_has_two_peaks() -> None:
    """The intensity of `base` has exactly two maxima, at noon and at eight in the evening."""
    intensity = CALENDAR.intensity
    higher = (intensity > np.roll(intensity, 1)) & (intensity > np.roll(intensity, -1))
    hours = [minute / 60 for minute in np.flatnonzero(higher)]
    assert [12.0, 20.0] == [round(hour) for hour in hours]


def test_hours_have_their_share_of_sessions() -> None:
    """Evenly drawn times fall into each hour as often as its intensity says."""
    count = 200_000
    times_ms = CALENDAR.times_ms(np.random.default_rng(3).random(count) * 10)
    found = np.bincount(times_ms % DAY_MS // 3_600_000, minlength=24)
    share = CALENDAR.intensity.reshape(24, MINUTES // 24).sum(axis=1) / MINUTES
    assert (np.abs(found - count * share) < Z * np.sqrt(count * share * (1 - share))).all()
