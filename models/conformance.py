"""What every learner must do beside River's own estimator checks, to be called as those are.

A check takes a model that has learned nothing and raises AssertionError. ``yield_checks`` gives those that
apply: all need River's ``Classifier`` API; those of batches and snapshots need ``HashedClassifier``. A
challenger that Headrace is to run for long should pass ``check_learner``.
"""

import copy
import gc
import math
import random
import tracemalloc
from collections.abc import Callable, Hashable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from models.hashed import HashedClassifier

Check = Callable[[Any], None]
Features = dict[Hashable, Any]

ODD_VALUES = (
    math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 10**30, True, None, "", "nan", "x" * 10_000,
    "\0",
)  # fmt: skip
ODD_WEIGHTS = 0.0, -1.0, 1e6, -1e6, 1e308, math.nan, math.inf, -math.inf
GROWTH_BYTES = 64 * 1024
"""What Python may keep of 1,500 examples that were forgotten."""


def check_learner(model: base.Classifier) -> None:
    """Run all checks that apply, each on a clone."""
    for check in yield_checks(model):
        check(model.clone())


def yield_checks(model: base.Classifier) -> Iterator[Check]:
    """The checks that apply to a model."""
    yield check_odd_values
    yield check_key_order
    yield check_clone
    yield check_memory
    if isinstance(model, HashedClassifier):
        yield check_odd_weights
        yield check_batches
        yield check_prediction_before_learning
        yield check_snapshot
        yield check_weight_of_zero
        yield check_retraction
        yield check_many_values


def check_odd_values(model: base.Classifier) -> None:
    """Whatever the values are, a prediction is a probability."""
    for i, value in enumerate((*ODD_VALUES, 1.0) * 3):
        x: Features = {"a": value, "b": 1.0, f"c{i % 5}": ODD_VALUES[i * 5 % len(ODD_VALUES)]}
        _check_probability(model, x)
        model.learn_one(x, bool(i % 3))
        _check_probability(model, x)
    _check_probability(model, {})
    _check_finite(model)


def check_key_order(model: base.Classifier) -> None:
    """The order of keys makes no difference to a bit."""
    other, draw = copy.deepcopy(model), random.Random(1)
    for x, y in _examples(60):
        keys = list(x)
        draw.shuffle(keys)
        shuffled = {key: x[key] for key in keys}
        assert model.predict_proba_one(x) == other.predict_proba_one(shuffled)
        model.learn_one(x, y)
        other.learn_one(shuffled, y)


def check_clone(model: base.Classifier) -> None:
    """A clone has learned nothing, and neither's learning shows in the other."""
    x: Features = {"a": 1.0, "b": "word"}
    fresh = model.predict_proba_one(x)
    for _ in range(5):
        model.learn_one(x, True)
    learned, clone = model.predict_proba_one(x), model.clone()
    assert fresh == clone.predict_proba_one(x) != learned
    clone.learn_one(x, False)
    assert learned == model.predict_proba_one(x)
    model.learn_one(x, True)
    assert model.predict_proba_one(x) != clone.predict_proba_one(x)


def check_memory(model: base.Classifier) -> None:
    """Values that were never seen before take no more memory."""
    for i in range(200):
        model.learn_one({"a": f"warm-{i}", f"w{i}": 1.0}, bool(i % 2))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(1_500):
            model.learn_one({"a": f"value-{i}", f"name-{i}": 1.0}, bool(i % 2))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < GROWTH_BYTES, f"Expected at most {GROWTH_BYTES} bytes more, got {after - before}"


def check_odd_weights(model: HashedClassifier) -> None:
    """Whatever the weights are, the state stays finite, and what was not applied is counted."""
    for i, weight in enumerate(ODD_WEIGHTS * 2):
        model.learn_one({"a": 1.0, "b": float(i)}, bool(i % 2), weight)
        _check_probability(model, {"a": 1.0, "b": 1.0})
    _check_finite(model)
    assert model.rejected > 0
    before = model.snapshot()
    for weight in (math.nan, math.inf, -math.inf):
        model.learn_one({"a": 1.0}, True, weight)
    _check_same(before, model.snapshot())


def check_batches(model: HashedClassifier) -> None:
    """However a stream is cut, predictions and state are the same bit for bit."""
    buckets, offsets, labels, weights = _rows(model, 300)
    whole, single, cut = model.clone(), model.clone(), model.clone()
    expected = whole.learn_many_hashed(buckets, offsets, labels, weights)
    for learner, edges in ((single, range(301)), (cut, (0, 1, 50, 257, 300))):
        actual = np.concatenate(
            [
                _learned(learner, start, end, buckets, offsets, labels, weights)
                for start, end in pairwise(edges)
            ]
        )
        assert expected.tobytes() == actual.tobytes()
        _check_same(whole.snapshot(), learner.snapshot())
    whole_predictions = whole.predict_many_hashed(buckets, offsets)
    for start in range(0, 300, 37):
        row = buckets[offsets[start] : offsets[start + 1]]
        alone = whole.predict_many_hashed(row, np.array([0, row.size]))
        assert whole_predictions[start] == alone[0]


