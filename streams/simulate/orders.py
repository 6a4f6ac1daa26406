"""The truth of orders that no ad led to, and what promotions change about them, by user.

Each user has an outcome for every arm (potential outcomes: Rubin 1974). Effects differ between users, by
their tastes and by themselves, and some are negative: being pushed puts off some who would have bought
(Radcliffe, Surry 2011, "Real-world uplift modelling with significance-based uplift trees").
"""

from typing import NamedTuple

import numpy as np

from streams.simulate.answers import level, probability
from streams.simulate.configuration import Delay
from streams.simulate.delays import quantile_ms
from streams.simulate.randomness import Flags, Floats, Integers, Words
from streams.simulate.visits import CURIOUS, CURIOUS_DELAY, ORDER, ORDER_DELAY, PERSON, RENDER, Visits
from streams.simulate.world import World

NONE = 0
"""The arm without a promotion; arm i offers promotion i - 1."""


class Orders(NamedTuple):
    """What becomes of sessions under their arms, one entry each."""

    p_order: Floats
    ordered: Flags
    shown_ms: Integers
    """When a promotion is seen; the session's start where there is none."""
    clicked: Flags
    """The promotion: out of curiosity, or because it is redeemed."""
    clicked_ms: Integers
    ordered_ms: Integers

    def at(self, places: Words) -> "Orders":
        """Those of some of the sessions."""
        return Orders(*(column[places] for column in self))  # type: ignore[arg-type]


class OrderModel:
    """Whether and when sessions lead to orders."""

    def __init__(self, world: World, sample: Visits) -> None:
        """The level is set so that the configured rate holds for ``sample`` without promotions."""
        self._world = world
        self._level = 0.0
        users = sample.session_user[sample.session_kind == PERSON]
        log_odds = world.user_order[users]
        rate = world.configuration.promotions.order_rate
        self._level = level(log_odds, np.ones(len(log_odds)), rate)

    def p_order(self, users: Words) -> Floats:
        """Probability that a session of each user leads to an order, under each arm: users x arms.

        Bots never order.
        """
        world = self._world
        without = self._level + world.user_order[users, None]
        p = probability(np.hstack([without, without + world.effect[users]]))
        p[users >= world.people] = 0.0
        return p

    def orders(self, visits: Visits, sessions: Words, arms: Words, not_before_ms: int = 0) -> Orders:
        """What becomes of sessions of a block under ``arms``, which take effect ``not_before_ms``.

        One draw tells a session's order under every arm: it orders under each whose probability lies above.
        """
        configuration = self._world.configuration
        promotions = configuration.promotions
        draws = visits.session_draws[sessions]
        p_order = self.p_order(visits.session_user[sessions])[np.arange(len(sessions)), arms]
        ordered = draws[:, ORDER] < p_order
        offered = arms != NONE
        start_ms = visits.session_ms[sessions]
        render_ms = quantile_ms(Delay("exponential", configuration.pages.render_s), draws[:, RENDER])
        shown_ms = np.maximum(start_ms + np.where(offered, render_ms, 0), not_before_ms)
        look_ms = quantile_ms(configuration.clicks.delay, draws[:, CURIOUS_DELAY])
        clicked_ms = shown_ms + np.where(offered, look_ms, 0)
        return Orders(
            p_order=p_order,
            ordered=ordered,
            shown_ms=shown_ms,
            clicked=offered & (ordered | (draws[:, CURIOUS] < promotions.click_rate)),
            clicked_ms=clicked_ms,
            ordered_ms=clicked_ms + quantile_ms(promotions.delay, draws[:, ORDER_DELAY]),
        )
