"""Delays by quantile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.simulate.configuration import Delay
from streams.simulate.delays import quantile_ms, quantile_s, share_within

delays = st.builds(Delay, st.sampled_from(["exponential", "lomax"]), st.floats(0.1, 1e5), st.floats(1.05, 10))
shares = st.floats(0, 0.999)


@given(delays, shares, st.floats(0.1, 10))
def test_a_share_of_the_delays_is_below_its_quantile(delay: Delay, share: float, factor: float) -> None:
    """Quantile and distribution function are inverse to each other."""
    assert share == pytest.approx(
        float(share_within(delay, quantile_s(delay, share, factor), factor)), abs=1e-9
    )


@given(delays, shares, shares)
def test_quantiles_rise(delay: Delay, first: float, second: float) -> None:
    """A higher share has no shorter quantile; none is below a millisecond."""
    low, high = sorted((first, second))
    assert 1 <= quantile_ms(delay, low) <= quantile_ms(delay, high)


@pytest.mark.parametrize("delay", [Delay("exponential", 50.0), Delay("lomax", 50.0, shape=3.0)])
def test_the_mean_is_the_configured_one(delay: Delay) -> None:
    """The integral of the quantile function is the mean, to a thousandth of it."""
    edges = 1 - np.geomspace(1, 1e-12, 400_001)
    mean_s = float(np.trapezoid(quantile_s(delay, edges), edges))
    assert 50.0 == pytest.approx(mean_s, rel=1e-3)


def test_the_tail_is_heavy() -> None:
    """Beyond twenty means the exponential has 2 in a billion, the Lomax of shape 1.6 still 1 in 170."""
    beyond = [1 - float(share_within(Delay(kind, 1.0, shape=1.6), 20.0)) for kind in ("exponential", "lomax")]  # type: ignore[arg-type]
    assert [np.exp(-20), (1 + 20 / 0.6) ** -1.6] == pytest.approx(beyond)


def test_the_last_draw_is_finite() -> None:
    """A draw of 1 gives ten years, no infinity."""
    assert 320_000_000_000 == quantile_ms(Delay("lomax", 10.0, shape=1.1), 1.0)
