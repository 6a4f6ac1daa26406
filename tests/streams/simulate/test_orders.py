"""What promotions do to orders."""

from itertools import islice

import numpy as np
import pytest
from tolerance import Z, assert_rates, assert_uniform

from streams.simulate.delays import share_within
from streams.simulate.orders import NONE
from streams.simulate.shop import Shop

BLOCKS = 30

Trial = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def trial(shop: Shop) -> Trial:
    """Sessions that asked for a promotion and got an arm at random: what is known of them, and the truth."""
    promotions = len(shop.world.promotion_ids)
    found = []
    for visits in islice(shop.traffic.blocks(), BLOCKS):
        asking = np.flatnonzero(visits.session_asks)
        arms, _ = shop.policy.arms(visits, asking, promotions)
        orders = shop.orders.orders(visits, asking, arms)
        users = visits.session_user[asking]
        found.append((users, arms, orders.ordered, orders.p_order, orders.ordered_ms - orders.clicked_ms))
    names = ("user", "arm", "ordered", "p_order", "delay_ms")
    return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))


def test_arms_are_drawn_evenly(shop: Shop, trial: Trial) -> None:
    """Each with the propensity that is told, whoever the user is."""
    share = 1 / (len(shop.world.promotion_ids) + 1)
    found = np.bincount(trial["arm"])
    assert (np.abs(found - share * len(trial["arm"])) < Z * np.sqrt(share * len(trial["arm"]))).all()


def test_effects_are_recovered_from_the_trial(shop: Shop, trial: Trial) -> None:
    """The difference of order rates between an arm and none is the mean true uplift, to 4.5 errors."""
    uplift = _uplift(shop, trial["user"])
    none = trial["ordered"][trial["arm"] == NONE]
    for promotion in range(uplift.shape[1]):
        mine = trial["ordered"][trial["arm"] == promotion + 1]
        found = mine.mean() - none.mean()
        error = np.sqrt(mine.var() / len(mine) + none.var() / len(none))
        assert abs(found - uplift[:, promotion].mean()) < Z * error


def test_effects_differ_by_user_and_some_are_negative(shop: Shop, trial: Trial) -> None:
    """Users whom by the truth a promotion harms order less under it, and others more, as much as it says.

    Over all promotions, so that both groups are large enough to tell their effects from none.
    """
    uplift = _uplift(shop, trial["user"])
    harmed_share = (uplift < 0).mean(axis=0)
    assert (harmed_share > 0.02).all()
    assert (harmed_share < 0.9).all()
    arm, ordered = trial["arm"], trial["ordered"]
    for harmed in (True, False):
        found, truth, variance = [], [], []
        for promotion in range(uplift.shape[1]):
            group = (uplift[:, promotion] < 0) == harmed
            treated, control = ordered[group & (arm == promotion + 1)], ordered[group & (arm == NONE)]
            found.append(treated.mean() - control.mean())
            truth.append(uplift[group, promotion].mean())
            variance.append(treated.var() / len(treated) + control.var() / len(control))
        error = np.sqrt(np.sum(variance)) / len(found)
        assert abs(np.mean(found) - np.mean(truth)) < Z * error
        assert (np.mean(found) < 0) == harmed


def test_order_rates_are_the_truth(shop: Shop, trial: Trial) -> None:
    """Under each arm as many orders come as their probabilities sum to."""
    assert_rates(trial["ordered"], trial["p_order"], trial["arm"])


def test_without_a_promotion_the_rate_is_the_configured_one(shop: Shop, trial: Trial) -> None:
    """Within a tenth: it holds exactly for the block that the level is set on."""
    p = trial["p_order"][trial["arm"] == NONE]
    assert shop.configuration.promotions.order_rate == pytest.approx(p.mean(), rel=0.1)


def test_orders_come_at_their_delays(shop: Shop, trial: Trial) -> None:
    """By their distribution function the delays are uniform (Kolmogorov)."""
    delay_s = trial["delay_ms"][trial["ordered"]] / 1000
    assert_uniform(share_within(shop.configuration.promotions.delay, delay_s))


def test_whoever_orders_under_an_arm_orders_under_every_better_one(shop: Shop) -> None:
    """One draw tells a session's order under all arms: potential outcomes, not a draw a look."""
    visits = next(shop.traffic.blocks())
    sessions = np.arange(len(visits.session_user))
    arms = len(shop.world.promotion_ids) + 1
    under = [shop.orders.orders(visits, sessions, np.full(len(sessions), arm)) for arm in range(arms)]
    ordered = np.stack([each.ordered for each in under], axis=1)
    p = np.stack([each.p_order for each in under], axis=1)
    by_p = np.take_along_axis(ordered, p.argsort(axis=1), axis=1)
    assert (np.diff(by_p.astype(int), axis=1) >= 0).all()


def test_what_is_redeemed_was_clicked(shop: Shop) -> None:
    """An order under a promotion follows its click; without a promotion there is none."""
    visits = next(shop.traffic.blocks())
    sessions = np.arange(len(visits.session_user))
    offered = shop.orders.orders(visits, sessions, np.ones(len(sessions), np.intp))
    assert offered.clicked[offered.ordered].all()
    assert (offered.clicked_ms < offered.ordered_ms).all()
    assert (offered.shown_ms < offered.clicked_ms).all()
    assert not shop.orders.orders(visits, sessions, np.zeros(len(sessions), np.intp)).clicked.any()


def _uplift(shop: Shop, users: np.ndarray) -> np.ndarray:
    p = shop.orders.p_order(users)
    return p[:, 1:] - p[:, :1]
