"""Whether the right challengers are promoted, and how fast; roll-back, cost and the search over settings."""

import time
from collections.abc import Callable

import numpy as np
from msgspec import Struct

from models.challenger import Challenger
from models.contest import ERROR_RATE, MARGIN, WARM_UP, Contest
from models.ftrl import FTRLProximal
from models.population import Population, settings_of
from streams.bench.learning.exposures import BITS, Exposures
from streams.bench.learning.rivals import BREAKS, better, broken, equals

MOST_PROMOTIONS = 67  # of 1,000: 5% and two and a half standard deviations
WITHIN_EVENTS = 50_000  # a challenger that is 1% better is promoted in 95 of 100 streams
ROLLED_BACK_WITHIN = 5_000
POWER_EVENTS = 200_000
POWER_STREAMS = 0.2  # of those for false promotions
SEARCH_ALPHA = 0.002  # a bad start, far below the shipped one
SEARCH_EXAMPLES = 200_000
BATCH = 1_000
REIGNS = {"at once": 0, "after 100,000 examples": 100_000}


class Waits(Struct, frozen=True):
    """Events until something happened, over streams."""

    streams: int
    happened: int
    median: float | None
    p95: float | None
    """Of all streams; None where it did not happen in so many."""
    longest: int | None


class Rule(Struct, frozen=True):
    """One test: how often it errs, and how long it takes."""

    false_promotions: int
    better: Waits


class Search(Struct, frozen=True):
    """A population that starts with bad settings."""

    challengers: int
    promotions: int
    alpha_start: float
    alpha_end: float
    log_loss: float
    """Of whoever was champion, over the second half."""
    log_loss_start: float
    """Of a learner that keeps the settings of the start."""
    log_loss_shipped: float
    """Of a learner with the shipped settings."""


class Report(Struct, frozen=True):
    """All that was measured."""

    streams: int
    events: int
    seed: int
    error_rate: float
    margin: float
    warm_up: int
    most_promotions: int
    """False promotions that chance allows for so many streams."""
    rules: dict[str, Rule]
    """``betting`` is shipped."""
    better_gain: float
    """Mean gain in log loss of the better challenger."""
    rollback: dict[str, Waits]
    """By the way in which the champion is broken, and when it broke."""
    cost_us: dict[str, float]
    """CPU microseconds an example: each model's predict and learn, and a pair of the contest."""
    search: Search
    failures: list[str]


def run(streams: int, events: int, seed: int, advance: Callable[[int], object]) -> Report:
    """Measure; ``advance`` is called with the streams done."""
    seeds = np.random.SeedSequence(seed).generate_state(streams).tolist()
    false = np.empty((streams, 2), np.int64)
    for i, each in enumerate(seeds):
        false[i] = equals(each, events, WARM_UP, MARGIN, ERROR_RATE)
        advance(1)
    chosen = seeds[: max(int(POWER_STREAMS * streams), 1)]
    found, gains = np.empty((len(chosen), 2), np.int64), []
    for i, each in enumerate(chosen):
        betting, bernstein, (champion, challenger) = better(each, POWER_EVENTS, WARM_UP, MARGIN, ERROR_RATE)
        found[i] = betting, bernstein
        gains.append(1.0 - challenger / champion)
        advance(1)
    rollback = {
        f"{name}, {when}": waits(
            np.array([broken(each, POWER_EVENTS, kind, reign, MARGIN, ERROR_RATE / 2) for each in chosen])
        )
        for when, reign in REIGNS.items()
        for name, kind in BREAKS.items()
    }
    rules = {
        rule: Rule(int((false[:, column] >= 0).sum()), waits(found[:, column]))
        for column, rule in enumerate(("betting", "empirical Bernstein"))
    }
    most = MOST_PROMOTIONS if streams == 1000 else int(np.ceil(streams * ERROR_RATE + 2.5 * _sd(streams)))
    data = Exposures(SEARCH_EXAMPLES, seed)
    return Report(
        streams=streams,
        events=events,
        seed=seed,
        error_rate=ERROR_RATE,
        margin=MARGIN,
        warm_up=WARM_UP,
        most_promotions=most,
        rules=rules,
        better_gain=float(np.mean(gains)),
        rollback=rollback,
        cost_us=cost(data),
        search=search(data),
        failures=failures(rules["betting"], most, rollback),
    )


