"""A model's state in parts, as the topic `model` carries it, and the rule by which parts become a version."""

from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.ad_shifts import AdShifts
from models.ftrl import FTRLProximal
from schemas.model import ChallengerWeights, LinearWeights, Part, Task, Weights

BUCKETS_A_PART = 14_000  # 20 bytes each, 27 in base64: 373 kB, well below a broker's usual limit of 1 MB

Kind = Literal["snapshot", "delta"]
P = TypeVar("P", bound=Part)
Scalar = TypeVar("Scalar", np.uint32, np.float64)


def ftrl_parts(
    model: FTRLProximal, buckets: NDArray[np.uint32], task: Task, kind: Kind, version: int, follows: int,
    challenger: int | None = None, shifts: AdShifts | None = None,
) -> Iterator[Weights | ChallengerWeights]:  # fmt: skip
    """State of ``buckets``, uint32[k], in parts of at most ``BUCKETS_A_PART``; at least one part.

    ``challenger`` is its place among the members; None says that it is the champion, with its ads' shifts.
    """
    slices = _split(buckets)
    for part, chosen in enumerate(slices):
        state = (
            task, kind, version, follows, part, len(slices), to_bytes(chosen, "<u4"), model.bits, model.alpha,
            model.beta, model.l1, model.l2, to_bytes(model.z[chosen], "<f8"),
            to_bytes(model.n[chosen], "<f8"),
        )  # fmt: skip
        if challenger is not None:
            yield ChallengerWeights(*state, challenger)
        elif shifts is None:
            yield Weights(*state)
        else:
            # What was learned of an ad may have been taken back, and its shift not be 0 for all that.
            ads = chosen[(shifts.information[chosen] > 0.0) | (shifts.mean[chosen] != 0.0)]
            shifted = to_bytes(shifts.mean[ads], "<f8"), to_bytes(shifts.information[ads], "<f8")
            yield Weights(*state, to_bytes(ads, "<u4"), *shifted)


def linear_parts(
    buckets: NDArray[np.uint32],
    weights: NDArray[np.float64],
    intercept: float,
    steps: int,
    task: Task,
    kind: Kind,
    version: int,
    follows: int,
) -> Iterator[LinearWeights]:
    """``weights``, float64[k], of ``buckets``, uint32[k], in parts as ``ftrl_parts`` makes them."""
    bucket_slices, weight_slices = _split(buckets), _split(weights)
    for part, (chosen, values) in enumerate(zip(bucket_slices, weight_slices, strict=True)):
        yield LinearWeights(
            task=task,
            kind=kind,
            version=version,
            follows=follows,
            part=part,
            parts=len(bucket_slices),
            buckets=to_bytes(chosen, "<u4"),
            weights=to_bytes(values, "<f8"),
            intercept=intercept,
            steps=steps,
        )


class Assembly(Generic[P]):
    """Puts parts together into versions, for one model of one task.

    Parts come in the topic's order, but compaction may have dropped any record that a later one with the
    same key replaces, so an old version may be torn. Three rules keep what is claimed true: parts are
    only put together with parts of the same version; a snapshot replaces whatever there was; a delta is
    laid on nothing but the exact version that it follows. At the topic's end nothing is missing, because
    compaction keeps the newest record of every key.

    Attributes
    ----------
    version
        The newest complete version; -1 before there is one.
    """

    def __init__(self) -> None:
        self.version = -1
        self._identity: tuple[str, int, int] | None = None
        self._parts: dict[int, P] = {}

    def add(self, part: P) -> list[P]:
        """Take the next part; returns all parts of the version that it completes, else nothing.

        The caller applies them: a snapshot onto an empty state, a delta onto the state there is.
        """
        if part.kind == "delta" and part.follows != self.version:
            return []
        identity = (part.kind, part.version, part.parts)
        if identity != self._identity:
            self._identity = identity
            self._parts = {}
        self._parts[part.part] = part
        if len(self._parts) < part.parts:
            return []
        complete = [self._parts[number] for number in range(part.parts)]
        self._identity = None
        self.version = part.version
        return complete


def to_bytes(array: NDArray[np.uint32] | NDArray[np.float64], dtype: Literal["<u4", "<f8"]) -> bytes:
    """Little-endian bytes of an array."""
    return array.astype(dtype, copy=False).tobytes()


def bucket_array(part: Part) -> NDArray[np.uint32]:
    """The buckets of a part, uint32[k]."""
    return np.frombuffer(part.buckets, "<u4").astype(np.uint32, copy=False)


def shift_arrays(part: Weights) -> tuple[NDArray[np.uint32], NDArray[np.float64], NDArray[np.float64]]:
    """Buckets of ads, uint32[k], their shifts and their information, float64[k]."""
    ads = np.frombuffer(part.ads, "<u4").astype(np.uint32, copy=False)
    return ads, float_array(part.shift), float_array(part.information)


def float_array(data: bytes) -> NDArray[np.float64]:
    """Values of a part, float64[k]."""
    return np.frombuffer(data, "<f8").astype(np.float64, copy=False)


def _split(array: NDArray[Scalar]) -> list[NDArray[Scalar]]:
    return [array[start : start + BUCKETS_A_PART] for start in range(0, max(array.size, 1), BUCKETS_A_PART)]
