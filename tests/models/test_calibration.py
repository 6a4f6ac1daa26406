from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import Calibration, lines


def drawn(seed, count, segments=4):
    """Predictions, segments, labels at another rate in each segment, and weights."""
    random = np.random.default_rng(seed)
    where = random.integers(0, segments, count)
    logits = random.normal(-2.0, 1.0, count)
    truth = 1.0 / (1.0 + np.exp(-(0.7 * logits - 0.5 + 0.4 * where)))
    said = 1.0 / (1.0 + np.exp(-logits))
    return said, where, random.random(count) < truth, np.ones(count), truth


def test_each_segment_finds_its_rate():
    """After some thousand labels the predictions of each segment are near its truth."""
    said, where, labels, weights, truth = drawn(1, 40_000)
    calibrated = Calibration(memory=1_000.0).learn(said, where, labels, weights)
    late = slice(30_000, None)
    for segment in range(4):
        chosen = where[late] == segment
        assert calibrated[late][chosen].mean() == pytest.approx(truth[late][chosen].mean(), rel=0.08)
        assert (
            np.abs(calibrated - truth)[late][chosen].mean() < 0.3 * np.abs(said - truth)[late][chosen].mean()
        )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**20), st.lists(st.integers(1, 199), max_size=4))
def test_batches_leave_no_trace(seed, cuts):
    """However examples are cut into batches, state and predictions come out the same bit for bit."""
    columns = drawn(seed, 200)[:4]
    whole, cut = Calibration(), Calibration()
    expected = whole.learn(*columns)
    actual = [
        cut.learn(*(column[start:end] for column in columns))
        for start, end in pairwise(sorted({0, 200, *cuts}))
    ]
    assert expected.tobytes() == np.concatenate(actual).tobytes()
    assert whole.state.tobytes() == cut.state.tobytes()


def test_what_was_said_is_what_would_have_been_said():
    """An example is calibrated before its label is seen; scoring alone changes nothing."""
    said, where, labels, weights, _ = drawn(2, 500)
    calibration = Calibration()
    calibration.learn(said, where, labels, weights)
    before = calibration.state.copy()
    expected = calibration.predict(said[:1], where[:1])
    scored = calibration.learn(said[:1], where[:1], labels[:1], weights[:1], np.array([False]))
    assert before.tobytes() == calibration.state.tobytes()
    assert expected == scored
    assert expected == calibration.learn(said[:1], where[:1], labels[:1], weights[:1])


def test_the_line_is_the_calibration():
    """Slope and shift of a segment make the same of a logit as the calibration does."""
    said, where, labels, weights, _ = drawn(3, 5_000)
    calibration = Calibration()
    calibration.learn(said, where, labels, weights)
    logit = -2.5
    for segment, (slope, shift) in enumerate(lines(calibration.state)[:4]):
        [p] = calibration.predict(np.array([1.0 / (1.0 + np.exp(-logit))]), np.array([segment]))
        assert p == pytest.approx(1.0 / (1.0 + np.exp(-(slope * logit + shift))), rel=1e-12)
        assert slope > 0.0


@pytest.mark.parametrize("p", [0.0, 1.0, np.nan, 1e-300])
@pytest.mark.parametrize("weight", [1.0, -1.0, 1e6, -1e6])
def test_nothing_leaves_the_range(p, weight):
    """Certain or missing predictions and extreme weights leave finite numbers and a probability."""
    calibration = Calibration()
    for label in (True, False) * 20:
        calibration.learn(np.array([p]), np.array([0]), np.array([label]), np.array([weight]))
    assert np.isfinite(calibration.state).all()
    [calibrated] = calibration.predict(np.array([0.1]), np.array([0]))
    assert 0.0 <= calibrated <= 1.0


def test_delayed_labels_reach_the_rate_of_the_final_ones():
    """Where each conversion comes as a negative first, the calibration ends near the rate of conversions."""
    random = np.random.default_rng(4)
    converts = random.random(20_000) < 0.1
    labels = np.concatenate([[False, True] if each else [False] for each in converts])
    calibration = Calibration(delayed=True, memory=1_000.0)
    said = np.full(labels.size, 0.3)
    calibrated = calibration.learn(said, np.zeros(labels.size, np.int64), labels, np.ones(labels.size))
    assert calibrated[-5_000:].mean() == pytest.approx(0.1, rel=0.1)


def test_an_unknown_segment_is_refused():
    """A segment without a row raises, since kernels do not check bounds."""
    with pytest.raises(ValueError, match="Expected segments from 0 to 63, got 64 to 64"):
        Calibration().predict(np.array([0.1]), np.array([64]))
