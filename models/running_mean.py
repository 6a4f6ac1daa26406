"""The null model that every other has to beat."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from models.ftrl import Delayed


class RunningMean(base.Classifier):
    """The null model: predicts the rate of positives so far, whatever the features.

    Half a positive and half a negative are counted beforehand (Krichevsky and Trofimov 1981), so that
    the log loss is finite from the first example on.

    Parameters
    ----------
    delayed
        With ``fake_negative`` every example comes first as a negative, and the rate is that of positives
        to negatives.

    Examples
    --------
    >>> model = RunningMean()
    >>> for label in (True, False, False):
    ...     model.learn_one({}, label)
    >>> model.predict_proba_one({})
    {False: 0.625, True: 0.375}
    """

    def __init__(self, delayed: Delayed = "none") -> None:
        self.delayed: Delayed = delayed
        self.positives = 0.0
        self.trials = 0.0

    def predict_proba_one(self, x: Mapping[Hashable, Any]) -> dict[bool, float]:
        """Probability of each label."""
        p = min((self.positives + 0.5) / (self.trials + 1.0), 1.0)
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Mapping[Hashable, Any], y: bool, w: float = 1.0) -> None:
        """Count a label."""
        self.learn_many(np.array([bool(y)]), np.array([w], np.float64))

    def learn_many(self, labels: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Count ``labels``, bool[n], with ``weights``, float64[n].

        Returns what was predicted before each, float64[n].
        """
        counted = ~labels if self.delayed == "fake_negative" else np.ones_like(labels)
        positives = np.add.accumulate(np.concatenate(([self.positives], weights * labels)))
        trials = np.add.accumulate(np.concatenate(([self.trials], weights * counted)))
        self.positives, self.trials = float(positives[-1]), float(trials[-1])
        predictions: NDArray[np.float64] = np.minimum((positives[:-1] + 0.5) / (trials[:-1] + 1.0), 1.0)
        return predictions
