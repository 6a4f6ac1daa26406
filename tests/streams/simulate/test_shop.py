"""What a log of exposures gives back of the shop's truth."""

import numpy as np
import pytest
from msgspec.structs import replace
from tolerance import Z, assert_rates, assert_uniform

from streams.simulate.configuration import Configuration, changed, load, start_ms
from streams.simulate.day import DAY_MS
from streams.simulate.delays import share_within
from streams.simulate.shop import Exposures, Shop
from streams.simulate.world import CATEGORIES, DEVICES, PAGES, POSITIONS

LEARNED = 40_000
ROUNDS = 40


def test_the_same_seed_gives_the_same_shop(shop: Shop) -> None:
    """Arrays are equal to the bit; a longer result begins with the shorter; another seed is another shop."""
    again = Shop(shop.configuration, shop.seed)
    first, longer = shop.exposures(7_000), again.exposures(20_000)
    assert all(np.array_equal(a, b[:7_000]) for a, b in zip(first, longer, strict=True))
    other = Shop(shop.configuration, shop.seed + 1).exposures(7_000)
    assert not np.array_equal(first.p_click, other.p_click)


def test_click_rates_are_the_truth(exposures: Exposures) -> None:
    """By ad, by segments, by context: clicks are as many as the true probabilities sum to, to 4.5 errors."""
    for groups in (
        exposures.ad,
        exposures.style * 10 + exposures.age,
        (exposures.page * len(CATEGORIES) + exposures.category) * len(DEVICES) + exposures.device,
        exposures.ts_ms % DAY_MS // 3_600_000,
    ):
        assert_rates(exposures.clicked, exposures.p_click, groups)


def test_the_mean_rates_are_the_configured_ones(shop: Shop, exposures: Exposures) -> None:
    """At the first position, within a tenth: they hold exactly for the block that the level is set on."""
    top = exposures.position == 1
    assert shop.configuration.clicks.rate == pytest.approx(exposures.p_click[top].mean(), rel=0.1)
    bought = np.average(exposures.p_purchase[top], weights=exposures.p_click[top])
    assert shop.configuration.purchases.rate == pytest.approx(bought, rel=0.1)


def test_the_position_curve_is_recovered(shop: Shop, exposures: Exposures) -> None:
    """On pages whose slots are all filled, clicks at k over clicks at 1 are k to minus the exponent."""
    full = POSITIONS[exposures.page] == POSITIONS.max()
    clicks = np.bincount(exposures.position[full], exposures.clicked[full])[1:]
    ratio = clicks / clicks[0]
    error = ratio * np.sqrt(1 / clicks + 1 / clicks[0])
    curve = np.arange(1, POSITIONS.max() + 1) ** -shop.configuration.clicks.position_exponent
    assert (np.abs(ratio - curve) <= Z * error).all()
    assert (error < 0.05 * ratio).all(), "too few clicks to say anything"
    # And it is no other curve: neither flat nor half as steep.
    assert abs(ratio[-1] - np.sqrt(curve[-1])) > Z * error[-1]


def test_purchases_are_the_truth(exposures: Exposures) -> None:
    """Of the clicks on each ad as many lead to orders as their probabilities say."""
    clicked = exposures.clicked
    assert not exposures.bought[~clicked].any()
    everywhere = np.zeros(clicked.sum(), np.intp)
    bought, p_purchase = exposures.bought[clicked], exposures.p_purchase[clicked]
    assert_rates(bought, p_purchase, everywhere)
    assert_rates(bought, p_purchase, (p_purchase > np.median(p_purchase)).astype(np.intp))


def test_delays_follow_their_distributions(shop: Shop, exposures: Exposures) -> None:
    """By the distribution function of its category each delay is uniform (Kolmogorov)."""
    world, clicked = shop.world, exposures.clicked
    category = world.ad_category[exposures.ad]
    clicks, purchases = shop.configuration.clicks, shop.configuration.purchases
    delay_s = exposures.click_delay_ms[clicked] / 1000
    assert_uniform(share_within(clicks.delay, delay_s, world.click_delay_factor[category[clicked]]))
    bought = exposures.bought
    delay_s = exposures.purchase_delay_ms[bought] / 1000
    assert_uniform(share_within(purchases.delay, delay_s, world.purchase_delay_factor[category[bought]]))


def test_crosses_beat_what_is_additive(shop: Shop) -> None:
    """The best score that adds up features leaves more loss than one with crosses of ad and user.

    Both are fitted to the true probabilities, so that no noise of labels speaks for the smaller one. In a
    shop without interactions crosses gain nothing.
    """
    additive, crossed = _losses(shop.configuration)
    assert crossed < 0.9 * additive
    flat = replace(
        shop.configuration,
        tastes=replace(shop.configuration.tastes, scale=0.0),
        ads=replace(shop.configuration.ads, match_boost=0.0, device_format_sd=0.0),
    )
    flat_additive, flat_crossed = _losses(flat)
    assert flat_crossed > 0.97 * flat_additive
    assert flat_additive < additive


