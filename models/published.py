"""A published version of the champions, as people look at it: taken from the topic `model`, or a file."""

import io
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
from msgspec import Struct
from numpy.typing import NDArray

from models.delays import ConversionDelays
from models.ftrl import closed_form
from models.parts import Assembly, bucket_array, float_array, shift_arrays
from schemas.model import Contest, Delays, Progress, Weights, decode_model_record

FORMAT = "headrace-model-1"
SETTINGS = ("bits", "alpha", "beta", "l1", "l2")
"""Of FTRL-Proximal; see ``models.ftrl.FTRLProximal``."""
ARRAYS = ("buckets", "z", "n", "shift")


class PublishedError(ValueError):
    """There is no such version, or a file holds no model."""


class TaskModel(NamedTuple):
    """The champion of a task."""

    settings: dict[str, float]
    """By ``SETTINGS``."""
    buckets: NDArray[np.uint32]
    """Those that were ever learned, in ascending order, uint32[k]."""
    z: NDArray[np.float64]
    n: NDArray[np.float64]
    """State of these buckets, float64[k]; ``n`` is the sum of squared gradients."""
    shift: NDArray[np.float64]
    """What ads' own clicks add to their weights, float64[k]; 0 for what is no ad's."""

    def weights(self) -> NDArray[np.float64]:
        """Of ``buckets``, float64[k]."""
        settings = (self.settings[name] for name in SETTINGS[1:])
        weights: NDArray[np.float64] = closed_form(self.z, self.n, *settings)
        return weights + self.shift

    def table(self) -> NDArray[np.float64]:
        """Of every bucket, float64[2**bits]."""
        table = np.zeros(1 << int(self.settings["bits"]))
        table[self.buckets] = self.weights()
        return table


class Published(Struct, frozen=True):
    """One version of all tasks."""

    version: int
    """Offset in `examples` after the last one learned."""
    tasks: dict[str, TaskModel]
    progress: list[Progress]
    """As of the version; what compaction has dropped of older versions is missing."""
    delay_shares: list[float]
    """Share of the conversions by bin of ``models.delays``; empty where it is not known."""
    contests: list[Contest] = []
    """How the challengers do, by task; a file does not say."""


class Change(Struct, frozen=True):
    """What a task's newer version has that the older one has not."""

    settings: dict[str, tuple[float, float]]
    """Old and new value of those that differ."""
    buckets_old: int
    buckets_new: int
    buckets_changed: int
    mean_change: float
    """Mean of the weights' absolute changes over all buckets of either, 0 where there are none."""
    largest_change: float
    buckets: list[int]
    """Those whose weights changed most, strongest first."""
    old: list[float]
    new: list[float]
    """Their weights."""


def at_version(records: Iterable[tuple[str, bytes | None]], version: int | None = None) -> Published:
    """The model of a version out of all records of the topic `model` in order; None is the newest.

    Compaction leaves the versions since the newest snapshot, as a rule.

    Raises:
        PublishedError: The version is not there, or nothing is.
    """
    reading: dict[str, _Reading] = {}
    progress: dict[tuple[str, str, float], Progress] = {}
    contests: dict[str, Contest] = {}
    delays = ConversionDelays()
    delays_version = -1
    for _, value in records:
        if value is None:
            continue
        record = decode_model_record(value)
        if version is not None and record.version > version:
            if isinstance(record, Weights):
                reading.setdefault(record.task, _Reading()).later.add(record.version)
            continue
        match record:
            case Weights():
                reading.setdefault(record.task, _Reading()).take(record)
            case Progress():
                progress[record.task, record.model, record.scored_share] = record
            case Contest():
                contests[record.task] = record
            case Delays():
                delays.restore(record)
                delays_version = record.version
    versions = {task.assembly.version for task in reading.values()}
    if versions - {-1} == set():
        later = sorted(set().union(*(task.later for task in reading.values())))
        raise PublishedError(
            f"Expected a version in topic `model`, got none up to {version}: the first is {later[0]}"
            if later
            else "Expected a version in topic `model`, got none: nothing has been learned yet"
        )
    found = max(versions)
    if version is not None and found != version:
        seen = set().union(*(task.seen | task.later for task in reading.values()))
        nearest = sorted(seen, key=lambda each: abs(each - version))[:3]
        raise PublishedError(
            f"Expected a version of topic `model`, got {version}: the nearest are "
            f"{', '.join(map(str, sorted(nearest)))}"
        )
    return Published(
        version=found,
        tasks={
            name: task.model() for name, task in sorted(reading.items()) if task.assembly.version == found
        },
        progress=[each for each in progress.values() if each.version == found],
        delay_shares=delays.shares().tolist() if delays_version == found else [],
        contests=[each for each in contests.values() if each.version == found],
    )


