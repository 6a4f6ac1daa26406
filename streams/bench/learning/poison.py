"""What poisoned examples do to weights and memory, and to the predictions of the good ones after them."""

import math
from collections.abc import Callable, Hashable, Iterator

import numpy as np
import psutil
from msgspec import Struct
from msgspec.structs import replace

from models.ad_shifts import BOUND
from models.features import FEATURES, WORDS
from models.ftrl import FTRLProximal
from models.gate import MAX_WEIGHT
from models.hashing import MISSING, bucket_of
from models.learner import Learner
from models.task_learner import TaskLearner, to_rows
from schemas.examples import Example
from schemas.model import Change, decode_model_record
from streams.settings import Learning

BITS = 18
VALUES = 12  # of a field in good examples
BASE_LOGIT, SPREAD = -3.0, 0.25
FIELD = "device"  # whose values are poisoned
CHUNK = 5_000
TS_MS = 1_767_225_600_000
MOST_GROWTH_BYTES = 48 * 1024 * 1024  # of resident memory: what a chunk of Python objects comes and goes with

UNUSABLE = {"weights NaN": math.nan, "weights inf": math.inf, "weights 1e308": 1e308}
WEIGHTY, WEIGHTY_EXAMPLES = "weights of a million", 100  # the most that a weight may be, either way
KINDS = (*UNUSABLE, "distinct values", "contradictory labels", "missing field", "no positives", WEIGHTY)
REASONS = {
    **dict.fromkeys(UNUSABLE, "unusable"),
    "distinct values": "distinct_values",
    "contradictory labels": "label_rate_high",
    "missing field": "missing_field",
    "no positives": "label_rate_low",
    WEIGHTY: "",
}
"""What the gate closes on; it lets weights pass that are large and no mistake by themselves."""


class Poisoned(Struct, frozen=True):
    """One kind of poison between good examples."""

    poison: str
    examples: int
    reason: str
    """Why the gate closed; empty if it did not."""
    closed_after: int | None
    """Poisoned examples until the gate closed; those are all that was learned from."""
    opened_after: int | None
    """Good examples after them until it opened."""
    finite: bool
    """Every number of champion, challengers and shifts of ads."""
    largest_shift: float
    """Of an ad, after any chunk of examples: log odds, either way."""
    rss_growth_bytes: int
    """From before the poison to after it."""
    log_loss: float
    """Of the good examples after it."""
    log_loss_ungated: float
    """Of the same, by a learner without a gate that leaves out unusable weights only."""
    log_loss_clean: float
    """Of the same, by a learner that had none of the poison."""


class Report(Struct, frozen=True):
    """All kinds, and values that are no numbers."""

    good: int
    seed: int
    kinds: list[Poisoned]
    values_finite: bool
    """Whether a learner stays finite under dictionaries with NaN, inf and 1e308."""
    failures: list[str]


def run(good: int, distinct: int, seed: int, advance: Callable[[], object]) -> Report:
    """Poison a learner in every way; ``advance`` is called after each.

    ``good`` examples come before the poison and half as many after it; ``distinct`` is how many values the
    field with too many has.
    """
    kinds = []
    for kind in KINDS:
        count = {"distinct values": distinct, WEIGHTY: WEIGHTY_EXAMPLES}.get(kind, good)
        kinds.append(poisoned(kind, good, count, seed))
        advance()
    values_finite = survives_values(seed)
    failures = (
        [] if values_finite else ["expected finite weights after values that are no numbers, got others"]
    )
    for each in kinds:
        expected = REASONS[each.poison]
        if each.reason != expected:
            wanted = f"close on {expected}" if expected else "stay open"
            failures.append(f"{each.poison}: expected the gate to {wanted}, got {each.reason!r}")
        if expected and each.opened_after is None:
            failures.append(f"{each.poison}: expected the gate to open on good examples, got none")
        if not each.finite:
            failures.append(f"{each.poison}: expected finite weights, got others")
        if not each.largest_shift <= BOUND:
            failures.append(f"{each.poison}: expected shifts up to {BOUND}, got {each.largest_shift}")
        if each.rss_growth_bytes > MOST_GROWTH_BYTES:
            failures.append(
                f"{each.poison}: expected memory to grow by at most {MOST_GROWTH_BYTES} bytes, "
                f"got {each.rss_growth_bytes}"
            )
    return Report(good, seed, kinds, values_finite, failures)