def waits(events: np.ndarray) -> Waits:
    """Summary of int64[streams], where -1 is never."""
    happened = np.where(events < 0, np.iinfo(np.int64).max, events)
    middle, late = (int(np.quantile(happened, q, method="higher")) for q in (0.5, 0.95))
    known = events[events >= 0]
    never = np.iinfo(np.int64).max
    return Waits(
        streams=events.size,
        happened=known.size,
        median=None if middle == never else middle,
        p95=None if late == never else late,
        longest=int(known.max()) if known.size else None,
    )


def cost(data: Exposures) -> dict[str, float]:
    """CPU microseconds an example of what a challenger costs."""
    buckets, offsets = rows(data)
    labels, ones = data.labels, np.ones(data.labels.size)
    figures = {}
    model = FTRLProximal(BITS)
    model.learn_many_hashed(buckets[: offsets[1]], offsets[:2], labels[:1], ones[:1])  # compiles
    started_s = time.process_time()
    said = model.learn_many_hashed(buckets, offsets, labels, ones)
    figures["ftrl"] = (time.process_time() - started_s) * 1e6 / labels.size
    contest = Contest(2)
    pairs = np.stack([said, said])
    contest.update(pairs[:, :1].copy(), labels[:1], ones[:1])
    started_s = time.process_time()
    contest.update(pairs, labels, ones)
    figures["a pair of the contest"] = (time.process_time() - started_s) * 1e6 / labels.size
    river, few = Challenger(), data.buckets[:5_000].tolist()
    started_s = time.process_time()
    for row, label in zip(few, labels.tolist(), strict=False):
        river.learn(row, label, 1.0)
    figures["river-lr"] = (time.process_time() - started_s) * 1e6 / len(few)
    return figures


def search(data: Exposures, challengers: int = 3) -> Search:
    """Let a population that starts badly find its settings."""
    buckets, offsets = rows(data)
    labels = data.labels
    population = Population(FTRLProximal(BITS, alpha=SEARCH_ALPHA), challengers)
    fixed = [FTRLProximal(BITS, alpha=SEARCH_ALPHA), FTRLProximal(BITS)]
    said = np.empty((3, labels.size))
    promotions = 0
    for start in range(0, labels.size, BATCH):
        end = min(start + BATCH, labels.size)
        batch = (
            buckets[offsets[start] : offsets[end]],
            offsets[start : end + 1] - offsets[start],
            labels[start:end],
            np.ones(end - start),
        )
        said[0, start:end], changes = population.learn_many_hashed(*batch)
        promotions += len(changes)
        for row, model in enumerate(fixed, 1):
            said[row, start:end] = model.learn_many_hashed(*batch)
    late = slice(labels.size // 2, None)
    p = np.clip(said[:, late], 1e-15, 1.0 - 1e-15)
    losses = -np.where(labels[late], np.log(p), np.log(1.0 - p)).mean(axis=1)
    return Search(
        challengers,
        promotions,
        SEARCH_ALPHA,
        settings_of(population.champion).alpha,
        *(float(loss) for loss in losses),
    )


def rows(data: Exposures) -> tuple[np.ndarray, np.ndarray]:
    """The exposures as compressed sparse rows."""
    count, width = data.buckets.shape
    return data.buckets.ravel(), np.arange(0, count * width + 1, width, dtype=np.int64)


def failures(rule: Rule, most: int, rollback: dict[str, Waits]) -> list[str]:
    """What the shipped rule misses, in words."""
    missed = []
    if rule.false_promotions > most:
        missed.append(f"expected at most {most} false promotions, got {rule.false_promotions}")
    if rule.better.p95 is None or rule.better.p95 > WITHIN_EVENTS:
        missed.append(
            f"expected a better challenger to be promoted within {WITHIN_EVENTS} events in 95% of streams, "
            f"got {rule.better.p95}"
        )
    for name, wait in rollback.items():
        if wait.p95 is None or wait.p95 > ROLLED_BACK_WITHIN:
            missed.append(
                f"expected a champion that {name} to be rolled back within {ROLLED_BACK_WITHIN} events "
                f"in 95% of streams, got {wait.p95}"
            )
    return missed


def _sd(streams: int) -> float:
    return float(np.sqrt(streams * ERROR_RATE * (1.0 - ERROR_RATE)))