def check_prediction_before_learning(model: HashedClassifier) -> None:
    """Learning returns what predicting said before, to float32; predicting changes nothing."""
    buckets, offsets, labels, weights = _rows(model, 60)
    for start, end in pairwise(range(61)):
        before = model.snapshot()
        row = buckets[offsets[start] : offsets[end]]
        expected = model.predict_many_hashed(row, np.array([0, row.size]))
        _check_same(before, model.snapshot())
        actual = _learned(model, start, end, buckets, offsets, labels, weights)
        assert abs(expected[0] - actual[0]) <= 1e-6


def check_snapshot(model: HashedClassifier) -> None:
    """A snapshot is numbers only, and what is restored from its bytes goes on bit for bit."""
    buckets, offsets, labels, weights = _rows(model, 200)
    _learned(model, 0, 120, buckets, offsets, labels, weights)
    state = {}
    for name, array in model.snapshot().items():
        assert not array.dtype.hasobject
        state[name] = np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
    restored = model.clone()
    restored.restore(state)
    _check_same(model.snapshot(), restored.snapshot())
    expected = _learned(model, 120, 200, buckets, offsets, labels, weights)
    actual = _learned(restored, 120, 200, buckets, offsets, labels, weights)
    assert expected.tobytes() == actual.tobytes()
    _check_same(model.snapshot(), restored.snapshot())


def check_weight_of_zero(model: HashedClassifier) -> None:
    """An example without weight changes no prediction."""
    x: Features = {"a": 1.0, "b": "word"}
    model.learn_one(x, True)
    before = model.predict_proba_one(x)
    model.learn_one(x, False, 0.0)
    assert before == model.predict_proba_one(x)


def check_retraction(model: HashedClassifier) -> None:
    """An example with a weight below 0 takes one back: p is about where it was before."""
    x: Features = {"a": 1.0, "b": "word"}
    for i in range(200):
        model.learn_one(x, i % 4 == 0)
    before = model.predict_proba_one(x)[True]
    model.learn_one(x, True)
    raised = model.predict_proba_one(x)[True]
    model.learn_one(x, True, -1.0)
    assert raised > before
    assert abs(model.predict_proba_one(x)[True] - before) < 0.2 * (raised - before)


def check_many_values(model: HashedClassifier) -> None:
    """A field of 20,000 distinct values has a state no larger than 2**bits buckets, all of it finite."""
    draw = np.random.default_rng(1)
    buckets = draw.integers(0, 1 << model.bits, (20_000, 2)).astype(np.uint32)
    buckets[:, 0] = 0
    labels = draw.random(20_000) < 0.3
    model.learn_many_hashed(buckets.ravel(), np.arange(20_001) * 2, labels, np.ones(20_000))
    state = model.snapshot()
    assert state["buckets"].size <= 1 << model.bits
    assert np.unique(state["buckets"]).size == state["buckets"].size
    _check_finite(model)


def _examples(count: int) -> Iterator[tuple[Features, bool]]:
    draw = random.Random(1)
    for _ in range(count):
        names = draw.sample("abcdefgh", draw.randint(0, 8))
        x: Features = {
            name: draw.choice([draw.gauss(0, 2), draw.choice("xyz"), True, None]) for name in names
        }
        yield x, draw.random() < 0.4


def _rows(
    model: HashedClassifier, count: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Rows of 0 to 5 buckets, some of them twice in a row, with labels and odd weights."""
    draw = np.random.default_rng(1)
    lengths = draw.integers(0, 6, count)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    buckets = draw.integers(0, min(1 << model.bits, 32), offsets[-1]).astype(np.uint32)
    return buckets, offsets, draw.random(count) < 0.3, draw.choice([1.0, 1.0, 0.25, 0.0, -0.5, 8.0], count)


def _learned(
    model: HashedClassifier, start: int, end: int, buckets: NDArray[np.uint32], offsets: NDArray[np.int64],
    labels: NDArray[np.bool_], weights: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Learn rows from ``start`` to ``end``."""
    return model.learn_many_hashed(
        buckets[offsets[start] : offsets[end]],
        offsets[start : end + 1] - offsets[start],
        labels[start:end],
        weights[start:end],
    )


def _check_probability(model: base.Classifier, x: Features) -> None:
    p = model.predict_proba_one(x)
    assert all(0.0 <= share <= 1.0 for share in p.values()), f"Expected probabilities, got {p}"


def _check_finite(model: base.Classifier) -> None:
    if isinstance(model, HashedClassifier):
        for name, array in model.snapshot().items():
            assert np.isfinite(array).all(), f"Expected finite {name}"


def _check_same(expected: dict[str, NDArray[Any]], actual: dict[str, NDArray[Any]]) -> None:
    assert expected.keys() == actual.keys()
    for name, array in expected.items():
        assert array.tobytes() == actual[name].tobytes(), f"Expected the same {name}"
