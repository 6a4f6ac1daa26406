import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import metrics

from models.scorecard import BINS, COLUMNS, bin_of, calibration_error, figures, tally


def scored(predictions, labels, weights=None, threshold=0.1, delayed=False):
    """Bins and sums of examples."""
    bins, sums = np.zeros((1, BINS, COLUMNS)), np.zeros((1, 4))
    weights = np.ones(labels.size) if weights is None else weights
    tally(bins, sums, np.zeros(labels.size, np.int64), predictions, labels, weights, threshold, delayed)
    return bins[0], sums[0]


def outcomes(seed, count, bend=lambda p: p):
    """Predictions and labels that come at the rate ``bend`` makes of them."""
    random = np.random.default_rng(seed)
    predictions = 1.0 / (1.0 + np.exp(-random.normal(-2.5, 1.0, count)))
    return predictions, random.random(count) < bend(predictions)


def test_figures_equal_rivers():
    """Log loss, precision, recall and F1 are River's; the AUC differs by what a bin's ties can do."""
    predictions, labels = outcomes(1, 20_000)
    found = figures(*scored(predictions, labels))
    log_loss, auc = metrics.LogLoss(), metrics.RollingROCAUC(20_000)
    by_class = {"precision": metrics.Precision(), "recall": metrics.Recall(), "f1": metrics.F1()}
    for p, label in zip(predictions.tolist(), labels.tolist(), strict=True):
        log_loss.update(label, p)
        auc.update(label, p)
        for metric in by_class.values():
            metric.update(label, p >= 0.1)
    assert found.log_loss == pytest.approx(log_loss.get(), abs=1e-12)
    assert found.auc == pytest.approx(auc.get(), abs=2e-3)
    for name, metric in by_class.items():
        assert getattr(found, name) == pytest.approx(metric.get(), abs=1e-12)
    rate = labels.mean()
    entropy = -rate * math.log(rate) - (1.0 - rate) * math.log(1.0 - rate)
    assert found.relative_information_gain == pytest.approx(1.0 - log_loss.get() / entropy, abs=1e-12)
    assert found.calibration == pytest.approx(predictions.sum() / labels.sum())


@pytest.mark.parametrize("seed", range(4))
def test_a_calibrated_model_stays_within_the_noise(seed):
    """Where labels come as predicted, the debiased error is below the noise, the plain one is not 0."""
    found = figures(*scored(*outcomes(seed, 20_000)))
    assert found.ece_debiased <= found.ece_noise
    assert found.ece_debiased < found.ece


def test_a_wrong_model_is_found():
    """A model that says twice the rate has an error of half of what it says, whatever the noise."""
    predictions, labels = outcomes(5, 50_000, lambda p: p / 2.0)
    found = figures(*scored(predictions, labels))
    assert found.ece_debiased == pytest.approx(predictions.mean() / 2.0, rel=0.05)
    assert found.ece_debiased > 5.0 * found.ece_noise


def test_the_noise_is_what_it_says():
    """Of 400 calibrated models, about 3% pass the noise."""
    passed = 0
    for seed in range(400):
        _, debiased, noise = calibration_error(scored(*outcomes(seed, 2_000))[0])
        passed += debiased > noise
    assert passed <= 28


def test_a_conversion_takes_its_negative_back():
    """Under delayed labels the figures are those of the final labels, where the prediction has not moved."""
    predictions, labels = outcomes(6, 5_000)
    final = figures(*scored(predictions, labels))
    first, none = scored(predictions, np.zeros_like(labels), delayed=True)
    later, correction = scored(predictions[labels], labels[labels], delayed=True)
    delayed = figures(first + later, none + correction)
    assert np.array(final) == pytest.approx(np.array(delayed), abs=1e-9)


@given(st.floats(0.0, 1.0) | st.just(math.nan))
def test_every_prediction_has_a_bin(p):
    """Also what is certain, and NaN counts as a half."""
    bins, sums = scored(np.array([p]), np.array([True]))
    assert 1.0 == bins[32 if math.isnan(p) else bin_of(p), 3]
    assert np.isfinite(sums).all()


def test_what_is_undefined_is_none():
    """Before there is anything to divide by, a figure is None."""
    empty = figures(np.zeros((BINS, COLUMNS)), np.zeros(4))
    assert (0.0, *[None] * 11) == empty
    negative = figures(*scored(np.array([0.01]), np.array([False])))
    assert (None, None, None, None) == (
        negative.auc,
        negative.recall,
        negative.precision,
        negative.calibration,
    )
    assert -math.log(0.99) == pytest.approx(negative.log_loss)