def difference(old: TaskModel, new: TaskModel, top: int) -> Change:
    """What has changed, with the ``top`` buckets whose weights have changed most.

    Raises:
        PublishedError: They are hashed to different numbers of buckets, so that no bucket means the same.
    """
    if old.settings["bits"] != new.settings["bits"]:
        raise PublishedError(
            f"Expected models of as many buckets, got 2**{old.settings['bits']:.0f} and "
            f"2**{new.settings['bits']:.0f}"
        )
    before, after = old.table(), new.table()
    change = np.abs(after - before)
    either = np.union1d(old.buckets, new.buckets)
    order = np.argsort(-change[either], kind="stable")[:top]
    largest = either[order][change[either[order]] > 0.0]
    return Change(
        settings={
            name: (old.settings[name], new.settings[name])
            for name in SETTINGS
            if old.settings[name] != new.settings[name]
        },
        buckets_old=old.buckets.size,
        buckets_new=new.buckets.size,
        buckets_changed=int(np.count_nonzero(change)),
        mean_change=float(change[either].mean()) if either.size else 0.0,
        largest_change=float(change.max()),
        buckets=largest.tolist(),
        old=before[largest].tolist(),
        new=after[largest].tolist(),
    )


def to_json(published: Published) -> bytes:
    """As one JSON object; numbers are exact."""
    tasks = {
        name: model.settings
        | {array: getattr(model, array) for array in ARRAYS}
        | {"weights": model.weights()}
        for name, model in published.tasks.items()
    }
    return orjson.dumps(_head(published) | {"tasks": tasks}, option=orjson.OPT_SERIALIZE_NUMPY)


def to_npz(published: Published) -> bytes:
    """As numpy's archive: arrays ``<task>.buckets``, ``.z``, ``.n`` and ``.weights``, and ``head``, JSON."""
    head = _head(published) | {"tasks": {name: model.settings for name, model in published.tasks.items()}}
    arrays: dict[str, Any] = {"head": np.frombuffer(orjson.dumps(head), np.uint8)}
    for name, model in published.tasks.items():
        arrays |= {f"{name}.{array}": getattr(model, array) for array in ARRAYS}
        arrays[f"{name}.weights"] = model.weights()
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> Published:
    """What ``to_json`` or ``to_npz`` made; nothing in it is executed.

    Raises:
        PublishedError: It is neither.
    """
    try:
        if data[:2] == b"PK":
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                head = orjson.loads(archive["head"].tobytes())
                arrays = {key: archive[key] for key in archive.files}
            columns = {name: {array: arrays[f"{name}.{array}"] for array in ARRAYS} for name in head["tasks"]}
        else:
            head = orjson.loads(data)
            columns = head["tasks"]
        if head["format"] != FORMAT:
            raise PublishedError(f"Expected a model in the format {FORMAT}, got {head['format']!r}")
        return Published(
            version=int(head["version"]),
            tasks={name: _task(head["tasks"][name], columns[name]) for name in head["tasks"]},
            progress=msgspec.convert(head["progress"], list[Progress]),
            delay_shares=[float(share) for share in head["delay_shares"]],
        )
    except PublishedError:
        raise
    except Exception as error:  # a foreign file fails in any of a dozen ways
        raise PublishedError(
            f"Expected a file that `headrace model export` has written, got another ({type(error).__name__})"
        ) from None


class _Reading:
    """The parts of one task."""

    def __init__(self) -> None:
        self.assembly: Assembly[Weights] = Assembly()
        self.seen: set[int] = set()
        self.later: set[int] = set()
        self._settings: dict[str, float] = {}
        self._state: dict[int, tuple[float, float]] = {}
        self._shift: dict[int, float] = {}

    def take(self, record: Weights) -> None:
        for part in self.assembly.add(record):
            if part.kind == "snapshot" and part.part == 0:
                self._state.clear()
                self._shift.clear()
            self.seen.add(part.version)
            self._settings = {name: getattr(part, name) for name in SETTINGS}
            pairs = zip(float_array(part.z).tolist(), float_array(part.n).tolist(), strict=True)
            self._state.update(zip(bucket_array(part).tolist(), pairs, strict=True))
            ads, shift, _ = shift_arrays(part)
            self._shift.update(zip(ads.tolist(), shift.tolist(), strict=True))

    def model(self) -> TaskModel:
        buckets = np.array(sorted(self._state), np.uint32)
        pairs = np.array([self._state[bucket] for bucket in buckets.tolist()], np.float64).reshape(-1, 2)
        shift = np.array([self._shift.get(bucket, 0.0) for bucket in buckets.tolist()], np.float64)
        return TaskModel(self._settings, buckets, pairs[:, 0].copy(), pairs[:, 1].copy(), shift)


def _head(published: Published) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": published.version,
        "progress": msgspec.to_builtins(published.progress),
        "delay_shares": published.delay_shares,
    }


def _task(settings: dict[str, Any], columns: dict[str, Any]) -> TaskModel:
    bits = settings["bits"]
    model = TaskModel(
        {name: settings[name] for name in SETTINGS},
        np.asarray(columns["buckets"], np.uint32),
        np.asarray(columns["z"], np.float64),
        np.asarray(columns["n"], np.float64),
        np.asarray(columns["shift"], np.float64),
    )
    if not 1 <= bits <= 32 or not model.buckets.size == model.z.size == model.n.size == model.shift.size:
        raise PublishedError(f"Expected as many values as buckets, and bits from 1 to 32, got bits {bits}")
    if model.buckets.size and model.buckets.max() >= 1 << bits:
        raise PublishedError(f"Expected buckets below 2**{bits}, got {model.buckets.max()}")
    return model
