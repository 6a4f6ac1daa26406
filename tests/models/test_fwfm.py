import math

import numpy as np
import pytest

from models.ftrl import FTRLProximal
from models.fwfm import FwFM, initial_factors

LINEAR = {"alpha": 0.1, "beta": 1.0, "l1": 0.05, "l2": 1.0}
FACTORISED = {"factor_alpha": 0.1, "factor_beta": 0.2, "factor_l2": 0.01}


class TranscribedFwFM:
    """Equation 6 of Pan et al. 2018 by double loops, weights by McMahan et al. 2013, the rest by AdaGrad."""

    def __init__(self, model):
        self.model = model
        self.z, self.n = np.zeros(1 << model.bits), np.zeros(1 << model.bits)
        self.v = initial_factors(model.bits, model.factors, model.scale, model.seed).copy()
        self.v_n = np.zeros_like(self.v)
        self.r = np.full((model.fields, model.fields), model.strength)
        self.r_n = np.zeros_like(self.r)

    def weight(self, i):
        model = self.model
        if abs(self.z[i]) <= model.l1:
            return 0.0
        rate = (model.beta + math.sqrt(self.n[i])) / model.alpha + model.l2
        return -(self.z[i] - math.copysign(model.l1, self.z[i])) / rate

    def learn(self, row, y, importance=1.0):
        model, v, r = self.model, self.v, self.r
        pairs = [(i, j) for i in range(len(row)) for j in range(i + 1, len(row))]
        weights = [self.weight(bucket) for bucket in row]
        logit = sum(weights) + sum(r[i, j] * (v[row[i]] @ v[row[j]]) for i, j in pairs)
        p = 1.0 / (1.0 + math.exp(-logit))
        error = (p - y) * importance
        slopes = {i: np.zeros(model.factors) for i in range(len(row))}
        for i, j in pairs:
            slopes[i] += r[i, j] * v[row[j]]
            slopes[j] += r[i, j] * v[row[i]]
        products = {(i, j): v[row[i]] @ v[row[j]] for i, j in pairs}
        for i, bucket in enumerate(row):
            sigma = (math.sqrt(self.n[bucket] + error**2) - math.sqrt(self.n[bucket])) / model.alpha
            self.z[bucket] += error - sigma * weights[i]
            self.n[bucket] += error**2
            gradient = error * slopes[i] + model.factor_l2 * importance * v[bucket]
            self.v_n[bucket] += gradient**2
            v[bucket] -= model.factor_alpha / (model.factor_beta + np.sqrt(self.v_n[bucket])) * gradient
        for (i, j), product in products.items():
            gradient = error * product
            self.r_n[i, j] += gradient**2
            r[i, j] -= model.factor_alpha / (model.factor_beta + math.sqrt(self.r_n[i, j])) * gradient
        return p


def product_rows(seed, examples, fields=6, values=40):
    """Rows of one value a field, the label drawn from a product of latent factors of the first two."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, values, (examples, fields)) + values * np.arange(fields)
    taste = random.normal(0, 1.5, (2 * values, 2))
    logits = (taste[rows[:, 0]] * taste[rows[:, 1]]).sum(axis=1) - 1.0
    labels = random.random(examples) < 1 / (1 + np.exp(-logits))
    return rows.astype(np.uint32), np.arange(examples + 1) * fields, labels


def log_loss(predictions, labels):
    return -np.mean(np.log(np.where(labels, predictions, 1 - predictions)))


def test_equals_the_transcription():
    """After 1,000 examples predictions and every parameter are the transcription's within 1e-9."""
    rows, offsets, labels = product_rows(1, 1_000)
    model = FwFM(bits=8, fields=6, factors=3, scale=0.2, seed=5, strength=0.7, **LINEAR, **FACTORISED)
    transcribed = TranscribedFwFM(model)
    weights = np.random.default_rng(2).choice([1.0, 0.3, 2.0, -0.5], 1_000)
    expected = [transcribed.learn(row, y, w) for row, y, w in zip(rows, labels, weights, strict=True)]
    actual = model.learn_many_hashed(rows.ravel(), offsets, labels, weights)
    assert np.abs(actual - expected).max() <= 1e-9
    assert np.abs(model.v - transcribed.v).max() <= 1e-9
    assert np.abs(model.r - transcribed.r).max() <= 1e-9
    assert np.abs(model.z - transcribed.z).max() <= 1e-9
    assert 0 == model.rejected


