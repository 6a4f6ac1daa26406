"""What watches over a task's champion: the gate before it, calibration and figures behind it, drift."""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from models.calibration import OWN_SEGMENTS, Calibration
from models.drift import DriftDetector
from models.features import FEATURES
from models.gate import LIMITS, SOURCES, Gate, Limits
from models.hourly import HOUR_MS, HourlyQuality
from models.population import Promotion
from schemas.examples import Example
from schemas.model import Calibrated, Change, ChangeKind, Quality, Task, Watch

THRESHOLD: dict[Task, float] = {"ctr": 0.05, "cvr": 0.05}
"""Of the probability, for precision, recall and F1: a few times the rate at which shops' ads are clicked."""
CHAMPION, CHAMPION_CALIBRATED = "ftrl", "ftrl-calibrated"

_SLOT = FEATURES.index("slot")
_FOREIGN = SOURCES.index("foreign")

Floats = NDArray[np.float64]
WatchRecord = Calibrated | Watch | Quality | Change


def segments_of(
    buckets: NDArray[np.uint32], offsets: NDArray[np.int64], sources: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The calibration's segment of each of n examples, int64[n]: by the bucket of its slot.

    Other systems' choices have segments of their own. A row that is not as wide as the spec has no slot.

    >>> rows = np.full(2 * len(FEATURES), 37, np.uint32)
    >>> segments_of(rows, np.array([0, len(FEATURES), 2 * len(FEATURES)]), np.array([0, 1]))
    array([ 5, 37])
    """
    whole = np.diff(offsets) == len(FEATURES)
    slots = np.zeros(len(sources), np.int64)
    slots[whole] = buckets[offsets[:-1][whole] + _SLOT]
    segments: NDArray[np.int64] = slots % OWN_SEGMENTS + OWN_SEGMENTS * (sources == _FOREIGN)
    return segments


class TaskWatch:
    """Gate, calibration, drift detector and hourly figures of one task.

    Its state is a function of the examples and the champion's predictions in order; ``records`` and ``take``
    carry it over a restart bit for bit.

    Parameters
    ----------
    task
        Whose examples it sees.
    bits
        Of the buckets.
    delayed
        Whether positives were negatives before; then drift is not looked for, since losses are taken back.
    limits
        What the gate closes on.
    """

    def __init__(self, task: Task, bits: int, delayed: bool, limits: Limits = LIMITS) -> None:
        self.task = task
        self.gate = Gate(bits, limits)
        self.calibration = Calibration(delayed=delayed)
        self.detector = None if delayed else DriftDetector()
        self.quality = HourlyQuality(task, (CHAMPION, CHAMPION_CALIBRATED), THRESHOLD[task], delayed)
        self._changes: list[Change] = []
        self._versions: dict[str, int] = {}

    def admit(
        self,
        examples: Sequence[Example],
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: Floats,
        sources: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Whether each of n examples may be learned from, bool[n]; ``sources`` are places in ``SOURCES``."""
        learned, passages = self.gate.check(buckets, offsets, labels, weights, sources, ts_ms)
        for passage in passages:
            self._note(
                examples[passage.place], f"gate_{passage.kind}", passage.source, passage.reason,
                passage.field, passage.seen, passage.usual,
            )  # fmt: skip
        return learned

    def observe(
        self,
        examples: Sequence[Example],
        segments: NDArray[np.int64],
        predictions: Floats,
        labels: NDArray[np.bool_],
        weights: Floats,
        ts_ms: NDArray[np.int64],
        learned: NDArray[np.bool_],
    ) -> None:
        """Take what the champion said of n examples, float64[n], before it learned those of ``learned``.

        ``segments`` are those of ``segments_of``. Weights are finite here.
        """
        calibrated = self.calibration.learn(predictions, segments, labels, weights, learned)
        self.quality.update(np.stack([predictions, calibrated]), labels, weights, segments, ts_ms)
        if self.detector is None:
            return
        kept = np.flatnonzero(learned & (weights > 0.0))
        for index in self.detector.update(predictions[kept], labels[kept]):
            block = self.detector.blocks
            self._note(examples[int(kept[index])], "drift", "", "", "", block[-1], float(np.mean(block)))

    def succeeded(self, example: Example, promotion: Promotion) -> None:
        """The champion has changed after an example."""
        change, *settings = promotion
        told = [" ".join(f"{name}={value:g}" for name, value in each._asdict().items()) for each in settings]
        self._note(example, change.kind, "", " instead of ".join(told), "", change.gain, change.lower)

    def records(self, version: int, by_slot: bool) -> Iterator[tuple[str, WatchRecord]]:
        """End of the key, and record, of all that a restart needs and of what is new since the last call.

        ``by_slot`` says whether figures of the running hour are given by slot, too.
        """
        yield (
            "calibration",
            Calibrated(self.task, version, self.calibration.segments, self.calibration.state.tobytes()),
        )
        blocks, loss, count, drifts = self.detector.state() if self.detector else ([], 0.0, 0, 0)
        yield "watch", Watch(
            self.task, version, self.gate.state(), np.array(blocks).tobytes(), loss, count, drifts,
            self.quality.hour_ms, *self.quality.state(),
        )  # fmt: skip
        for quality in self.quality.take_reports(version, by_slot):
            hour = quality.hour_ms // HOUR_MS % 24
            yield f"quality/{quality.model}/{quality.segment}/{hour}", quality
        changes, self._changes = self._changes, []
        for number, change in enumerate(changes):
            yield (
                f"change/{version}-{number}",
                Change(
                    change.task, version, number, change.ts_ms, change.example_id, change.kind, change.source,
                    change.reason, change.field, change.seen, change.usual,
                ),
            )  # fmt: skip

    def take(self, record: WatchRecord) -> None:
        """Take the next record of the topic into the state."""
        match record:
            case Calibrated():
                if record.segments != self.calibration.segments:
                    raise ValueError(f"Expected {self.calibration.segments} segments, got {record.segments}")
                state = np.frombuffer(record.state, "<f8")
                self.calibration.state[:] = state.reshape(self.calibration.state.shape)
                self._versions["calibration"] = record.version
            case Watch():
                self.gate.restore(record.gate)
                if self.detector is not None:
                    self.detector.restore(
                        np.frombuffer(record.drift_blocks, "<f8").tolist(),
                        record.drift_sum,
                        record.drift_count,
                        record.drifts,
                    )
                self.quality.restore(record.hour_ms, record.quality_places, record.quality_sums)
                self._versions["watch"] = record.version

    def versions(self) -> set[int]:
        """Versions of what was taken; what the topic does not hold starts anew."""
        return set(self._versions.values())

    def differences(self, other: "TaskWatch") -> list[str]:
        """Of gate, calibration, drift detector and the running hour those whose states differ in any bit."""
        detectors = [each.detector.state() if each.detector else None for each in (self, other)]
        equal = {
            "gate": self.gate.state() == other.gate.state(),
            "calibration": self.calibration.state.tobytes() == other.calibration.state.tobytes(),
            "drift": detectors[0] == detectors[1],
            "hour": (self.quality.hour_ms, *self.quality.state())
            == (other.quality.hour_ms, *other.quality.state()),
        }
        return [name for name, same in equal.items() if not same]

    def _note(
        self, example: Example, kind: str, source: str, reason: str, field: str, seen: float, usual: float
    ) -> None:
        known = cast(ChangeKind, kind)
        self._changes.append(
            Change(
                self.task, -1, 0, example.ts_ms, example.example_id, known, source, reason, field, seen, usual
            )
        )