def poisoned(kind: str, good: int, count: int, seed: int) -> Poisoned:
    """Learn good, poisoned and good examples."""
    world = _World(seed)
    before = [world.examples("g", start, min(CHUNK, good - start)) for start in range(0, good, CHUNK)]
    after = [
        world.examples("a", start, min(CHUNK, good // 2 - start)) for start in range(0, good // 2, CHUNK)
    ]
    learner = Learner(BITS, challenger_sample=0.0, challengers=Learning().challengers)
    task = learner.tasks["ctr"]
    ungated, clean = FTRLProximal(BITS), FTRLProximal(BITS)
    offset, largest_shift = 0, 0.0
    changes: list[Change] = []

    def learn(examples: list[Example]) -> None:
        nonlocal offset, largest_shift
        offset += len(examples)
        learner.learn(examples, offset)
        _learn(ungated, [example for example in examples if abs(example.weight) <= MAX_WEIGHT])
        largest_shift = max(largest_shift, _largest_shift(task))
        for key, value in learner.publish():
            if value is not None and key.startswith("ctr/change/"):
                record = decode_model_record(value)
                assert isinstance(record, Change)
                changes.append(record)

    for examples in before:
        learn(examples)
        _learn(clean, examples)
    process = psutil.Process()
    rss = process.memory_info().rss
    for examples in world.poison(kind, count):
        learn(examples)
    growth = process.memory_info().rss - rss
    losses = []
    for examples in after:
        losses.append([_loss(model, examples) for model in (task.champion, ungated, clean)])
        learn(examples)
        _learn(clean, examples)
    closed = [change for change in changes if change.kind == "gate_closed"]
    opened = [change for change in changes if change.kind == "gate_opened" and change.example_id[0] == "a"]
    gated, without, never = np.mean(losses, axis=0).tolist()
    return Poisoned(
        poison=kind,
        examples=count,
        reason=closed[0].reason if closed else "",
        closed_after=int(closed[0].example_id[1:]) + 1 if closed and closed[0].example_id[0] == "p" else None,
        opened_after=int(opened[0].example_id[1:]) + 1 if opened else None,
        finite=_is_finite(task),
        largest_shift=largest_shift,
        rss_growth_bytes=growth,
        log_loss=gated,
        log_loss_ungated=without,
        log_loss_clean=never,
    )


def survives_values(seed: int) -> bool:
    """Whether learning from dictionaries of extreme values leaves a learner finite."""
    random = np.random.default_rng(seed)
    model = FTRLProximal(bits=10)
    extremes = [math.nan, math.inf, -math.inf, 1e308, -1e308, 1e15, 0.0]
    for _ in range(2_000):
        x: dict[Hashable, float] = {
            name: extremes[random.integers(len(extremes))] for name in ("price", "age", "rank")
        }
        model.learn_one(x, bool(random.random() < 0.5), float(random.choice([1.0, 1e6])))
    p = model.predict_proba_one({"price": 1e308, "age": math.nan})[True]
    return bool(np.isfinite(model.z).all() and np.isfinite(model.n).all() and 0.0 <= p <= 1.0)


class _World:
    """Good examples by a drawn truth, and what is made of them."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        mask = (1 << BITS) - 1
        self._buckets = np.array(
            [
                [bucket_of(field, value, mask) for value in range(1, VALUES + 1)]
                for field in range(len(FEATURES))
            ]
        )
        self._effects = self._random.normal(0.0, SPREAD, self._buckets.shape)
        self._field = FEATURES.index(FIELD)
        assert FIELD in WORDS
        self._mask = mask

    def examples(self, name: str, start: int, count: int) -> list[Example]:
        """Good ones; their ids are ``name`` and a number."""
        values = self._random.integers(0, VALUES, (count, len(FEATURES)))
        fields = np.arange(len(FEATURES))
        logits = BASE_LOGIT + self._effects[fields, values].sum(axis=1)
        labels = (self._random.random(count) < 1.0 / (1.0 + np.exp(-logits))).astype(int)
        return [
            Example(f"{name}{start + i}", "ctr", TS_MS, label, 1.0, "own", row)
            for i, (label, row) in enumerate(
                zip(labels.tolist(), self._buckets[fields, values].tolist(), strict=True)
            )
        ]

    def poison(self, kind: str, count: int) -> Iterator[list[Example]]:
        """Poisoned ones, in chunks."""
        for start in range(0, count, CHUNK):
            good = self.examples("p", start, min(CHUNK, count - start))
            yield [self._spoil(kind, example, start + i) for i, example in enumerate(good)]

    def _spoil(self, kind: str, example: Example, number: int) -> Example:
        if kind in UNUSABLE:
            return replace(example, weight=UNUSABLE[kind])
        if kind == WEIGHTY:
            return replace(example, weight=MAX_WEIGHT if number % 2 else -MAX_WEIGHT)
        if kind == "contradictory labels":
            return replace(example, label=number % 2)
        if kind == "no positives":
            return replace(example, label=0)
        value = MISSING if kind == "missing field" else 1_000_000 + number
        example.buckets[self._field] = int(bucket_of(self._field, value, self._mask))
        return example


def _is_finite(task: TaskLearner) -> bool:
    """Whether every number is that examples have taught."""
    assert task.shifts is not None
    states = [state for model in task.population.members for state in (model.z, model.n, model.weights())]
    return all(bool(np.isfinite(each).all()) for each in (*states, task.shifts.mean, task.shifts.information))


def _largest_shift(task: TaskLearner) -> float:
    assert task.shifts is not None
    return float(np.abs(task.shifts.mean).max())


def _learn(model: FTRLProximal, examples: list[Example]) -> None:
    if examples:
        labels = np.array([example.label for example in examples], np.bool_)
        weights = np.array([example.weight for example in examples])
        model.learn_many_hashed(*to_rows([example.buckets for example in examples]), labels, weights)


def _loss(model: FTRLProximal, examples: list[Example]) -> float:
    p = model.predict_many_hashed(*to_rows([example.buckets for example in examples]))
    labels = np.array([example.label for example in examples], np.bool_)
    return float(-np.log(np.clip(np.where(labels, p, 1.0 - p), 1e-15, None)).mean())
