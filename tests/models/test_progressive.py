import math

import numpy as np
import pytest
from river import metrics

from models.progressive import Progressive
from models.running_mean import RunningMean


def random_outcomes(seed, count):
    """Predictions, labels drawn from them, and weights."""
    random = np.random.default_rng(seed)
    predictions = random.random(count)
    return predictions, random.random(count) < predictions, random.uniform(0.1, 2.0, count)


def test_figures_equal_rivers():
    """Log loss and AUC are those of River's metrics over the same examples, weighted."""
    predictions, labels, weights = random_outcomes(1, 5_000)
    progressive = Progressive("ftrl")
    log_loss, auc = metrics.LogLoss(), metrics.RollingROCAUC(10_000)
    for p, label, weight in zip(predictions.tolist(), labels.tolist(), weights.tolist(), strict=True):
        log_loss.update(label, p, weight)
        auc.update(label, p)
    progressive.update(predictions, labels, weights)
    report = progressive.report("ctr", version=5_000, ts_ms=1)
    assert report.log_loss == pytest.approx(log_loss.get(), abs=1e-12)
    assert auc.get() == report.auc
    assert report.calibration == pytest.approx((weights @ predictions) / (weights @ labels), abs=1e-12)
    assert (5_000, int(labels.sum())) == (report.examples, report.positives)


def test_certainty_is_clamped_as_by_river():
    """A certain prediction that is wrong costs what River's log loss says, not infinity."""
    progressive, log_loss = Progressive("ftrl"), metrics.LogLoss()
    progressive.update(np.array([1.0, 0.0]), np.array([False, True]), np.ones(2))
    log_loss.update(False, 1.0)
    log_loss.update(True, 0.0)
    assert progressive.report("ctr", 2, 1).log_loss == pytest.approx(log_loss.get(), abs=1e-12)


def test_a_conversion_takes_its_negative_back():
    """Under delayed labels the figures are those of the final labels, each click counted once."""
    predictions, converts, weights = random_outcomes(2, 1_000)
    final, delayed = Progressive("ftrl"), Progressive("ftrl", "fake_negative")
    final.update(predictions, converts, weights)
    delayed.update(predictions, np.zeros(1_000, np.bool_), weights)
    delayed.update(predictions[converts], converts[converts], weights[converts])
    expected, actual = final.report("cvr", 1, 1), delayed.report("cvr", 1, 1)
    assert (expected.examples, expected.positives) == (actual.examples, actual.positives)
    assert actual.log_loss == pytest.approx(expected.log_loss, abs=1e-9)
    assert actual.calibration == pytest.approx(expected.calibration, abs=1e-9)


def test_a_restored_count_goes_on_exactly():
    """What is counted after a restore ends at the figures of one that never stopped, but for the AUC."""
    before, after = random_outcomes(3, 500), random_outcomes(4, 500)
    steady, stopped, restored = Progressive("ftrl"), Progressive("ftrl"), Progressive("ftrl")
    steady.update(*before)
    steady.update(*after)
    stopped.update(*before)
    restored.restore(stopped.report("ctr", 1, 1))
    restored.update(*after)
    expected, actual = steady.report("ctr", 2, 2), restored.report("ctr", 2, 2)
    assert (expected.log_loss, expected.calibration) == (actual.log_loss, actual.calibration)
    assert (expected.examples, expected.positives) == (actual.examples, actual.positives)


def test_what_is_undefined_is_none():
    """Before there is anything to divide by, a figure is None, not a number that looks like one."""
    progressive = Progressive("ftrl")
    empty = progressive.report("ctr", -1, 0)
    assert (None, None, None) == (empty.log_loss, empty.auc, empty.calibration)
    progressive.update(np.array([0.1]), np.array([False]), np.ones(1))
    negative = progressive.report("ctr", 1, 1)
    assert (None, None) == (negative.auc, negative.calibration)
    assert -math.log(0.9) == pytest.approx(negative.log_loss)


def test_running_mean_predicts_before_it_counts():
    """In a batch, each prediction is what counting one by one would have predicted."""
    _, labels, weights = random_outcomes(5, 50)
    batch, single = RunningMean(), RunningMean()
    predictions = batch.learn_many(labels, weights)
    for label, weight, p in zip(labels.tolist(), weights.tolist(), predictions.tolist(), strict=True):
        assert single.predict_proba_one({})[True] == p
        single.learn_one({}, label, weight)
    assert (single.positives, single.trials) == (batch.positives, batch.trials)


def test_running_mean_of_delayed_labels():
    """Under delayed labels the mean is conversions by clicks, not by examples, and never above 1."""
    model = RunningMean("fake_negative")
    model.learn_one({}, True)
    assert 1.0 == model.predict_proba_one({})[True]
    model.learn_many(np.array([False, False, False, True]), np.ones(4))
    assert 2.5 / 4.0 == model.predict_proba_one({})[True]
