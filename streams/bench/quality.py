"""How well the learners predict on public logs, ours beside the references, on the same features."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple
from numpy.typing import NDArray

from models.bucket_use import BucketUse, bucket_use
from models.ftrl import FTRLProximal
from streams.bench.contestants import Contestant, LinearSettings, compared
from streams.bench.learner_speed import versions
from streams.bench.public_logs import HashedLog, criteo, talkingdata
from streams.bench.scores import (
    Interval,
    auc,
    losses,
    over_blocks,
    over_orders,
    relative_information_gain,
)

BITS = 18
BLOCK = 500
"""Clicks of a block of the bootstrap; a tenth of a percent of them are positive."""
GRID = tuple(
    LinearSettings(alpha, beta, 0.0, l2)
    for alpha, beta, l2 in product((0.05, 0.1, 0.2, 0.4), (1.0, 0.1), (1.0, 0.1, 0.0))
)
"""What settings of FTRL are chosen from, on the first half of talkingdata."""


class Score(Struct, frozen=True):
    """Of one learner, progressive: every example is predicted before it is learned."""

    log_loss: Interval
    """Nats an example."""
    relative_information_gain: float
    auc: float
    minus_best_reference: Interval | None
    """Log loss minus that of the best reference, paired; None for references."""


class LogReport(Struct, frozen=True):
    """Of one log."""

    examples: int
    """Scored."""
    positives: int
    features: int
    orders: int
    """Random orders that were learned; 1 is the order of time."""
    interval: str
    """How the 95% intervals were made."""
    best_reference: str
    """The one with the lowest log loss on this log, which favours the references."""
    scores: dict[str, Score]
    bucket_use: BucketUse


class Report(Struct, frozen=True):
    """Of all logs that were asked for."""

    logs: dict[str, LogReport]
    chosen: LinearSettings | None
    """Settings of FTRL that were best on the first half of talkingdata; None without that log."""
    bits: int
    versions: dict[str, str]


def run(
    directory: Path, logs: Sequence[str], orders: int, seed: int, advance: Callable[[], object]
) -> Report:
    """Read the logs below ``directory`` and let all learners learn them.

    ``advance`` is called after each learner and order, ``steps(logs, orders)`` times.

    Raises:
        LogError: A log is not there, or is something else.
    """
    read = {name: {"criteo": criteo, "talkingdata": talkingdata}[name](directory, BITS) for name in logs}
    chosen = choose(read["talkingdata"]) if "talkingdata" in read else None
    learners = list(compared(BITS, chosen))
    reports = {}
    for name, log in read.items():
        if name == "talkingdata":
            reports[name] = in_time(log, learners, seed, advance)
        else:
            reports[name] = in_orders(log, learners, orders, seed, advance)
    return Report(reports, chosen, BITS, versions())


def steps(logs: Sequence[str], orders: int) -> int:
    """How often ``run`` calls ``advance``."""
    chosen = LinearSettings() if "talkingdata" in logs else None
    return len(list(compared(BITS, chosen))) * sum(1 if name == "talkingdata" else orders for name in logs)


def choose(log: HashedLog) -> LinearSettings:
    """Settings of FTRL of ``GRID`` with the lowest progressive log loss on the first half of a log."""
    half = len(log.labels) // 2
    features = log.buckets.shape[1]
    flat, offsets = log.buckets[:half].reshape(-1), np.arange(half + 1) * features
    labels, ones = log.labels[:half], np.ones(half)

    def log_loss(settings: LinearSettings) -> float:
        model = FTRLProximal(BITS, *astuple(settings))
        return float(losses(model.learn_many_hashed(flat, offsets, labels, ones), labels).mean())

    return min(GRID, key=log_loss)


def in_orders(
    log: HashedLog, learners: Sequence[Contestant], orders: int, seed: int, advance: Callable[[], object]
) -> LogReport:
    """Learn a log without time in ``orders`` seeded random orders, the same for all learners."""
    random = np.random.default_rng(seed)
    log_losses: dict[str, list[float]] = {learner.name: [] for learner in learners}
    areas: dict[str, list[float]] = {learner.name: [] for learner in learners}
    for _ in range(orders):
        order = random.permutation(len(log.labels))
        buckets, labels = log.buckets[order], log.labels[order]
        for learner in learners:
            predictions = learner.prepare(buckets, labels)()
            log_losses[learner.name].append(float(losses(predictions, labels).mean()))
            areas[learner.name].append(auc(predictions, labels))
            advance()
    by_name = {name: np.array(values) for name, values in log_losses.items()}
    best = _best(learners, {name: values.mean() for name, values in by_name.items()})
    return LogReport(
        examples=len(log.labels),
        positives=int(log.labels.sum()),
        features=log.buckets.shape[1],
        orders=orders,
        interval="Student's t over orders of the same examples",
        best_reference=best,
        scores={
            learner.name: Score(
                over_orders(by_name[learner.name]),
                relative_information_gain(by_name[learner.name].mean(), log.labels),
                float(np.mean(areas[learner.name])),
                over_orders(by_name[learner.name] - by_name[best]) if learner.is_ours else None,
            )
            for learner in learners
        },
        bucket_use=bucket_use(log.fields, log.tokens, log.buckets, BITS),
    )


def in_time(
    log: HashedLog, learners: Sequence[Contestant], seed: int, advance: Callable[[], object]
) -> LogReport:
    """Learn a log in its order and score its second half; the first may have served to choose settings."""
    half = len(log.labels) // 2
    labels = log.labels[half:]
    predicted: dict[str, NDArray[np.float64]] = {}
    for learner in learners:
        predicted[learner.name] = learner.prepare(log.buckets, log.labels)()[half:]
        advance()
    by_name = {name: losses(predictions, labels) for name, predictions in predicted.items()}
    best = _best(learners, {name: values.mean() for name, values in by_name.items()})
    return LogReport(
        examples=labels.size,
        positives=int(labels.sum()),
        features=log.buckets.shape[1],
        orders=1,
        interval=f"bootstrap of blocks of {BLOCK} clicks in order of time",
        best_reference=best,
        scores={
            learner.name: Score(
                over_blocks(by_name[learner.name], BLOCK, seed),
                relative_information_gain(by_name[learner.name].mean(), labels),
                auc(predicted[learner.name], labels),
                over_blocks(by_name[learner.name] - by_name[best], BLOCK, seed) if learner.is_ours else None,
            )
            for learner in learners
        },
        bucket_use=bucket_use(log.fields, log.tokens, log.buckets, BITS),
    )


def _best(learners: Sequence[Contestant], log_losses: dict[str, float]) -> str:
    references = [learner.name for learner in learners if not learner.is_ours]
    return min(references, key=log_losses.__getitem__)
