"""The logging policy."""

import numpy as np
import pytest
from tolerance import Z

from models.catalog import Catalog, Request
from streams.simulate.policy import MILLION
from streams.simulate.shop import Shop
from streams.simulate.world import CATEGORIES, COUNTRIES, DEVICES, PAGES, slot_id


def test_candidates_are_those_of_a_worker(shop: Shop) -> None:
    """Ads with a chance in a context are exactly those whose targeting a worker's catalogue matches."""
    catalog = Catalog(bits=10)
    catalog.extend(shop.catalog())
    for row, (page, category, device) in enumerate(np.ndindex(len(PAGES), len(CATEGORIES), len(DEVICES))):
        request = Request(
            shop.configuration.shop.shop_id, slot_id(PAGES[page], 1), PAGES[page], CATEGORIES[category],
            DEVICES[device], COUNTRIES[0],
        )  # fmt: skip
        chosen = [shop.world.ad_ids[ad] for ad in np.flatnonzero(shop.policy.millionths[row])]
        assert catalog.candidates(request).ids == chosen


def test_distributions_sum_to_a_million(shop: Shop) -> None:
    """In every context, and no candidate has less than its share of the floor."""
    millionths = shop.policy.millionths
    assert (millionths.sum(axis=1) == MILLION).all()
    floor = MILLION * shop.configuration.logging.floor / (millionths > 0).sum(axis=1)
    assert (np.where(millionths > 0, millionths, MILLION).min(axis=1) >= np.floor(floor)).all()


def test_ads_are_drawn_as_often_as_they_are_said_to_be(shop: Shop) -> None:
    """In the commonest context each ad's share is its propensity, to 4.5 standard errors."""
    contexts, ads, propensities = [], [], []
    for (visits, choices, _), _ in zip(shop.logged(), range(6), strict=False):
        contexts.append(shop.policy.context(visits, np.arange(len(visits.slot_view))))
        ads.append(choices.ads)
        propensities.append(choices.propensity)
    context, ad, propensity = (np.concatenate(each) for each in (contexts, ads, propensities))
    commonest = np.bincount(context).argmax()
    mine = context == commonest
    p = shop.policy.millionths[commonest] / MILLION
    found = np.bincount(ad[mine], minlength=len(p))
    error = np.sqrt(mine.sum() * p * (1 - p))
    assert (np.abs(found - mine.sum() * p) <= Z * error).all()
    assert propensity[mine] == pytest.approx(p[ad[mine]])


def test_the_log_values_another_policy(shop: Shop) -> None:
    """Inverse propensities estimate from the log what even chances for all would earn, to 4.5 errors.

    The truth of that policy comes from asking the shop itself what it would click.
    """
    estimates, truths = [], []
    random = np.random.default_rng(4)
    for (visits, choices, answers), _ in zip(shop.logged(), range(6), strict=False):
        slots = np.arange(len(visits.slot_view))
        allowed = shop.policy.millionths[shop.policy.context(visits, slots)] > 0
        estimates.append(answers.clicked / (choices.propensity * allowed.sum(axis=1)))
        even = (allowed * random.random(allowed.shape)).argmax(axis=1)
        truths.append(shop.model.answers(visits, slots, even).p_click)
    estimate, truth = np.concatenate(estimates), np.concatenate(truths)
    error = np.sqrt(estimate.var() / len(estimate) + truth.var() / len(truth))
    assert abs(estimate.mean() - truth.mean()) < Z * error
    assert error < 0.05 * truth.mean()


def test_a_slot_has_one_draw(shop: Shop) -> None:
    """Choosing for some of the slots gives what choosing for all of them gives."""
    visits = next(shop.traffic.blocks())
    every = shop.policy.choose(visits, np.arange(len(visits.slot_view)))
    some = np.array([3, 100, 7])
    assert np.array_equal(every.ads[some], shop.policy.choose(visits, some).ads)
