"""Shops that several modules look at: one of each shipped configuration."""

import pytest

from streams.simulate.configuration import NAMES, load
from streams.simulate.shop import Exposures, Shop

EXPOSURES = 300_000


@pytest.fixture(scope="session", params=NAMES)
def shop(request: pytest.FixtureRequest) -> Shop:
    """A shop of each shipped configuration."""
    return Shop(load(request.param), seed=11)


@pytest.fixture(scope="session")
def exposures(shop: Shop) -> Exposures:
    """Its first exposures."""
    return shop.exposures(EXPOSURES)
