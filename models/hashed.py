"""What learners over hashed features share: River's API and the batch API in front of a kernel."""

import math
from abc import abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from river import base

from models.hashing import stable_key

MAX_VALUE = 1e15  # a feature's value is clipped here: the largest amount of money of the contract, in micros
FIELD_SEED = 1  # so that the field of a name and its bucket are hashed apart

Storage = Literal["float64", "float32"]
State = dict[str, NDArray[Any]]

Model = TypeVar("Model", bound="HashedClassifier")


class Rows(NamedTuple):
    """Examples in compressed sparse rows: example ``i`` is ``[offsets[i], offsets[i + 1])`` of the others."""

    buckets: NDArray[np.uint32]
    """uint32[nnz]."""
    values: NDArray[np.float64]
    """float64[nnz]."""
    offsets: NDArray[np.int64]
    """int64[n + 1]."""
    names: NDArray[np.int64] | None
    """int64[nnz]: keys of the features' names; None where a feature's field is its place in the row."""


class HashedClassifier(base.Classifier):
    """A binary classifier over ``2**bits`` buckets.

    A feature of a dictionary is hashed by name. A number keeps its value, clipped to +-1e15; a string
    ``s`` becomes the feature ``name=s`` with the value 1; None, NaN and infinities are left out. The
    order of keys has no effect.

    The same examples in the same order give the same bits, one by one or in batches of any size.

    Attributes
    ----------
    touched
        uint8[2**bits]: 1 where a bucket changed since ``take_touched``.
    rejected
        Updates that were not applied, because the state would not have stayed finite.
    """

    bits: int
    touched: NDArray[np.uint8]
    rejected: int

    def predict_proba_one(self, x: Mapping[Hashable, Any]) -> dict[bool, float]:
        """Probability of each label for a dictionary of features."""
        p = float(self._predict_rows(hash_features(x, self.bits))[0])
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Mapping[Hashable, Any], y: bool, w: float = 1.0) -> None:
        """Update with a dictionary of features, its label and its weight."""
        self._learn_rows(hash_features(x, self.bits), np.array([bool(y)]), np.array([w], np.float64))

    def predict_many_hashed(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Predict hashed examples in compressed sparse rows; every feature has the value 1.

        Parameters
        ----------
        buckets
            uint32[nnz]: the buckets of all examples, one example after the other.
        offsets
            int64[n + 1]: example ``i`` has ``buckets[offsets[i]:offsets[i + 1]]``.

        Returns
        -------
        float64[n]: the probability of the positive label.

        Raises
        ------
        ValueError
            A bucket lies outside the state, or the offsets do not fit the buckets.
        """
        return self._predict_rows(self._rows(buckets, offsets))

    def learn_many_hashed(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Learn hashed examples one after the other, and return what was predicted before each.

        ``buckets`` and ``offsets`` as for ``predict_many_hashed``; ``labels`` bool[n], ``weights``
        float64[n]. Returns float64[n]. Raises ValueError as that does, and where lengths differ.
        """
        rows = self._rows(buckets, offsets)
        if not labels.size == weights.size == offsets.size - 1:
            raise ValueError(
                f"Expected {offsets.size - 1} labels and weights, got {labels.size} and {weights.size}"
            )
        return self._learn_rows(rows, labels, weights)

    def take_touched(self) -> NDArray[np.uint32]:
        """Buckets that changed since the last call, in ascending order, uint32[k]."""
        buckets = np.flatnonzero(self.touched).astype(np.uint32)
        self.touched[buckets] = 0
        return buckets

    @abstractmethod
    def snapshot(self) -> State:
        """All that was learned, as arrays by name; what was never learned is left out."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Lay a snapshot of a model with the same settings over a model that has learned nothing."""

    @abstractmethod
    def _predict_rows(self, rows: Rows) -> NDArray[np.float64]: ...

    @abstractmethod
    def _learn_rows(
        self, rows: Rows, labels: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]: ...

    def _rows(self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64]) -> Rows:
        # The kernels do not check bounds: what passes here must be safe there.
        if buckets.size and buckets.max() >= self.touched.size:
            raise ValueError(f"Expected buckets below 2**{self.bits}, got {buckets.max()}")
        if offsets[0] != 0 or offsets[-1] != buckets.size or np.any(np.diff(offsets) < 0):
            raise ValueError(f"Expected offsets that rise from 0 to {buckets.size}")
        return Rows(buckets, np.ones(buckets.size), offsets, None)


def hash_features(x: Mapping[Hashable, Any], bits: int) -> Rows:
    """One row of a dictionary, as ``HashedClassifier`` describes it.

    >>> rows = hash_features({"device": "phone", "price": 2.5, "nothing": None}, bits=4)
    >>> rows.values, rows.offsets
    (array([1. , 2.5]), array([0, 2]))
    """
    mask = (1 << bits) - 1
    features = []
    for name, value in x.items():
        if value is None:
            continue
        text = str(name)
        if isinstance(value, str):
            features.append((stable_key(f"{text}={value}") & mask, 1.0, stable_key(text, FIELD_SEED)))
            continue
        number = float(value)
        if abs(number) <= MAX_VALUE:
            features.append((stable_key(text) & mask, number, stable_key(text, FIELD_SEED)))
        elif math.isfinite(number):
            clipped = math.copysign(MAX_VALUE, number)
            features.append((stable_key(text) & mask, clipped, stable_key(text, FIELD_SEED)))
    features.sort()  # floating-point sums depend on the order, which must not be that of the keys
    return Rows(
        np.array([bucket for bucket, _, _ in features], np.uint32),
        np.array([value for _, value, _ in features], np.float64),
        np.array([0, len(features)], np.int64),
        np.array([name for _, _, name in features], np.int64),
    )