@pytest.mark.parametrize("kind", ["abrupt", "gradual", "recurring"])
def test_drift_changes_who_likes_what(kind: str) -> None:
    """Before the drift nothing differs; later the truth does, and clicks follow it."""
    base = load("base")
    busy = replace(base, shop=replace(base.shop, sessions_per_day=2_500.0))
    steady, moving = (Shop(changed(busy, drift=each), seed=5).exposures(40_000) for each in ("none", kind))
    day = (steady.ts_ms - start_ms(base)) / DAY_MS
    assert np.array_equal(steady.ad, moving.ad)
    early = day < 0.9
    late = (day > 3.2) & (day < 3.6) if kind == "gradual" else (day > 1.6) & (day < 1.9)
    assert early.any()
    assert late.any()
    assert np.array_equal(steady.p_click[early], moving.p_click[early])
    logit_steady, logit_moving = (np.log(each.p_click[late]) for each in (steady, moving))
    assert 0.7 > np.corrcoef(logit_steady, logit_moving)[0, 1]
    assert_rates(moving.clicked, moving.p_click, np.floor(day * 4).astype(np.intp))
    if kind == "recurring":
        back = (day > 2.1) & (day < 2.4)
        assert back.any()
        assert np.array_equal(steady.p_click[back], moving.p_click[back])


def test_bots_come_on_request(shop: Shop) -> None:
    """None unless asked for; then their share, and they click what they are shown and never buy."""
    assert not shop.exposures(10_000).bot.any()
    asked = Shop(changed(shop.configuration, bots_share=0.05), shop.seed).exposures(60_000)
    bots = asked.bot
    assert_rates(asked.clicked[bots], asked.p_click[bots], np.zeros(bots.sum(), np.intp))
    assert {shop.configuration.bots.click_share} == set(asked.p_click[bots])
    assert not asked.bought[bots].any()
    assert shop.world.people > asked.user[~bots].max()


def test_bots_leave_people_as_they_are(shop: Shop) -> None:
    """Users' tastes and the catalogue are the same with and without them."""
    asked = Shop(changed(shop.configuration, bots_share=0.3), shop.seed)
    assert shop.catalog() == asked.catalog()
    assert np.array_equal(shop.world.taste, asked.world.taste)
    assert shop.world.user_ids == asked.world.user_ids


def _losses(configuration: Configuration) -> tuple[float, float]:
    """Mean divergence from the truth, on exposures not fitted to: additive features, and with crosses."""
    shop = Shop(configuration, seed=11)
    seen = shop.exposures(5 * LEARNED // 4)
    users = configuration.users
    features = [
        seen.style, seen.age, seen.device, seen.page, seen.category, seen.position, seen.ad,
    ]  # fmt: skip
    sizes = [users.styles, users.ages, len(DEVICES), len(PAGES), len(CATEGORIES), POSITIONS.max() + 1]
    sizes.append(len(shop.world.ad_ids))
    others = ((seen.style, users.styles), (seen.age, users.ages), (seen.device, len(DEVICES)))
    crosses = [seen.ad * size + words for words, size in (*others, (seen.category, len(CATEGORIES)))]
    cross_sizes = [sizes[-1] * size for size in (users.styles, users.ages, len(DEVICES), len(CATEGORIES))]
    return (
        _loss(features, sizes, seen.p_click),
        _loss([*features, *crosses], [*sizes, *cross_sizes], seen.p_click),
    )


def _loss(features: list[np.ndarray], sizes: list[int], p: np.ndarray) -> float:
    """Fit a logistic score, a weight a word, by damped diagonal Newton steps; its loss on the last fifth."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.stack([words + start for words, start in zip(features, starts, strict=False)], axis=1)
    learned, level = rows[:LEARNED], np.log(p.mean() / (1 - p.mean()))
    weights = np.zeros(starts[-1])
    for _ in range(ROUNDS):
        q = 1 / (1 + np.exp(-level - weights[learned].sum(axis=1)))
        slope = np.bincount(learned.ravel(), np.repeat(q - p[:LEARNED], rows.shape[1]), len(weights))
        curve = np.bincount(learned.ravel(), np.repeat(q * (1 - q), rows.shape[1]), len(weights))
        weights -= 0.15 * slope / (curve + 1)
    p, q = p[LEARNED:], 1 / (1 + np.exp(-level - weights[rows[LEARNED:]].sum(axis=1)))
    return float(np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))))