def test_a_dictionary_learns_what_a_row_learns():
    """Fields by name and fields by place are two ways into the same arithmetic."""
    names = [f"name-{i}" for i in range(5)]
    by_name, by_place = FwFM(bits=10, fields=512), FwFM(bits=10, fields=512)
    probe = by_name.clone()
    probe.learn_one(dict.fromkeys(names, 1.0), True)
    buckets = probe.occupied()  # in ascending order, as a dictionary's features are taken
    for label in (True, False, False, True):
        by_name.learn_one(dict.fromkeys(names, 1.0), label)
        by_place.learn_many_hashed(buckets, np.array([0, 5]), np.array([label]), np.ones(1))
    assert by_name.z.tobytes() == by_place.z.tobytes()
    assert by_name.v.tobytes() == by_place.v.tobytes()
    assert sorted(by_name.r[by_name.r_n != 0.0]) == sorted(by_place.r[by_place.r_n != 0.0])


def test_products_are_learned():
    """Where the label is a product of two fields it beats the linear model by far, and knows which two."""
    rows, offsets, labels = product_rows(3, 30_000)
    rows_of = rows.ravel(), offsets, labels, np.ones(labels.size)
    model = FwFM(bits=8, fields=6)
    factorised = log_loss(model.learn_many_hashed(*rows_of)[15_000:], labels[15_000:])
    linear = log_loss(FTRLProximal(bits=8).learn_many_hashed(*rows_of)[15_000:], labels[15_000:])
    assert factorised < 0.8 * linear
    strength = np.abs(np.triu(model.r, 1))
    sizes = np.array([np.sqrt((model.v[40 * i : 40 * i + 40] ** 2).mean()) for i in range(6)])
    weighted = strength * np.outer(sizes, sizes)
    assert (0, 1) == np.unravel_index(weighted.argmax(), weighted.shape)


def test_without_factors_to_begin_with_it_is_ftrl():
    """With a scale of 0 no product has a slope: predictions are those of FTRL, bit for bit."""
    rows, offsets, labels = product_rows(4, 500)
    rows_of = rows.ravel(), offsets, labels, np.ones(500)
    expected = FTRLProximal(bits=8, **LINEAR).learn_many_hashed(*rows_of)
    actual = FwFM(bits=8, scale=0.0, **LINEAR).learn_many_hashed(*rows_of)
    assert expected.tobytes() == actual.tobytes()


def test_factors_are_drawn_by_bucket():
    """The order in which buckets are met has no effect on their first factors; another seed has."""
    first, second = FwFM(bits=6, seed=3), FwFM(bits=6, seed=3)
    second.learn_many_hashed(np.array([9, 2], np.uint32), np.array([0, 2]), np.array([True]), np.ones(1))
    untouched = np.setdiff1d(np.arange(64), [2, 9])
    assert first.v[untouched].tobytes() == second.v[untouched].tobytes()
    assert not np.array_equal(first.v, FwFM(bits=6, seed=4).v)


def test_factors_are_uniform():
    """First factors fill the range that they are drawn from evenly."""
    drawn = initial_factors(12, 4, 0.5, seed=1).ravel()
    assert np.abs(drawn).max() <= 0.5
    assert np.abs(np.histogram(drawn, 8, (-0.5, 0.5))[0] / drawn.size - 1 / 8).max() < 0.01


def test_float32_is_close():
    """Kept as float32, no prediction of 5,000 is off by more than 1e-4."""
    rows, offsets, labels = product_rows(6, 5_000)
    rows_of = rows.ravel(), offsets, labels, np.ones(5_000)
    expected = FwFM(bits=8).learn_many_hashed(*rows_of)
    model = FwFM(bits=8, storage="float32")
    actual = model.learn_many_hashed(*rows_of)
    assert 0.0 < np.abs(expected - actual).max() <= 1e-4
    assert np.float32 == model.v.dtype


