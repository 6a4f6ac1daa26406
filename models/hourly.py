"""Quality by model, hour and segment: all, source, and slot of the source."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.calibration import OWN_SEGMENTS, SEGMENTS
from models.parts import to_bytes
from models.scorecard import (
    BINS,
    COLUMNS,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LABEL,
    LOSS,
    PREDICTION,
    SUMS,
    TRUE_POSITIVE,
    WEIGHT,
    WEIGHT_SQ,
    figures,
    tally,
)
from schemas.model import Quality, Task

HOUR_MS = 3_600_000
TOTALS = {
    "all": np.arange(SEGMENTS),
    "own": np.arange(OWN_SEGMENTS),
    "foreign": np.arange(OWN_SEGMENTS, SEGMENTS),
}
"""Segments that are summed up."""

Floats = NDArray[np.float64]


def segment_name(segment: int) -> str:
    """Of a segment of the calibration (``models.watch.segments_of``).

    >>> segment_name(5), segment_name(37)
    ('own-slot-5', 'foreign-slot-5')
    """
    source = "own" if segment < OWN_SEGMENTS else "foreign"
    return f"{source}-slot-{segment % OWN_SEGMENTS}"


class HourlyQuality:
    """Scorecards of a task's models: of the running hour, and of hours that closed since they were asked for.

    The hour is that of the newest event time seen, so it never goes back, and an example that comes late
    counts in the running one. An example counts in its segment alone, those of the calibration; what is said
    of a source or of all is the sum of its segments.

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
        rows = len(models) * SEGMENTS
        self._running = np.zeros(rows * (BINS * COLUMNS + SUMS))
        self._bins, self._sums = _scorecards(self._running, rows)
        self._closed: list[tuple[int, NDArray[np.int64], Floats]] = []

    def update(
        self,
        predictions: Floats,
        labels: NDArray[np.bool_],
        weights: Floats,
        segments: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
    ) -> None:
        """Count n examples: ``predictions`` float64[models, n], the others [n]."""
        if not labels.size:
            return
        hours = np.maximum.accumulate(np.maximum(ts_ms // HOUR_MS * HOUR_MS, self.hour_ms))
        edges = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), labels.size]
        for start, end in pairwise(edges):
            self._turn(int(hours[start]))
            part = slice(start, end)
            for number in range(len(self.models)):
                tally(
                    self._bins, self._sums, number * SEGMENTS + segments[part], predictions[number, part],
                    labels[part], weights[part], self.threshold, self.delayed,
                )  # fmt: skip

    def take_reports(self, version: int, by_slot: bool = True) -> Iterator[Quality]:
        """Of each hour that closed since the last call, then of the running one; without empty ones.

        Of the running hour those of slots are left out unless ``by_slot``: they cost most.
        """
        closed, self._closed = self._closed, []
        for hour_ms, places, values in closed:
            whole = np.zeros(self._running.size)
            whole[places] = values
            yield from self._reports(version, hour_ms, *_scorecards(whole, len(self._bins)), by_slot=True)
        yield from self._reports(version, self.hour_ms, self._bins, self._sums, by_slot)

    def state(self) -> tuple[bytes, bytes]:
        """What of the running hour is not 0: places, uint32, and values, float64; for ``restore``."""
        places = np.flatnonzero(self._running)
        return to_bytes(places.astype(np.uint32), "<u4"), to_bytes(self._running[places], "<f8")

    def restore(self, hour_ms: int, places: bytes, values: bytes) -> None:
        """Go on from the ``state`` of an hour. Raises ValueError where a place lies beyond this one's."""
        found = np.frombuffer(places, "<u4")
        if found.size and found.max() >= self._running.size:
            raise ValueError(f"Expected places below {self._running.size}, got {found.max()}")
        self.hour_ms = hour_ms
        self._running.fill(0.0)
        self._running[found] = np.frombuffer(values, "<f8")

    def _turn(self, hour_ms: int) -> None:
        if hour_ms == self.hour_ms:
            return
        places = np.flatnonzero(self._running)
        if places.size:
            self._closed.append((self.hour_ms, places, self._running[places]))
            self._running.fill(0.0)
        self.hour_ms = hour_ms

    def _reports(
        self, version: int, hour_ms: int, bins: Floats, sums: Floats, by_slot: bool
    ) -> Iterator[Quality]:
        used: NDArray[np.bool_] = np.logical_or(bins.any(axis=(1, 2)), sums.any(axis=1))
        for number, model in enumerate(self.models):
            first = number * SEGMENTS
            for name, segments in TOTALS.items():
                chosen = first + segments[used[first + segments]]
                if chosen.size:
                    total = bins[chosen].sum(axis=0), sums[chosen].sum(axis=0)
                    yield self._report(version, hour_ms, model, name, *total)
            if by_slot:
                for segment in np.flatnonzero(used[first : first + SEGMENTS]).tolist():
                    row = first + segment
                    yield self._report(version, hour_ms, model, segment_name(segment), bins[row], sums[row])

    def _report(
        self, version: int, hour_ms: int, model: str, segment: str, bins: Floats, sums: Floats
    ) -> Quality:
        used = np.flatnonzero(bins.any(axis=1))
        columns = [bins[used, column].tolist() for column in (WEIGHT, WEIGHT_SQ, PREDICTION, LABEL)]
        return Quality(
            self.task,
            model,
            segment,
            hour_ms,
            version,
            self.threshold,
            *figures(bins, sums),
            used.tolist(),
            *columns,
            *sums[[LOSS, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE]].tolist(),
        )


def _scorecards(whole: Floats, rows: int) -> tuple[Floats, Floats]:
    """Views of bins, float64[rows, BINS, COLUMNS], and sums, float64[rows, SUMS], that lie in one array."""
    size = rows * BINS * COLUMNS
    return whole[:size].reshape(rows, BINS, COLUMNS), whole[size:].reshape(rows, SUMS)
