"""What a worker scores with, beside the weights that ``test_learner`` follows."""

import numpy as np
import pytest

from models.calibration import OWN_SEGMENTS, Calibration
from models.serving import ServingWeights
from schemas.model import Calibrated


@pytest.fixture
def calibration() -> Calibration:
    """One that has learned that all is said too high, and most so in segment 3."""
    random = np.random.default_rng(1)
    made = Calibration()
    segments = np.repeat([3, 4, OWN_SEGMENTS + 5], 5000)
    rates = np.where(segments == 3, 0.02, 0.1)
    made.learn(
        np.full(segments.size, 0.2), segments, random.random(segments.size) < rates, np.ones(segments.size)
    )
    return made


def test_a_prediction_is_bent_as_the_learner_bends_it(calibration: Calibration) -> None:
    """The line of a slot's segment gives what the learner's calibration says, to a millionth."""
    serving = ServingWeights("ctr", bits=8)
    assert not serving.apply(Calibrated("ctr", 7, calibration.segments, calibration.state.tobytes()))
    segments = np.arange(OWN_SEGMENTS)
    logits = np.linspace(-6.0, 2.0, OWN_SEGMENTS)
    slopes, shifts = serving.lines.T
    np.testing.assert_allclose(
        1.0 / (1.0 + np.exp(-(slopes * logits + shifts))),
        calibration.predict(1.0 / (1.0 + np.exp(-logits)), segments),
        atol=2e-6,
    )
    assert abs(shifts[3] - shifts[4]) > 0.5


def test_another_tasks_calibration_changes_nothing(calibration: Calibration) -> None:
    """Clicks are not bent to the rate of orders."""
    serving = ServingWeights("ctr", bits=8)
    serving.apply(Calibrated("cvr", 7, calibration.segments, calibration.state.tobytes()))
    assert [[1.0, 0.0]] * OWN_SEGMENTS == serving.lines.tolist()