def test_updates_beyond_bounds_are_undone():
    """A coordinate that an update would drive out of its bounds stays as it was and is counted."""
    model = FwFM(bits=4, factor_l2=1e6, factor_alpha=1e6)
    row = np.array([1, 2], np.uint32), np.array([0, 2]), np.array([True])
    model.v[1] = 9e5
    model.learn_many_hashed(*row, np.array([-1.0]))
    assert 9e5 == model.v[1, 0]
    assert model.rejected > 0


def logit_of(model, row):
    p = model.predict_many_hashed(row, np.array([0, row.size]))[0]
    return math.log(p / (1.0 - p))


def test_the_variance_of_a_logit_is_by_its_slopes():
    """It is the sum over coordinates of the squared slope, by finite differences, times the variance."""
    rows, offsets, labels = product_rows(7, 400)
    model = FwFM(bits=8, fields=6, scale=0.5, strength=1.0, **FACTORISED)
    model.learn_many_hashed(rows.ravel(), offsets, labels, np.ones(400))
    row = rows[0]
    expected = sum(1.0 / (model.beta / model.alpha + model.l2 + model.n[bucket]) for bucket in row)
    coordinates = [(model.v, model.v_n, (bucket, d)) for bucket in row for d in range(4)]
    coordinates += [(model.r, model.r_n, (i, j)) for i in range(6) for j in range(i + 1, 6)]
    for array, squares, at in coordinates:
        kept, sides = array[at], []
        for step in (1e-4, -1e-4):
            array[at] = kept + step
            sides.append(logit_of(model, row))
        array[at] = kept
        slope = (sides[0] - sides[1]) / 2e-4
        expected += slope**2 / (model.factor_beta / model.factor_alpha + squares[at])
    actual = model.logit_variances_many_hashed(row, np.array([0, 6]))[0]
    assert expected == pytest.approx(actual, rel=1e-6)
    assert expected > 1.2 * sum(1.0 / (model.beta / model.alpha + model.l2 + model.n[row]))


def test_without_factors_the_uncertainty_is_ftrls():
    """Where factors are 0 the variance of a logit is the linear weights' alone."""
    rows, offsets, labels = product_rows(8, 200)
    linear, model = FTRLProximal(bits=8, **LINEAR), FwFM(bits=8, scale=0.0, **LINEAR)
    for learner in (linear, model):
        learner.learn_many_hashed(rows.ravel(), offsets, labels, np.ones(200))
    expected = linear.logit_variances_many_hashed(rows.ravel(), offsets)
    assert expected == pytest.approx(model.logit_variances_many_hashed(rows.ravel(), offsets))


def test_fake_negatives_converge_to_the_conversion_rate():
    """Where each conversion is one negative and then one positive, p converges to conversions / clicks."""
    labels = np.concatenate([[False, True] if i % 10 == 0 else [False] for i in range(30_000)])
    rows = np.tile(np.array([1, 2], np.uint32), labels.size), np.arange(labels.size + 1) * 2
    model = FwFM(bits=4, alpha=0.5, delayed="fake_negative")
    predictions = model.learn_many_hashed(*rows, labels, np.ones(labels.size))
    assert predictions[labels.size // 2 :].mean() == pytest.approx(0.1, rel=0.03)


def test_rows_longer_than_the_fields_are_refused():
    """A row of more features than there are fields raises before anything is learned."""
    with pytest.raises(ValueError, match="Expected rows of at most 2 features, got 3"):
        FwFM(bits=4, fields=2).predict_many_hashed(np.array([1, 2, 3], np.uint32), np.array([0, 3]))


@pytest.mark.parametrize(
    "settings",
    [
        {"fields": 0},
        {"factors": 0},
        {"factors": 65},
        {"factor_alpha": 0.0},
        {"factor_beta": math.nan},
        {"factor_l2": -1.0},
        {"scale": 2.0},
        {"strength": -0.1},
        {"alpha": 0.0},
        {"storage": "float16"},
    ],
)
def test_unusable_settings_are_refused(settings):
    """Settings out of range raise."""
    with pytest.raises(ValueError, match="Expected"):
        FwFM(bits=4, **settings)
