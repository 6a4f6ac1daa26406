import math

import numpy as np
import pytest

from models.cold_start import SmoothedAds
from models.ftrl import FTRLProximal

BIAS, CATEGORY, OLD_ADS = 0, 1, 8


def shop(seed, count, bits=6, ads=12):
    """Rows of bias, category and ad; clicks by the ad, whose log odds differ by 0.7."""
    random = np.random.default_rng(seed)
    ad = random.integers(0, ads, count)
    rows = np.stack([np.zeros(count), 1 + ad % 2, 10 + ad], axis=1).astype(np.uint32)
    truth = 1 / (1 + np.exp(2.5 - 0.7 * np.random.default_rng(0).standard_normal(ads)))[ad]
    return rows, truth, random.random(count) < truth


def test_without_prior_spread_it_is_ftrl() -> None:
    """A prior that allows no difference leaves what FTRL-Proximal says."""
    rows, _, clicked = shop(1, 500)
    plain, smoothed = FTRLProximal(bits=6), SmoothedAds(FTRLProximal(bits=6), field=2, spread=1e-9)
    expected = plain.learn_many_hashed(rows.ravel(), np.arange(0, rows.size + 1, 3), clicked, np.ones(500))
    assert expected == pytest.approx(smoothed.learn_many_hashed(rows, clicked, np.ones(500)), abs=1e-9)


def test_an_ad_is_learned_as_fast_as_its_evidence_is_worth() -> None:
    """After 150 exposures each the smoothed model is much nearer to the truth than FTRL alone."""
    errors = []
    for seed in range(3):
        rows, truth, clicked = shop(seed, 1800)
        plain, smoothed = FTRLProximal(bits=6), SmoothedAds(FTRLProximal(bits=6), field=2)
        ftrl = plain.learn_many_hashed(rows.ravel(), np.arange(0, rows.size + 1, 3), clicked, np.ones(1800))
        both = ftrl, smoothed.learn_many_hashed(rows, clicked, np.ones(1800))
        errors.append([np.abs(np.log(p / truth))[900:].mean() for p in both])
    ftrl_error, smoothed_error = np.mean(errors, axis=0)
    assert smoothed_error < 0.8 * ftrl_error


def test_a_new_ad_starts_from_its_like() -> None:
    """Before its first exposure it has the probability of its category, and the prior's variance."""
    rows, _, clicked = shop(1, 3000)
    model = SmoothedAds(FTRLProximal(bits=6), field=2)
    model.learn_many_hashed(rows, clicked, np.ones(3000))
    table = model.weights()
    new = np.array([0, 1, 40], np.uint32)
    assert table[new].sum() == table[new[:2]].sum()
    assert 0.0 == model.information[40]


def test_what_is_served_is_one_table() -> None:
    """The sum of the weights is the logit of what the next example is predicted with."""
    rows, _, clicked = shop(2, 800)
    model = SmoothedAds(FTRLProximal(bits=6), field=2)
    model.learn_many_hashed(rows, clicked, np.ones(800))
    logit = model.weights()[rows[0]].sum()
    p = model.learn_many_hashed(rows[:1], clicked[:1], np.ones(1))[0]
    assert p == pytest.approx(1 / (1 + math.exp(-logit)))


def test_batches_equal_one_by_one() -> None:
    """However a stream is cut, state and predictions are the same bit for bit."""
    rows, _, clicked = shop(3, 300)
    whole, cut = (SmoothedAds(FTRLProximal(bits=6), field=2) for _ in range(2))
    expected = whole.learn_many_hashed(rows, clicked, np.ones(300))
    parts = [
        cut.learn_many_hashed(rows[start:end], clicked[start:end], np.ones(end - start))
        for start, end in ((0, 7), (7, 150), (150, 300))
    ]
    assert expected.tobytes() == np.concatenate(parts).tobytes()
    assert whole.mean.tobytes() == cut.mean.tobytes()
    assert whole.model.z.tobytes() == cut.model.z.tobytes()


def test_unusable_input_is_refused() -> None:
    """Before anything is touched."""
    model = SmoothedAds(FTRLProximal(bits=4), field=0)
    rows = np.array([[99]], np.uint32)
    with pytest.raises(ValueError, match="Expected buckets below 16, got 99"):
        model.learn_many_hashed(rows, np.array([True]), np.ones(1))
    with pytest.raises(ValueError, match="Expected 1 labels and weights, got 2 and 1"):
        model.learn_many_hashed(rows, np.array([True, True]), np.ones(1))
    with pytest.raises(ValueError, match="Expected a spread above 0"):
        SmoothedAds(FTRLProximal(bits=4), field=0, spread=0.0)
