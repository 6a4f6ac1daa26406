"""The truth: with which probability a user clicks an ad, and then buys.

A click needs a look and a liking (examination hypothesis: Richardson, Dominowska, Ragno 2007, "Predicting
clicks"; Craswell et al. 2008): P(click) = P(looked at | position) P(likes | user, ad, context). README.md
beside this has the formulas and their sources.
"""

from typing import NamedTuple

import numpy as np

from streams.simulate import drift
from streams.simulate.configuration import Configuration, Drift
from streams.simulate.delays import quantile_ms
from streams.simulate.policy import Policy
from streams.simulate.randomness import Flags, Floats, Integers, Words
from streams.simulate.visits import (
    CLICK,
    CLICK_DELAY,
    INSTANT,
    PERSON,
    PURCHASE,
    PURCHASE_DELAY,
    RAPID,
    Visits,
)
from streams.simulate.world import World

RAPID_DELAY_MS, INSTANT_DELAY_MS = (50, 150), (0, 20)
"""Bounds of how soon these bots click; a person needs longer to see, choose and press."""
HOUR_MS = 3_600_000
BEST_HOUR = 21
BISECTIONS = 60


class Answers(NamedTuple):
    """What becomes of ads that are shown, one entry each."""

    examination: Floats
    """Probability that the position is looked at."""
    p_click: Floats
    p_purchase: Floats
    """Given the click."""
    clicked: Flags
    click_delay_ms: Integers
    """From exposure to click, also where there is none."""
    bought: Flags
    """The click led to an order."""
    purchase_delay_ms: Integers
    """From click to order, also where there is none."""


class Model:
    """How people and bots answer to ads."""

    def __init__(self, world: World, start_ms: int, sample: Visits, policy: Policy) -> None:
        """Levels are set so that the configured rates hold for ``sample`` under ``policy`` without drift."""
        self._world = world
        self._configuration: Configuration = world.configuration
        self._start_ms = start_ms
        self._click_level = self._purchase_level = 0.0
        self._drift = Drift(kind="none")
        self._calibrate(sample, policy)
        self._drift = world.configuration.drift

    def examination(self, position: Integers) -> Floats:
        """Probability that a position is looked at: 1 at the top, falling as a power.

        As in Joachims, Swaminathan, Schnabel 2017, "Unbiased learning-to-rank with biased feedback".
        """
        return np.asarray(position, np.float64) ** -self._configuration.clicks.position_exponent

    def liking(self, visits: Visits, slots: Words, ads: Words) -> tuple[Floats, Floats]:
        """Log odds that an ad is liked in a slot's context, and that its click leads to an order."""
        world, clicks = self._world, self._configuration.clicks
        view = visits.slot_view[slots]
        session = visits.view_session[view]
        user, device = visits.session_user[session], visits.session_device[session]
        ts_ms = visits.view_ms[view]
        taste, quality = self._taste(user, ads, ts_ms)
        hour = ts_ms % (24 * HOUR_MS) / HOUR_MS
        match = world.ad_category[ads] == visits.view_category[view]
        click = (
            self._click_level
            + world.user_click[user]
            + quality
            + self._configuration.tastes.scale * taste
            + self._configuration.ads.match_boost * match
            + world.device_format[device, world.ad_format[ads]]
            + clicks.evening_boost * np.cos((hour - BEST_HOUR) * (np.pi / 12))
        )
        purchase = (
            self._purchase_level
            + world.user_purchase[user]
            + world.ad_purchase[ads]
            + self._configuration.purchases.taste_scale * taste
        )
        return click, purchase

    def answers(self, visits: Visits, slots: Words, ads: Words) -> Answers:
        """What becomes of ``ads`` in ``slots`` of a block, arrays of one length."""
        world, configuration = self._world, self._configuration
        kind = visits.session_kind[visits.view_session[visits.slot_view[slots]]]
        liking, buying = self.liking(visits, slots, ads)
        examination = self.examination(visits.slot_position[slots])
        p_click, p_purchase = examination * probability(liking), probability(buying)
        draws = visits.slot_draws[slots]
        category = world.ad_category[ads]
        click_delay_ms = quantile_ms(
            configuration.clicks.delay, draws[:, CLICK_DELAY], world.click_delay_factor[category]
        )
        bots = kind != PERSON
        if bots.any():
            examination[bots], p_purchase[bots] = 1.0, 0.0
            p_click[bots] = configuration.bots.click_share
            for each, (low_ms, high_ms) in ((RAPID, RAPID_DELAY_MS), (INSTANT, INSTANT_DELAY_MS)):
                soon_ms = low_ms + np.floor((high_ms - low_ms) * draws[:, CLICK_DELAY]).astype(np.int64)
                click_delay_ms = np.where(kind == each, soon_ms, click_delay_ms)
        clicked = draws[:, CLICK] < p_click
        return Answers(
            examination=examination,
            p_click=p_click,
            p_purchase=p_purchase,
            clicked=clicked,
            click_delay_ms=click_delay_ms,
            bought=clicked & (draws[:, PURCHASE] < p_purchase),
            purchase_delay_ms=quantile_ms(
                configuration.purchases.delay,
                draws[:, PURCHASE_DELAY],
                world.purchase_delay_factor[category],
            ),
        )

    def _taste(self, user: Words, ads: Words, ts_ms: Integers) -> tuple[Floats, Floats]:
        """Interaction of user and ad (variance 1), and the ad's quality, as of a time."""
        world, taste = self._world, self._world.taste[user]
        root = np.sqrt(taste.shape[1])

        def of(epoch: int) -> tuple[Floats, Floats]:
            appeal = world.appeal[epoch][ads]
            return np.einsum("nk,nk->n", taste, appeal) / root, world.quality[epoch][ads]

        first = of(0)
        if self._drift.kind == "none":
            return first
        second = of(1)
        old, new = drift.weights(drift.progress(self._drift, self._start_ms, ts_ms))
        return old * first[0] + new * second[0], old * first[1] + new * second[1]

    def _calibrate(self, sample: Visits, policy: Policy) -> None:
        configuration = self._configuration
        person = sample.session_kind[sample.view_session[sample.slot_view]] == PERSON
        slots = np.flatnonzero(person & (sample.slot_position == 1))
        ads = policy.choose(sample, slots).ads
        liking, buying = self.liking(sample, slots, ads)
        self._click_level = level(liking, np.ones(len(liking)), configuration.clicks.rate)
        likes = probability(liking + self._click_level)
        self._purchase_level = level(buying, likes, configuration.purchases.rate)


def probability(log_odds: Floats) -> Floats:
    """Of log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


def level(log_odds: Floats, weights: Floats, rate: float) -> float:
    """What must be added to log odds so that the weighted mean of the probabilities is ``rate``."""
    low, high = -50.0, 50.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if np.average(probability(log_odds + middle), weights=weights) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2
