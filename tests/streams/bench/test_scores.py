"""The arithmetic of the quality benchmarks."""

import numpy as np
import pytest
from river import metrics

from streams.bench.scores import (
    auc,
    divergences,
    losses,
    over_blocks,
    over_orders,
    relative_information_gain,
)


def outcomes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities in steps, so that there are ties, and labels drawn from them."""
    random = np.random.default_rng(seed)
    predictions = random.integers(0, 21, count) / 20
    return predictions, random.random(count) < predictions


def test_log_loss_equals_rivers() -> None:
    """Log loss is that of River's metric, certain predictions included."""
    predictions, labels = outcomes(1, 2_000)
    predictions[:2] = 0.0, 1.0
    labels[:2] = True, False
    log_loss = metrics.LogLoss()
    for p, label in zip(predictions.tolist(), labels.tolist(), strict=True):
        log_loss.update(label, p)
    assert log_loss.get() == pytest.approx(losses(predictions, labels).mean(), abs=1e-12)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    """Of all pairs of a positive and a negative, those in order, ties half."""
    predictions, labels = outcomes(1, 300)
    apart = predictions[labels][:, None] - predictions[~labels][None, :]
    expected = (apart > 0).mean() + (apart == 0).mean() / 2
    assert expected == pytest.approx(auc(predictions, labels), abs=1e-12)


def test_one_label_has_no_auc() -> None:
    """Where nothing can be told apart the area is not a number."""
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([False, False])))


def test_gain_is_relative_to_the_rate() -> None:
    """Who predicts the rate gains nothing, who is right gains nearly everything, who is wrong loses."""
    labels = np.array([True, False, False, False])
    assert relative_information_gain(losses(np.full(4, 0.25), labels).mean(), labels) == pytest.approx(0.0)
    right = losses(labels.astype(float), labels).mean()
    assert relative_information_gain(right, labels) == pytest.approx(1.0)
    assert relative_information_gain(losses(np.full(4, 0.9), labels).mean(), labels) < 0.0


def test_divergence_is_the_loss_beyond_the_truths() -> None:
    """On average a prediction costs its divergence more than the true probability does."""
    random = np.random.default_rng(2)
    truth, predictions = random.random(200_000), random.random(200_000)
    labels = random.random(200_000) < truth
    beyond = losses(predictions, labels) - losses(truth, labels)
    assert beyond.mean() == pytest.approx(divergences(predictions, truth).mean(), rel=0.02)


def test_intervals_over_orders_hold_the_mean_as_often_as_they_say() -> None:
    """Of 2,000 samples of 20 normal values, 95% have an interval that holds the true mean."""
    samples = np.random.default_rng(3).normal(5.0, 2.0, (2_000, 20))
    held = [interval.low <= 5.0 <= interval.high for interval in map(over_orders, samples)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_blocks_keep_neighbours_together() -> None:
    """Where neighbours are alike, blocks give the interval its width; single values are too sure."""
    random = np.random.default_rng(4)
    values = np.repeat(random.normal(0.0, 1.0, 100), 50)
    wide, narrow = over_blocks(values, 50, seed=1), over_blocks(values, 1, seed=1)
    assert values.mean() == pytest.approx(wide.mean)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.1)
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(5_000), rel=0.1)


def test_the_last_block_may_be_shorter() -> None:
    """No value is left out."""
    assert over_blocks(np.array([1.0, 1.0, 1.0, 1.0, 6.0]), 2, seed=1).mean == 2.0
