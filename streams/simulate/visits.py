"""What users do of themselves: sessions, views, and slots that are to be filled, in blocks of arrays.

Nothing here depends on what is shown. Each slot brings the uniform numbers by which the user's answer will
be told, whatever is shown there: two policies meet the same users with the same luck (common random
numbers).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from streams.simulate.configuration import Delay, start_ms
from streams.simulate.day import Calendar
from streams.simulate.delays import quantile_ms
from streams.simulate.randomness import Flags, Floats, Integers, Words, generator, place_of
from streams.simulate.world import (
    CATEGORIES,
    DEVICE_SHARES,
    ITEM_PAGE,
    PAGE_SHARES,
    POSITIONS,
    USUAL_DEVICE_SHARE,
    World,
)

SESSIONS = 5_000
"""Of a block; part of what a seed means."""

PERSON, RAPID, INSTANT, VIEWLESS = range(4)
KINDS = ("person", "rapid", "instant", "viewless")
"""Bots: those that view and click at inhuman rates, those that click before anyone could have looked, and
those that click what was shown on no view."""
RAPID_VIEWS, RAPID_GAP = 5, 0.01
"""Factors on a rapid bot's number of views and the time between them."""


class Visits(NamedTuple):
    """A block: arrays by session (``session_*``), by view (``view_*``) and by slot for an ad (``slot_*``)."""

    number: int
    next_ms: int
    """When the next block begins: from then on nothing of a user's own accord belongs to this one."""
    session_user: Words
    session_kind: Words
    """Place in ``KINDS``."""
    session_ms: Integers
    session_device: Words
    session_asks: Flags
    """Whether the first view asks for a promotion."""
    session_draws: Floats
    """By session: ``ARM`` and what follows it."""
    first_view: Words
    """Of each session."""
    view_session: Words
    view_index: Words
    """Place in the session."""
    view_ms: Integers
    view_page: Words
    view_category: Words
    view_item: Words
    view_draws: Floats
    """By view: ``REACHED``, ``CART``."""
    first_slot: Words
    """Of each view."""
    slot_count: Words
    """Of each view."""
    slot_view: Words
    slot_position: Integers
    slot_ms: Integers
    """When something will be seen there."""
    slot_draws: Floats
    """By slot: ``CLICK`` and what follows it."""


ARM, ORDER, CURIOUS, CURIOUS_DELAY, ORDER_DELAY, RENDER = range(6)
"""Columns of ``session_draws``: the logging policy's arm; whether there is an order; whether a promotion is
clicked without one, when, when the order comes, when the promotion is seen."""
REACHED, CART = range(2)
"""Columns of ``view_draws``: whether a click led to an item page, whether its item goes into the cart."""
CLICK, CLICK_DELAY, PURCHASE, PURCHASE_DELAY = range(4)
"""Columns of ``slot_draws``."""


class Traffic:
    """The endless sequence of blocks of a world."""

    def __init__(self, world: World, seed: int, start: int | None = None) -> None:
        self._world = world
        self._seed = seed
        configuration = world.configuration
        self._calendar = Calendar(configuration.day)
        self.start_ms = start_ms(configuration) if start is None else start

    def blocks(self) -> Iterator[Visits]:
        """Blocks from the start on."""
        number, even_days = 0, self._calendar.even_days(self.start_ms)
        while True:
            visits, even_days = self._block(number, even_days)
            yield visits
            number += 1

    def sample(self) -> Visits:
        """The first block with its views spread over the whole first day, to set mean rates by."""
        visits = next(self.blocks())
        count = len(visits.view_ms)
        midnight = np.floor(self._calendar.even_days(self.start_ms))
        return visits._replace(view_ms=self._calendar.times_ms(midnight + (np.arange(count) + 0.5) / count))

    def _block(self, number: int, even_days: float) -> tuple[Visits, float]:
        world, configuration = self._world, self._world.configuration
        bots, pages = configuration.bots, configuration.pages
        random = generator(self._seed, "sessions", number)
        gaps = random.standard_exponential(SESSIONS) / configuration.shop.sessions_per_day
        times = even_days + np.cumsum(gaps)
        session_ms = self._calendar.times_ms(times)
        user = place_of(world.activity, random.random(SESSIONS))
        draws = random.random((SESSIONS, 3))
        is_bot = draws[:, 0] < bots.share if bots.count else np.zeros(SESSIONS, bool)
        which = np.floor(draws[:, 1] * bots.count).astype(np.intp)
        user = np.where(is_bot, world.people + which, user)
        kind = np.where(is_bot, 1 + which % (len(KINDS) - 1), PERSON)
        any_device = place_of(DEVICE_SHARES, random.random(SESSIONS))
        device = np.where(draws[:, 2] < USUAL_DEVICE_SHARE, world.user_device[user], any_device)
        asks = (random.random(SESSIONS) < configuration.promotions.ask_share) & ~is_bot
        gumbel = -np.log(-np.log(random.random((SESSIONS, len(CATEGORIES)))))
        category = (world.interest[user] + gumbel).argmax(axis=1)
        session_draws = random.random((SESSIONS, RENDER + 1))

        random = generator(self._seed, "views", number)
        count = random.geometric(1 / pages.views_per_session, SESSIONS)
        count = np.where(kind == RAPID, RAPID_VIEWS * count, count)
        first_view = np.cumsum(count) - count
        session = np.repeat(np.arange(SESSIONS), count)
        views = len(session)
        index = np.arange(views) - first_view[session]
        gap_ms = 1000 * pages.think_s * random.standard_exponential(views)
        gap_ms *= np.where(kind[session] == RAPID, RAPID_GAP, 1.0)
        gap_ms[first_view] = 0
        passed_ms = np.cumsum(gap_ms)
        view_ms = session_ms[session] + np.rint(passed_ms - passed_ms[first_view][session]).astype(np.int64)
        page = place_of(PAGE_SHARES, random.random(views))
        wanders = random.random(views) < pages.wander_share
        view_category = np.where(wanders, random.integers(len(CATEGORIES), size=views), category[session])
        item = np.where(page == ITEM_PAGE, world.items_of(view_category, random.random(views)), -1)
        view_draws = random.random((views, CART + 1))
        slot_count = np.where(
            (random.random(views) < pages.ask_share) | (kind[session] == VIEWLESS), POSITIONS[page], 0
        )

        random = generator(self._seed, "slots", number)
        first_slot = np.cumsum(slot_count) - slot_count
        slot_view = np.repeat(np.arange(views), slot_count)
        slots = len(slot_view)
        position = 1 + np.arange(slots) - first_slot[slot_view]
        # All slots of a view are seen with it.
        render_ms = quantile_ms(Delay("exponential", pages.render_s), random.random(views))
        slot_draws = random.random((slots, PURCHASE_DELAY + 1))
        end = times[-1]
        visits = Visits(
            number=number,
            next_ms=int(session_ms[-1]),
            session_user=user,
            session_kind=kind,
            session_ms=session_ms,
            session_device=device,
            session_asks=asks,
            session_draws=session_draws,
            first_view=first_view,
            view_session=session,
            view_index=index,
            view_ms=view_ms,
            view_page=page,
            view_category=view_category,
            view_item=item,
            view_draws=view_draws,
            first_slot=first_slot,
            slot_count=slot_count,
            slot_view=slot_view,
            slot_position=position,
            slot_ms=view_ms[slot_view] + render_ms[slot_view],
            slot_draws=slot_draws,
        )
        return visits, float(end)
