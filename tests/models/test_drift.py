import numpy as np
import pytest

from models.drift import BLOCK, LONGEST, DriftDetector


def stream(seed, rates, each=20_000):
    """Labels at one rate after the other, and a constant prediction."""
    random = np.random.default_rng(seed)
    labels = random.random(each * len(rates)) < np.repeat(rates, each)
    return np.full(labels.size, rates[0]), labels


@pytest.mark.parametrize("seed", range(3))
def test_a_rise_of_the_loss_is_a_drift(seed):
    """It is found after it came, and not before."""
    found = DriftDetector().update(*stream(seed, [0.05, 0.2]))
    assert found
    assert 20_000 < found[0] < 26_000


def test_a_fall_of_the_loss_is_none():
    """A model that gets better moves the window and raises nothing."""
    predictions, labels = stream(4, [0.2, 0.02])
    assert [] == DriftDetector().update(predictions, labels)


def test_a_restored_detector_goes_on_exactly():
    """Through restarts, also where it begins anew, it finds what one finds that never stops."""
    predictions, labels = stream(5, [0.05, 0.1, 0.05, 0.2], (LONGEST + 400) * BLOCK // 4)
    steady, restarted = DriftDetector(), DriftDetector()
    expected = steady.update(predictions, labels)
    actual = []
    for start in range(0, labels.size, 7_777):
        part = slice(start, start + 7_777)
        actual += [start + index for index in restarted.update(predictions[part], labels[part])]
        state, restarted = restarted.state(), DriftDetector()
        restarted.restore(*state)
    assert expected == actual
    assert steady.state() == restarted.state()
    assert len(steady.blocks) <= LONGEST
