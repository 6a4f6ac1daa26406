"""Progressive evaluation: every example is predicted before it is learned, and counted."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from river import metrics

from models.ftrl import Delayed
from schemas.model import Progress, Task

AUC_WINDOW = 10_000  # examples; at a click rate of 1% still a hundred positives
SMALLEST_P = 1e-15  # where River's metrics clamp a probability


@njit(cache=True, nogil=True)
def _count(sums, predictions, labels, weights, delayed):  # type: ignore[no-untyped-def]
    for i in range(predictions.size):
        p = min(max(predictions[i], SMALLEST_P), 1.0 - SMALLEST_P)
        w = weights[i]
        if labels[i]:
            sums[1] -= w * math.log(p)
            sums[3] += w
            if delayed:
                sums[1] += w * math.log(1.0 - p)
                continue
        else:
            sums[1] -= w * math.log(1.0 - p)
        sums[0] += w
        sums[2] += w * predictions[i]


class Progressive:
    """Log loss and calibration over all examples that it is given, AUC over the newest 10,000.

    Log loss equals ``river.metrics.LogLoss``, which has no sums to go on from after a restart; the AUC is
    ``river.metrics.RollingROCAUC``.

    With ``delayed="fake_negative"`` an example is a click, counted as a negative when it comes; its
    conversion takes that loss back and adds the positive's, so that log loss and calibration are those of
    the final labels. The AUC counts such a click under both labels, which draws it towards 0.5.

    Parameters
    ----------
    model
        The name it is published under.
    delayed
        How labels come, as for ``models.ftrl.FTRLProximal``.
    scored_share
        Share of the examples that are given to it.
    learned_share
        Share of the examples that the model learns from.
    """

    def __init__(
        self, model: str, delayed: Delayed = "none", scored_share: float = 1.0, learned_share: float = 1.0
    ) -> None:
        self.model = model
        self.delayed = delayed
        self.scored_share = scored_share
        self.learned_share = learned_share
        self.examples = 0
        self.positives = 0
        self._sums = np.zeros(4)  # weight, loss, prediction, label
        self._rolling = metrics.RollingROCAUC(AUC_WINDOW)
        self._auc = 0.0

    def update(
        self, predictions: NDArray[np.float64], labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> None:
        """Count n examples: ``predictions`` float64[n], ``labels`` bool[n], ``weights`` float64[n].

        A weight below 0 takes an example back: what its label had added, at today's prediction.
        """
        delayed = self.delayed == "fake_negative"
        _count(self._sums, predictions, labels, weights, delayed)
        sign = np.where(weights < 0.0, -1, 1)
        self.positives += int(sign[labels].sum())
        self.examples += int(sign[~labels].sum() if delayed else sign.sum())
        kept = weights >= 0.0
        for label, p in zip(labels[kept].tolist(), predictions[kept].tolist(), strict=True):
            self._rolling.update(label, p)
        self._auc = self._rolling.get()  # River keeps every update until it is asked

    def report(self, task: Task, version: int, ts_ms: int) -> Progress:
        """What is known at ``version``, with the sums that ``restore`` goes on from."""
        weight, loss, prediction, label = self._sums.tolist()
        return Progress(
            task=task,
            model=self.model,
            version=version,
            ts_ms=ts_ms,
            examples=self.examples,
            positives=self.positives,
            log_loss=loss / weight if weight > 0.0 else None,
            auc=self._auc or None,  # River says 0 where the window holds one label only
            calibration=prediction / label if label > 0.0 else None,
            scored_share=self.scored_share,
            learned_share=self.learned_share,
            weight_sum=weight,
            loss_sum=loss,
            prediction_sum=prediction,
            label_sum=label,
        )

    def restore(self, progress: Progress) -> None:
        """Go on from a report; the AUC starts anew."""
        self.examples = progress.examples
        self.positives = progress.positives
        self._sums[:] = (
            progress.weight_sum,
            progress.loss_sum,
            progress.prediction_sum,
            progress.label_sum,
        )
