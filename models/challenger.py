"""The standing challenger: River's own logistic regression on a sample of the examples."""

from collections.abc import Sequence

import numpy as np
from river import linear_model

from models.ftrl import Delayed, fake_negative_weight
from models.parts import Kind, bucket_array, float_array, linear_parts
from schemas.model import LinearWeights, Task


class Challenger:
    """``river.linear_model.LogisticRegression`` as it ships (SGD, step 0.01), over buckets with the value 1.

    A bucket that occurs twice in an example counts once: River's features are a dictionary.
    ``fake_negative`` is as for ``models.ftrl.FTRLProximal``.
    """

    def __init__(self, delayed: Delayed = "none") -> None:
        self.delayed = delayed
        self.model = linear_model.LogisticRegression()
        self._touched: dict[int, None] = {}

    def learn(self, buckets: Sequence[int], label: bool, weight: float) -> float:
        """Learn an example; returns what was predicted before."""
        x = dict.fromkeys(buckets, 1.0)
        p: float = self.model.predict_proba_one(x)[True]
        if self.delayed == "fake_negative":
            weight *= fake_negative_weight(p, label)
        self.model.learn_one(x, label, weight)
        self._touched.update(dict.fromkeys(buckets))
        return p

    def take_parts(self, task: Task, kind: Kind, version: int, follows: int) -> list[LinearWeights]:
        """The whole state, or what changed since the last call."""
        weights = self.model.weights
        # In the model's own order of buckets, which its floating-point sums depend on.
        chosen = list(weights if kind == "snapshot" else self._touched)
        self._touched.clear()
        return list(
            linear_parts(
                np.array(chosen, np.uint32),
                np.array([weights[bucket] for bucket in chosen], np.float64),
                self.model.intercept,
                self.model.optimizer.n_iterations,
                task,
                kind,
                version,
                follows,
            )
        )

    def restore(self, parts: list[LinearWeights]) -> None:
        """Lay a complete version over the state."""
        if parts[0].kind == "snapshot":
            self.model = self.model.clone()
        for part in parts:
            buckets, weights = bucket_array(part).tolist(), float_array(part.weights).tolist()
            # River has no public setter of weights; its version is pinned.
            self.model._weights.update(dict(zip(buckets, weights, strict=True)))
            self.model.intercept = part.intercept
            self.model.optimizer.n_iterations = part.steps
