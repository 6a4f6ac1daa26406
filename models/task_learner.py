"""What learns one task, and how well."""

import math
from array import array
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.ad_shifts import AdShifts
from models.challenger import Challenger
from models.delays import ConversionDelays
from models.ftrl import FTRLProximal
from models.gate import LIMITS, MAX_WEIGHT, SOURCES, Limits
from models.hashing import stable_key
from models.parts import Assembly, Kind, bucket_array, float_array, ftrl_parts, shift_arrays
from models.population import Population, Settings, settings_of
from models.progressive import Progressive
from models.running_mean import RunningMean
from models.watch import TaskWatch, WatchRecord, segments_of
from schemas.examples import Example
from schemas.model import (
    Calibrated,
    ChallengerWeights,
    Change,
    Contest,
    Delays,
    LinearWeights,
    ModelRecord,
    Progress,
    Quality,
    Task,
    Watch,
    Weights,
)

FTRL, RIVER_LR, MEAN = "ftrl", "river-lr", "mean"


class TaskLearner:
    """The models of one task, and how they do."""

    def __init__(
        self, task: Task, champion: FTRLProximal, challenger_sample: float, challengers: int = 0,
        limits: Limits = LIMITS,
    ) -> None:  # fmt: skip
        delayed = champion.delayed
        self.task = task
        self.population = Population(champion, challengers)
        self.null_model = RunningMean(delayed)
        self.challenger = Challenger(delayed) if challenger_sample > 0.0 else None
        self._sample_below = math.ceil(challenger_sample * 2**63)
        self._overall = Progressive(FTRL, delayed)
        self._sampled = [
            Progressive(FTRL, delayed, challenger_sample),
            Progressive(RIVER_LR, delayed, challenger_sample, challenger_sample),
            Progressive(MEAN, delayed, challenger_sample),
        ]
        self.watch = TaskWatch(task, champion.bits, delayed != "none", limits)
        self.shifts = AdShifts(champion.bits) if delayed == "none" else None
        self.delays = ConversionDelays() if delayed == "fake_negative" else None
        self._delays_version = -1
        self._ts_ms = 0
        self._unusable = 0
        self._held: dict[int | None, FTRLProximal] = {}
        """What the topic holds: of the champion (None), and of challengers by place."""
        self._parts: dict[int | None, Assembly[Weights | ChallengerWeights]] = {}
        self._contest: Contest | None = None
        self._challenger_parts: Assembly[LinearWeights] = Assembly()
        self._reported: dict[tuple[str, float], Progress] = {}

    @property
    def champion(self) -> FTRLProximal:
        """The member that serves."""
        return self.population.champion

    @property
    def rejected(self) -> int:
        """Examples with an unusable weight, and updates that the champion did not apply."""
        return self._unusable + self.champion.rejected

    def learn(self, examples: Sequence[Example]) -> None:
        """Learn examples of this task in order."""
        if not examples:
            return
        buckets, offsets = to_rows([example.buckets for example in examples])
        labels = np.array([example.label for example in examples], np.bool_)
        weights = np.array([example.weight for example in examples], np.float64)
        sources = np.array([SOURCES.index(example.source) for example in examples], np.int64)
        ts_ms = np.array([example.ts_ms for example in examples], np.int64)
        learned = self.watch.admit(examples, buckets, offsets, labels, weights, sources, ts_ms)
        usable = examples
        kept = np.abs(weights) <= MAX_WEIGHT
        if not kept.all():
            usable = [examples[i] for i in np.flatnonzero(kept).tolist()]
            self._unusable += len(examples) - len(usable)
            if not usable:
                return
            buckets, offsets = to_rows([example.buckets for example in usable])
            labels, weights, learned = labels[kept], weights[kept], learned[kept]
            sources, ts_ms = sources[kept], ts_ms[kept]
        if self.delays is not None:
            ages_ms = np.array([example.age_ms for example in usable], np.int64)
            weights = self.delays.weigh(labels, ages_ms, weights)
        teaching = np.where(learned, weights, 0.0)  # a weight of 0 leaves a learner's weights as they are
        predictions, promotions = self.population.learn_many_hashed(buckets, offsets, labels, teaching)
        for change in promotions:
            self.watch.succeeded(usable[change.change.place], change)
        served = predictions
        if self.shifts is not None:
            served = self.shifts.learn(buckets, offsets, predictions, labels, teaching)
        means = self.null_model.learn_many(labels, weights)  # what it is held against has no gate
        self._overall.update(predictions, labels, weights)
        segments = segments_of(buckets, offsets, sources)
        self.watch.observe(usable, segments, served, labels, weights, ts_ms, learned)
        self._ts_ms = max(self._ts_ms, int(ts_ms.max()))
        if self.challenger is None:
            return
        sample = [
            i for i, example in enumerate(usable) if stable_key(example.example_id) < self._sample_below
        ]
        if not sample:
            return
        challenged = np.array(
            [
                self.challenger.learn(usable[i].buckets, bool(usable[i].label), float(teaching[i]))
                for i in sample
            ]
        )
        for progressive, p in zip(
            self._sampled, (predictions[sample], challenged, means[sample]), strict=True
        ):
            progressive.update(p, labels[sample], weights[sample])

    def take_parts(
        self, kind: Kind, version: int, follows: int
    ) -> Iterator[tuple[str, Weights | ChallengerWeights | LinearWeights]]:
        """Model and part, of the whole state or of what changed since the last call."""
        self.population.reshaped = False
        for place, model in enumerate(self.population.members):
            touched = model.take_touched()
            if kind == "snapshot":
                touched = model.occupied()
            challenger = None if model is self.champion else place
            name = FTRL if challenger is None else f"challenger-{challenger}"
            shifts = self.shifts if challenger is None else None
            for part in ftrl_parts(model, touched, self.task, kind, version, follows, challenger, shifts):
                yield name, part
        if self.challenger is not None:
            for linear in self.challenger.take_parts(self.task, kind, version, follows):
                yield RIVER_LR, linear

    def state_records(self, version: int) -> Iterator[tuple[str, Contest | Delays]]:
        """End of the key, and record: the contest, and the law of delays where labels are delayed."""
        yield "contest", self.population.standing(self.task, version)
        if self.delays is not None:
            yield "delays", self.delays.record(self.task, version)

    def reports(self, version: int) -> Iterator[tuple[str, Progress]]:
        """End of the key, and progress."""
        yield FTRL, self._overall.report(self.task, version, self._ts_ms)
        if self.challenger is not None:
            for progressive in self._sampled:
                yield f"{progressive.model}/sample", progressive.report(self.task, version, self._ts_ms)

    def watch_records(self, version: int, by_slot: bool) -> Iterator[tuple[str, WatchRecord]]:
        """End of the key, and record, of what watches over the champion; as ``TaskWatch.records``."""
        yield from self.watch.records(version, by_slot)

    def take(self, record: ModelRecord) -> None:
        """Take the next record of the topic into the state."""
        match record:
            case Weights():
                self._hold(None, record)
            case ChallengerWeights():
                self._hold(record.member, record)
            case Contest():
                self._contest = record
            case LinearWeights():
                parts = self._challenger_parts.add(record)
                if parts and self.challenger is not None:
                    self.challenger.restore(parts)
            case Delays():
                if self.delays is not None:
                    self.delays.restore(record)
                    self._delays_version = record.version
            case Progress():
                self._reported[record.model, record.scored_share] = record
            case Calibrated() | Watch() | Quality() | Change():
                self.watch.take(record)

    def versions(self) -> set[int]:
        """Versions of what was taken; challengers and delays that the topic does not hold start anew."""
        versions = {self._version_of(None)}
        if self.challenger is not None and self._challenger_parts.version >= 0:
            versions.add(self._challenger_parts.version)
        if self._delays_version >= 0:
            versions.add(self._delays_version)
        return versions | self.watch.versions()

    def resume(self) -> None:
        """Go on from what was published at the version of the champion's weights.

        Raises ValueError where it was learned with other settings.
        """
        version = self._version_of(None)
        if version >= 0:
            self._resume_population(self._held[None], version)
        for progressive in (self._overall, *self._sampled):
            progress = self._reported.get((progressive.model, progressive.scored_share))
            if progress is not None and progress.version == version:
                progressive.restore(progress)
                self._ts_ms = progress.ts_ms
        overall = self._overall.report(self.task, version, self._ts_ms)
        self.null_model.positives, self.null_model.trials = overall.label_sum, overall.weight_sum

    def differences(self, other: "TaskLearner") -> list[str]:
        """What of the state differs in any bit, by name."""
        laws = [each.delays.record(self.task, 0) if each.delays else None for each in (self, other)]
        return [
            *self.population.differences(other.population),
            *(["shifts"] if self._shift_bytes() != other._shift_bytes() else []),
            *(["delays"] if laws[0] != laws[1] else []),
            *self.watch.differences(other.watch),
        ]

    def _hold(self, whose: int | None, record: Weights | ChallengerWeights) -> None:
        """Lay a part on what the topic holds of one learner."""
        _check("bits", self.champion.bits, record.bits)
        parts = self._parts.setdefault(whose, Assembly()).add(record)
        for part in parts:
            if part.kind == "snapshot" and part.part == 0:
                self._held[whose] = FTRLProximal(
                    part.bits, part.alpha, part.beta, part.l1, part.l2, self.champion.delayed
                )
            held, buckets = self._held[whose], bucket_array(part)
            held.z[buckets] = float_array(part.z)
            held.n[buckets] = float_array(part.n)
            if isinstance(part, Weights) and self.shifts is not None:
                ads, shift, information = shift_arrays(part)
                self.shifts.mean[buckets] = self.shifts.information[buckets] = 0.0  # of what is no ad by now
                self.shifts.mean[ads], self.shifts.information[ads] = shift, information

    def _shift_bytes(self) -> bytes:
        return self.shifts.mean.tobytes() + self.shifts.information.tobytes() if self.shifts else b""

    def _version_of(self, whose: int | None) -> int:
        return self._parts[whose].version if whose in self._parts else -1

    def _resume_population(self, champion: FTRLProximal, version: int) -> None:
        """Take up champion and challengers; a contest of another number of them begins anew."""
        population, contest = self.population, self._contest
        if contest is not None and contest.version != version:
            contest = None
        first = settings_of(champion)
        if contest is not None:
            first = Settings(contest.alpha, contest.beta, contest.l1, contest.l2)
        for name, expected, actual in zip(Settings._fields, population.first, first, strict=True):
            _check(name, expected, actual)
        if contest is None or len(contest.members) != len(population.members):
            population.begin(champion)
            return
        whose = [None if place == contest.champion else place for place in range(len(contest.members))]
        if all(self._version_of(each) == version for each in whose):
            population.resume([self._held[each] for each in whose], contest)
        else:
            population.begin(champion)


def _check(setting: str, expected: float, actual: float) -> None:
    if expected != actual:
        raise ValueError(
            f"Expected weights learned with {setting} = {expected}, got {actual} in topic `model`: "
            "set it back, or delete the topic's records to learn again from the first example"
        )


def to_rows(rows: Sequence[list[int]]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Compressed sparse rows of lists of buckets: uint32[nnz] and int64[n + 1].

    >>> to_rows([[5, 3], [8]])
    (array([5, 3, 8], dtype=uint32), array([0, 2, 3]))
    """
    buckets = array("I")
    for row in rows:
        buckets.fromlist(row)  # a quarter of the time of np.fromiter over a chain
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.frombuffer(buckets, np.uint32), offsets
