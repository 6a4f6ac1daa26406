import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.delayed_feedback import DAY_MS, DelayedFeedback, unconverted_gradient


@given(st.floats(-6, 6), st.floats(-3, 3), st.floats(0, 30))
def test_the_gradient_is_that_of_the_likelihood(logit, log_hazard, age):
    """Both derivatives equal differences of -log(1 - p + p exp(-hazard age))."""

    def loss(logit, log_hazard):
        p = 1 / (1 + math.exp(-logit))
        return -math.log(1 - p + p * math.exp(-math.exp(log_hazard) * age))

    step = 1e-5
    expected = (
        (loss(logit + step, log_hazard) - loss(logit - step, log_hazard)) / (2 * step),
        (loss(logit, log_hazard + step) - loss(logit, log_hazard - step)) / (2 * step),
    )
    actual = unconverted_gradient(1 / (1 + math.exp(-logit)), math.exp(log_hazard), age)
    assert actual == pytest.approx(expected, abs=1e-5)


def rows(count):
    return np.ones(count, np.uint32), np.arange(count + 1)


def test_rate_and_delay_are_found():
    """Clicks that convert with 20%, after half a day in the mean: both come out."""
    random = np.random.default_rng(1)
    told = []
    for click in range(40_000):
        delay_ms = int(random.exponential(DAY_MS / 2)) if random.random() < 0.2 else 10 * DAY_MS
        if delay_ms > DAY_MS:
            told.append((click, False, DAY_MS, 0))
        if delay_ms <= 7 * DAY_MS:
            told.append((click, True, delay_ms, DAY_MS if delay_ms > DAY_MS else 0))
        else:
            told.append((click, False, 7 * DAY_MS, DAY_MS))
    _, labels, ages_ms, previous_ms = (np.array(column) for column in zip(*told, strict=True))
    model = DelayedFeedback(bits=2, alpha=0.5, hazard_alpha=0.2)
    model.learn_many_hashed(*rows(len(told)), labels, ages_ms, previous_ms, np.ones(len(told)))
    assert model.predict_many_hashed(*rows(1))[0] == pytest.approx(0.2, rel=0.1)
    assert model.mean_delays_s(*rows(1))[0] == pytest.approx(43_200, rel=0.15)


def test_nothing_is_learned_of_a_click_without_an_age():
    """At the click nothing is known, so nothing moves."""
    model = DelayedFeedback(bits=2)
    model.learn_many_hashed(*rows(1), np.array([False]), np.array([0]), np.array([0]), np.ones(1))
    assert not model.z.any()


def test_a_refund_takes_the_conversion_back():
    """A conversion and its refund leave p about where the whole window without one does."""
    week_ms = 7 * DAY_MS
    refunded, never = DelayedFeedback(bits=2), DelayedFeedback(bits=2)
    model_rows = rows(3)
    refunded.learn_many_hashed(
        *model_rows, np.array([False, True, True]), np.array([DAY_MS, 2 * DAY_MS, 2 * DAY_MS]),
        np.array([0, DAY_MS, week_ms]), np.array([1.0, 1.0, -1.0]),
    )  # fmt: skip
    never.learn_many_hashed(
        *rows(2), np.array([False, False]), np.array([DAY_MS, week_ms]), np.array([0, DAY_MS]), np.ones(2)
    )
    expected, actual = (model.predict_many_hashed(*rows(1))[0] for model in (never, refunded))
    assert actual == pytest.approx(expected, rel=0.05)


def test_prediction_before_learning():
    """Learning returns what predicting would have said before."""
    model = DelayedFeedback(bits=2)
    for label in (True, False, True):
        expected = model.predict_many_hashed(*rows(1))[0]
        actual = model.learn_many_hashed(
            *rows(1), np.array([label]), np.array([DAY_MS]), np.array([0]), np.ones(1)
        )[0]
        assert expected == pytest.approx(actual, abs=1e-12)
