"""The synthetic shop as a library: catalogue, traffic, truth, and exposures by the million as arrays."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from schemas.catalog import Entry
from streams.simulate.answers import Answers, Model
from streams.simulate.configuration import Configuration
from streams.simulate.orders import OrderModel
from streams.simulate.policy import Choices, Policy
from streams.simulate.randomness import Flags, Floats, Integers, Words
from streams.simulate.visits import PERSON, Traffic, Visits
from streams.simulate.world import World


class Exposures(NamedTuple):
    """Ads that the logging policy showed, session by session: what a learner may see, and the truth.

    Words are places in the vocabularies: ``page`` in ``world.PAGES``, ``category`` in ``world.CATEGORIES``,
    ``device`` in ``world.DEVICES``; ``user`` and ``ad`` are rows of the shop's ``World``, which has what else
    there is to know of them.
    """

    ts_ms: Integers
    user: Words
    style: Words
    """The user's first segment."""
    age: Words
    """The user's second segment."""
    country: Words
    device: Words
    page: Words
    category: Words
    position: Integers
    ad: Words
    propensity: Floats
    clicked: Flags
    click_delay_ms: Integers
    bought: Flags
    purchase_delay_ms: Integers
    bot: Flags
    examination: Floats
    p_click: Floats
    p_purchase: Floats


class Shop:
    """A synthetic shop; the same configuration and seed (and numpy) give the same shop.

    >>> from streams.simulate.configuration import load
    >>> shop = Shop(load("other"), seed=1)
    >>> shop.exposures(1000).p_click.shape
    (1000,)
    """

    def __init__(self, configuration: Configuration, seed: int, start_ms: int | None = None) -> None:
        """``start_ms`` replaces the configured start."""
        self.configuration = configuration
        self.seed = seed
        self.world = World(configuration, seed)
        self.traffic = Traffic(self.world, seed, start_ms)
        self.policy = Policy(self.world, seed)
        sample = self.traffic.sample()
        self.model = Model(self.world, self.traffic.start_ms, sample, self.policy)
        self.orders = OrderModel(self.world, sample)

    def catalog(self) -> list[Entry]:
        """Every entry of the catalogue."""
        return self.world.catalog()

    def logged(self) -> Iterator[tuple[Visits, Choices, Answers]]:
        """Blocks of traffic, what the logging policy showed in all their slots, and what became of it."""
        for visits in self.traffic.blocks():
            slots = np.arange(len(visits.slot_view))
            choices = self.policy.choose(visits, slots)
            yield visits, choices, self.model.answers(visits, slots, choices.ads)

    def exposures(self, count: int) -> Exposures:
        """The first ``count`` exposures of the logging policy; a longer result begins with a shorter one."""
        parts, wanted = [], count
        for visits, choices, answers in self.logged():
            parts.append(self._columns(visits, choices, answers, wanted))
            wanted -= len(parts[-1].ad)
            if wanted <= 0:
                break
        return Exposures(*map(np.concatenate, zip(*parts, strict=True)))

    def _columns(self, visits: Visits, choices: Choices, answers: Answers, limit: int) -> Exposures:
        world, slots = self.world, slice(limit)
        view = visits.slot_view[slots]
        session = visits.view_session[view]
        user = visits.session_user[session]
        return Exposures(
            ts_ms=visits.slot_ms[slots],
            user=user,
            style=world.user_style[user],
            age=world.user_age[user],
            country=world.user_country[user],
            device=visits.session_device[session],
            page=visits.view_page[view],
            category=visits.view_category[view],
            position=visits.slot_position[slots],
            ad=choices.ads[slots],
            propensity=choices.propensity[slots],
            clicked=answers.clicked[slots],
            click_delay_ms=answers.click_delay_ms[slots],
            bought=answers.bought[slots],
            purchase_delay_ms=answers.purchase_delay_ms[slots],
            bot=visits.session_kind[session] != PERSON,
            examination=answers.examination[slots],
            p_click=answers.p_click[slots],
            p_purchase=answers.p_purchase[slots],
        )
