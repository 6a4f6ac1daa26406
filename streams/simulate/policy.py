"""The policy whose choices a log holds: a softmax over what an older system knew, with exact propensities."""

from typing import NamedTuple

import numpy as np

from streams.simulate.configuration import Logging
from streams.simulate.randomness import Floats, Integers, Words, generator
from streams.simulate.visits import ARM, Visits
from streams.simulate.world import CATEGORIES, DEVICES, World

MILLION = 1_000_000


class Choices(NamedTuple):
    """One entry a slot."""

    ads: Words
    propensity: Floats
    """Whole millionths: the draw is made from the rounded distribution, so what is logged is exact."""


class Policy:
    """Chooses by page, category and device; knows the ads' quality before any drift and no user's taste."""

    def __init__(self, world: World, seed: int) -> None:
        self._seed = seed
        eligible = world.eligible()
        eligible = eligible.reshape(-1, eligible.shape[-1])
        self.millionths = _spread(eligible, world.quality[0], world.configuration.logging)
        """Of each context's ads; every row sums to a million."""
        self._edges = (self.millionths.cumsum(axis=1) + MILLION * np.arange(len(eligible))[:, None]).ravel()

    def choose(self, visits: Visits, slots: Words) -> Choices:
        """Draw an ad for each of these slots; a slot's draw is always the same."""
        tickets = generator(self._seed, "policy", visits.number).integers(
            MILLION, size=len(visits.slot_view)
        )[slots]
        context = self.context(visits, slots)
        ads_total = self.millionths.shape[1]
        place = np.searchsorted(self._edges, context * MILLION + tickets, side="right")
        ads = place - context * ads_total
        return Choices(ads, self.millionths[context, ads] / MILLION)

    def context(self, visits: Visits, slots: Words) -> Integers:
        """The row of ``millionths`` that a slot is served from."""
        view = visits.slot_view[slots]
        device = visits.session_device[visits.view_session[view]]
        row = (visits.view_page[view] * len(CATEGORIES) + visits.view_category[view]) * len(DEVICES) + device
        return np.asarray(row, np.int64)

    def arms(self, visits: Visits, sessions: Words, promotions: int) -> tuple[Words, Floats]:
        """Arms of the sessions that ask for a promotion, all with the same probability; 0 is none."""
        arms = np.floor(visits.session_draws[sessions, ARM] * (promotions + 1)).astype(np.intp)
        return arms, np.full(len(sessions), 1 / (promotions + 1))


def _spread(eligible: np.ndarray, scores: Floats, logging: Logging) -> Integers:
    weights = np.where(eligible, np.exp(scores / logging.temperature), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    even = eligible / eligible.sum(axis=1, keepdims=True)
    millionths = np.floor(MILLION * ((1 - logging.floor) * weights + logging.floor * even)).astype(np.int64)
    rows = np.arange(len(millionths))
    millionths[rows, millionths.argmax(axis=1)] += MILLION - millionths.sum(axis=1)
    return np.asarray(millionths, np.int64)
