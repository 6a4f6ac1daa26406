"""What it is worth to react to a drift: regret of each reaction, on streams that drift in a known way."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.drift import BLOCK, DriftDetector
from models.ftrl import FTRLProximal
from models.population import Population, carry, settings_of

FIELDS = (1, 200, 50, 20, 24)  # values of each; the first is the bias
SPREAD = 0.6
BASE_LOGIT = -3.0
BITS = 10
RATES = 0.05, 0.2
"""Learning rates (alpha): as shipped, and what is best for these streams while they do not drift."""
STREAMS = ("none", "abrupt", "gradual", "recurring")
FORGOTTEN = 0.9  # share of the accumulators that goes at a drift: steps become three times as long
ALWAYS_FORGOTTEN = 0.01  # at each block: what is 10,000 examples old counts 1/e
WARNING_DELTA = 0.05
SHIPPED = "population"

Floats = NDArray[np.float64]


class Drifting(Struct, frozen=True):
    """n examples and the truth."""

    buckets: NDArray[np.uint32]
    """uint32[n, fields]"""
    truth: Floats
    """float64[n]: probability."""
    labels: NDArray[np.bool_]


class Reaction(Protocol):
    """A learner and what it does about drift."""

    def learn(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> Floats:
        """Learn a block; what was predicted before each example."""


class Never:
    """Learns on; FTRL's per-coordinate rates fall as they fall."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.model = self.fresh()
        self.detector = DriftDetector()

    def fresh(self) -> FTRLProximal:
        return FTRLProximal(BITS, self.alpha)

    def learn(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> Floats:
        said = self.model.learn_many_hashed(buckets, offsets, labels, np.ones(labels.size))
        self.after(said, buckets, offsets, labels)
        return said

    def after(
        self, said: Floats, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> None:
        if self.detector.update(said, labels):
            self.react()

    def react(self) -> None:
        """A drift was found."""


class Always(Never):
    """Forgets some of its accumulators with every block, drift or not."""

    def after(
        self, said: Floats, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> None:
        self.model = carry(self.model, settings_of(self.model), ALWAYS_FORGOTTEN)


class Raise(Never):
    """Keeps its weights and forgets 90% of its accumulators, which raises every rate."""

    def react(self) -> None:
        self.model = carry(self.model, settings_of(self.model), FORGOTTEN)


class Reset(Never):
    """Begins anew."""

    def react(self) -> None:
        self.model = self.fresh()


class Switch(Never):
    """At a warning starts a learner anew, which takes over at a drift (as adaptive random forests do)."""

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.warning = DriftDetector(WARNING_DELTA)
        self.anew: FTRLProximal | None = None

    def after(
        self, said: Floats, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> None:
        if self.anew is not None:
            self.anew.learn_many_hashed(buckets, offsets, labels, np.ones(labels.size))
        if self.warning.update(said, labels):
            self.anew = self.fresh()
        super().after(said, buckets, offsets, labels)

    def react(self) -> None:
        self.model, self.anew = self.anew or self.fresh(), None


class Contestants(Never):
    """Three challengers with other settings; a better one is promoted (``models/population.py``)."""

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.population = Population(self.model, challengers=3)

    def learn(
        self, buckets: NDArray[np.uint32], offsets: NDArray[np.int64], labels: NDArray[np.bool_]
    ) -> Floats:
        said, _ = self.population.learn_many_hashed(buckets, offsets, labels, np.ones(labels.size))
        return said


REACTIONS: dict[str, type[Never]] = {
    "never": Never,
    "always": Always,
    "raise": Raise,
    "reset": Reset,
    "switch": Switch,
    "population": Contestants,
}


class Regret(Struct, frozen=True):
    """One reaction on one kind of stream."""

    stream: str
    alpha: float
    reaction: str
    regret: float
    """Millinats an example: mean Kullback-Leibler divergence of the predictions from the truth."""
    to_never: float
    """Regret less that of never reacting on the same streams, mean."""
    to_never_se: float | None
    """Its standard error over the seeds; None for one."""
    drifts: float
    """Found on a stream, mean."""


class Report(Struct, frozen=True):
    """All reactions on all streams."""

    examples: int
    seeds: int
    results: list[Regret]
    mean_regret: dict[str, dict[str, float]]
    """By learning rate, of each reaction, over all streams."""
    winners: dict[str, str]
    """By learning rate, the least of them."""
    shipped: str


def run(examples: int, seeds: int, advance: Callable[[], object]) -> Report:
    """Let every reaction learn every stream; ``advance`` is called after each stream of each seed."""
    keys = [(stream, alpha, reaction) for stream in STREAMS for alpha in RATES for reaction in REACTIONS]
    regret: dict[tuple[str, float, str], list[float]] = {key: [] for key in keys}
    drifts = dict.fromkeys(keys, 0)
    for seed in range(seeds):
        for stream in STREAMS:
            data = drawn(stream, examples, seed)
            for alpha in RATES:
                for reaction, kind in REACTIONS.items():
                    learner = kind(alpha)
                    regret[stream, alpha, reaction].append(divergence(data, learner))
                    drifts[stream, alpha, reaction] += learner.detector.drifts
            advance()
    results = []
    for stream, alpha, reaction in keys:
        values = np.array(regret[stream, alpha, reaction])
        apart = values - np.array(regret[stream, alpha, "never"])
        results.append(
            Regret(
                stream=stream,
                alpha=alpha,
                reaction=reaction,
                regret=1000.0 * float(values.mean()),
                to_never=1000.0 * float(apart.mean()),
                to_never_se=1000.0 * float(apart.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else None,
                drifts=drifts[stream, alpha, reaction] / seeds,
            )
        )
    mean = {
        f"{alpha:g}": {
            reaction: float(
                np.mean([each.regret for each in results if (each.reaction, each.alpha) == (reaction, alpha)])
            )
            for reaction in REACTIONS
        }
        for alpha in RATES
    }
    winners = {alpha: min(figures, key=figures.__getitem__) for alpha, figures in mean.items()}
    return Report(examples, seeds, results, mean, winners, SHIPPED)


def drawn(stream: str, examples: int, seed: int) -> Drifting:
    """Examples whose effects change from one drawn set to another, in the way of the stream."""
    random = np.random.default_rng(seed)
    size = sum(FIELDS)
    effects = random.normal(0.0, SPREAD, (2, size))
    effects[:, 0] = BASE_LOGIT
    starts = np.cumsum((0, *FIELDS[:-1]))
    values = random.integers(0, FIELDS, (examples, len(FIELDS)))
    places = (values + starts).astype(np.uint32)
    time = np.arange(examples) / examples
    new = {
        "none": np.zeros(examples),
        "abrupt": (time >= 0.5).astype(np.float64),
        "gradual": np.clip(2.0 * time - 0.5, 0.0, 1.0),
        "recurring": (np.floor(4.0 * time) % 2 == 1).astype(np.float64),
    }[stream]
    old_logit, new_logit = (effect[places].sum(axis=1) for effect in effects)
    truth = 1.0 / (1.0 + np.exp(-((1.0 - new) * old_logit + new * new_logit)))
    return Drifting(places, truth, random.random(examples) < truth)


def divergence(data: Drifting, learner: Reaction) -> float:
    """Mean divergence of what the learner says before it sees each label, in nats."""
    width = data.buckets.shape[1]
    said = np.empty(data.truth.size)
    for start in range(0, said.size, BLOCK):
        part = slice(start, start + BLOCK)
        labels = data.labels[part]
        offsets = np.arange(0, labels.size * width + 1, width, dtype=np.int64)
        said[part] = learner.learn(data.buckets[part].ravel(), offsets, labels)
    p, q = data.truth, np.clip(said, 1e-15, 1.0 - 1e-15)
    return float(np.mean(p * np.log(p / q) + (1.0 - p) * np.log((1.0 - p) / (1.0 - q))))
