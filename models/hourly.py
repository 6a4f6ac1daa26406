"""Quality by model, segment and hour."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.scorecard import (
    BINS,
    COLUMNS,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LABEL,
    LOSS,
    PREDICTION,
    TRUE_POSITIVE,
    WEIGHT,
    WEIGHT_SQ,
    figures,
    tally,
)
from schemas.model import Quality, Task

HOUR_MS = 3_600_000
SEGMENTS = ("all", "own", "foreign")

Floats = NDArray[np.float64]


class HourlyQuality:
    """Scorecards of a task's models: of the running hour, and of hours that closed since they were asked for.

    The hour is that of the newest event time seen, so it never goes back, and an example that comes late
    counts in the running one.

    Parameters
    ----------
    task
        Whose examples they are.
    models
        Names, in the order in which ``update`` gets their predictions.
    threshold
        Of the probability, for precision, recall and F1.
    delayed
        Whether positives were negatives before.
    """

    def __init__(self, task: Task, models: tuple[str, ...], threshold: float, delayed: bool) -> None:
        self.task = task
        self.models = models
        self.threshold = threshold
        self.delayed = delayed
        self.hour_ms = -1
        size = len(models) * len(SEGMENTS)
        self._bins, self._sums = np.zeros((size, BINS, COLUMNS)), np.zeros((size, 4))
        self._closed: list[tuple[int, Floats, Floats]] = []

    def update(
        self,
        predictions: Floats,
        labels: NDArray[np.bool_],
        weights: Floats,
        foreign: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
    ) -> None:
        """Count n examples: ``predictions`` float64[models, n], the others [n]; ``foreign`` is 0 or 1."""
        if not labels.size:
            return
        hours = np.maximum.accumulate(np.maximum(ts_ms // HOUR_MS * HOUR_MS, self.hour_ms))
        edges = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), labels.size]
        for start, end in pairwise(edges):
            self._turn(int(hours[start]))
            part = slice(start, end)
            for number in range(len(self.models)):
                first = number * len(SEGMENTS)
                for rows in (np.full(end - start, first), first + 1 + foreign[part]):
                    tally(
                        self._bins, self._sums, rows, predictions[number, part], labels[part], weights[part],
                        self.threshold, self.delayed,
                    )  # fmt: skip

    def take_reports(self, version: int) -> Iterator[Quality]:
        """Of each hour that closed since the last call, then of the running one; without empty ones."""
        closed, self._closed = self._closed, []
        for hour_ms, bins, sums in (*closed, (self.hour_ms, self._bins, self._sums)):
            for row in range(len(bins)):
                if bins[row].any() or sums[row].any():
                    yield self._report(version, hour_ms, row, bins[row], sums[row])

    def restore(self, reports: list[Quality]) -> None:
        """Go on from ``take_reports``, once ``hour_ms`` is set; reports of other hours are passed over."""
        for report in reports:
            if report.hour_ms != self.hour_ms or report.model not in self.models:
                continue
            row = self.models.index(report.model) * len(SEGMENTS) + SEGMENTS.index(report.segment)
            bins = self._bins[row]
            for column, values in (
                (WEIGHT, report.bin_weight),
                (WEIGHT_SQ, report.bin_weight_sq),
                (PREDICTION, report.bin_prediction),
                (LABEL, report.bin_label),
            ):
                bins[report.bin, column] = values
            self._sums[row, LOSS] = report.loss_sum
            self._sums[row, TRUE_POSITIVE] = report.true_positive
            self._sums[row, FALSE_POSITIVE] = report.false_positive
            self._sums[row, FALSE_NEGATIVE] = report.false_negative

    def _turn(self, hour_ms: int) -> None:
        if hour_ms == self.hour_ms:
            return
        if self._bins.any() or self._sums.any():
            self._closed.append((self.hour_ms, self._bins.copy(), self._sums.copy()))
            self._bins[:], self._sums[:] = 0.0, 0.0
        self.hour_ms = hour_ms

    def _report(self, version: int, hour_ms: int, row: int, bins: Floats, sums: Floats) -> Quality:
        used = np.flatnonzero(bins.any(axis=1))
        columns = [bins[used, column].tolist() for column in (WEIGHT, WEIGHT_SQ, PREDICTION, LABEL)]
        return Quality(
            self.task,
            self.models[row // len(SEGMENTS)],
            SEGMENTS[row % len(SEGMENTS)],
            hour_ms,
            version,
            self.threshold,
            *figures(bins, sums),
            used.tolist(),
            *columns,
            *sums[[LOSS, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE]].tolist(),
        )
