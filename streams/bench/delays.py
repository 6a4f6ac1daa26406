"""Conversions that come late: what each way of learning them says of a click, beside what becomes of it.

Clicks, their features and whether they lead to an order are those of the synthetic shop; every exposure of
its log counts as a click, so that cohorts are large. When an order comes is drawn from one of three laws
(their mean differs by the ad's category as in the shop's configuration). The stream runs for ``Plan.days``
days; what is judged are predictions that were made at the click, by weights at most an hour old, of clicks
after ``Plan.warm_days`` days.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.delayed_feedback import DelayedFeedback
from models.delays import ConversionDelays, draw_age_ms
from models.features import Buckets
from models.ftrl import FTRLProximal
from models.hashing import mix
from streams.bench.hashing import hashed
from streams.settings import Learning, Processing
from streams.simulate.configuration import Delay, load
from streams.simulate.delays import quantile_ms, share_within
from streams.simulate.shop import Exposures, Shop

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LAWS = {
    "mean-6h": Delay("exponential", 6 * 3600.0),
    "mean-1d": Delay("exponential", 86_400.0),
    "heavy-tail": Delay("lomax", 86_400.0, shape=1.6),
}
"""The last has infinite variance; an order counts up to the attribution window, 7 days."""
STREAMS = ("steady", "sale")
SALE_CLICKS, SALE_LOG_ODDS = 2.0, 0.3
LAUNCHED = 10
"""Of so many ads one is first shown when the judged days begin."""
RECHECKED_MS = (HOUR_MS, 6 * HOUR_MS, DAY_MS, 3 * DAY_MS, 7 * DAY_MS)
"""Ages at which the delay model learns a click that has not converted."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Plan(Struct, frozen=True):
    """What is measured."""

    laws: tuple[str, ...] = tuple(LAWS)
    stream: str = "steady"
    configuration: str = "base"
    clicks_per_day: int = 100_000
    warm_days: int = 14
    days: int = 18
    seed: int = 1


class Cohort(Struct, frozen=True):
    """Clicks that belong together."""

    clicks: int
    conversions: int
    ratio: float
    """Mean prediction at the click / mean final label."""


class MethodReport(Struct, frozen=True):
    """One way of learning, under one law."""

    by_day: dict[int, Cohort]
    """By day of the click, the first being 0; all days, also those that are not judged."""
    judged: Cohort
    launched: Cohort
    """Of the judged those on ads that were new."""
    log_loss_excess: float
    """Nats a judged click above what the true probabilities have: the mean divergence from them."""
    worst_ratio: float
    """Of the judged days the one that is farthest from 1."""


class Report(Struct, frozen=True):
    """By law, then by method."""

    plan: Plan
    laws: dict[str, dict[str, MethodReport]]


class Clicks(NamedTuple):
    """In order of time; arrays have an entry a click."""

    ts_ms: Integers
    buckets: Buckets
    truth: Floats
    """Probability of a conversion inside the window."""
    converted: Flags
    """Inside the window."""
    delay_ms: Integers
    launched: Flags


class Examples(NamedTuple):
    """What is told when, in any order; ``click`` are rows of ``Clicks``."""

    ts_ms: Integers
    click: Integers
    label: Flags
    weight: Floats
    age_ms: Integers
    previous_ms: Integers


class Method(Protocol):
    """A way of learning."""

    def examples(self, clicks: Clicks, window_ms: int) -> Examples: ...

    def learn(self, buckets: Buckets, offsets: Integers, told: Examples) -> None: ...

    def predict(self, buckets: Buckets, offsets: Integers) -> Floats: ...


def run(plan: Plan, advance: Callable[[], object]) -> Report:
    """Measure; ``advance`` is called after each method.

    Raises:
        ConfigurationError: There is no such configuration.
    """
    laws: dict[str, dict[str, MethodReport]] = {}
    for law in plan.laws:
        clicks = draw(plan, LAWS[law])
        laws[law] = {}
        for name, make in METHODS.items():
            predictions = replay(make(), clicks, _window_ms())
            laws[law][name] = judge(plan, clicks, predictions)
            advance()
    return Report(plan, laws)


def draw(plan: Plan, law: Delay) -> Clicks:
    """The stream of clicks."""
    per_day = np.full(plan.days, plan.clicks_per_day)
    if plan.stream == "sale":
        per_day[plan.warm_days :] = int(plan.clicks_per_day * SALE_CLICKS)
    days = np.repeat(np.arange(plan.days), per_day)
    shop = Shop(load(plan.configuration), plan.seed)
    random = np.random.default_rng([plan.seed, 5])
    in_day = np.arange(len(days)) - (np.cumsum(per_day) - per_day)[days]
    ts_ms = DAY_MS * days + DAY_MS * in_day // per_day[days]
    # Shuffled, or a day of the log would be stretched over several: one of its hours after another.
    shown = _shuffled(shop.exposures(len(days)), random)._replace(ts_ms=ts_ms)
    launched = shown.ad % LAUNCHED == 0
    kept = ~launched | (days >= plan.warm_days)
    log_odds = np.log(shown.p_purchase / (1 - shown.p_purchase))
    if plan.stream == "sale":
        log_odds += SALE_LOG_ODDS * (days >= plan.warm_days)
    factor = shop.world.purchase_delay_factor[shop.world.ad_category[shown.ad]]
    delay_ms = quantile_ms(law, random.random(len(days)), factor)
    bought = random.random(len(days)) < 1 / (1 + np.exp(-log_odds))
    inside = _share_inside(law, factor)
    return Clicks(
        ts_ms=ts_ms[kept],
        buckets=hashed(shop, shown, Learning().bits)[kept],
        truth=(inside / (1 + np.exp(-log_odds)))[kept],
        converted=(bought & (delay_ms <= _window_ms()))[kept],
        delay_ms=delay_ms[kept],
        launched=launched[kept],
    )


def _shuffled(shown: Exposures, random: np.random.Generator) -> Exposures:
    order = random.permutation(len(shown.ad))
    return Exposures._make(column[order] for column in shown)


def replay(method: Method, clicks: Clicks, window_ms: int) -> Floats:
    """What the method predicts at each click, hour by hour: first predict, then learn what was told."""
    told = method.examples(clicks, window_ms)
    order = np.argsort(told.ts_ms, kind="stable")
    told = Examples._make(column[order] for column in told)
    predictions = np.empty(len(clicks.ts_ms))
    for start_ms in range(0, int(clicks.ts_ms[-1]) + 1, HOUR_MS):
        first, end = np.searchsorted(clicks.ts_ms, (start_ms, start_ms + HOUR_MS))
        rows = clicks.buckets[first:end]
        predictions[first:end] = method.predict(rows.ravel(), _offsets(rows))
        first, end = np.searchsorted(told.ts_ms, (start_ms, start_ms + HOUR_MS))
        rows = clicks.buckets[told.click[first:end]]
        method.learn(rows.ravel(), _offsets(rows), Examples._make(column[first:end] for column in told))
    return predictions


def judge(plan: Plan, clicks: Clicks, predictions: Floats) -> MethodReport:
    """Hold predictions against what became of the clicks."""
    day = clicks.ts_ms // DAY_MS
    by_day = {number: _cohort(clicks, predictions, day == number) for number in range(plan.days)}
    judged = day >= plan.warm_days
    p, truth = np.clip(predictions[judged], 1e-12, 1 - 1e-12), clicks.truth[judged]
    divergence = truth * np.log(truth / p) + (1 - truth) * np.log((1 - truth) / (1 - p))
    return MethodReport(
        by_day=by_day,
        judged=_cohort(clicks, predictions, judged),
        launched=_cohort(clicks, predictions, judged & clicks.launched),
        log_loss_excess=float(divergence.mean()),
        worst_ratio=max(
            (by_day[number].ratio for number in range(plan.warm_days, plan.days)),
            key=lambda ratio: abs(ratio - 1),
        ),
    )


class Plain:
    """FTRL-Proximal on examples that a function of clicks and window tells."""

    def __init__(self, tell: Callable[[Clicks, int], Examples], *, fake_negative: bool) -> None:
        self.examples = tell
        self._model = _champion(fake_negative)

    def learn(self, buckets: Buckets, offsets: Integers, told: Examples) -> None:
        self._model.learn_many_hashed(buckets, offsets, told.label, told.weight)

    def predict(self, buckets: Buckets, offsets: Integers) -> Floats:
        return self._model.predict_many_hashed(buckets, offsets)


class Calibrated(Plain):
    """Fake negatives learned as they come; the odds of what that says are the probability (Ktena 2019)."""

    def predict(self, buckets: Buckets, offsets: Integers) -> Floats:
        p = super().predict(buckets, offsets)
        return np.minimum(p / (1 - p), 1.0)


class Matched(Plain):
    """As shipped: negatives that come as late as conversions, by ``models.delays``."""

    def __init__(self) -> None:
        super().__init__(as_late_as_conversions, fake_negative=True)
        self._delays = ConversionDelays()

    def learn(self, buckets: Buckets, offsets: Integers, told: Examples) -> None:
        weights = self._delays.weigh(told.label, told.age_ms, told.weight)
        super().learn(buckets, offsets, told._replace(weight=weights))


class Modelled:
    """The delay model of Chapelle 2014; a click is learned as it grows older."""

    def __init__(self) -> None:
        settings = Learning()
        self._model = DelayedFeedback(settings.bits, settings.alpha, settings.beta, settings.l2)

    def examples(self, clicks: Clicks, window_ms: int) -> Examples:
        conversion_ms = np.where(clicks.converted, clicks.delay_ms, window_ms + 1)
        parts, before_ms = [], 0
        for age_ms in RECHECKED_MS:
            waits = np.flatnonzero(conversion_ms > before_ms)
            converts = conversion_ms[waits] <= age_ms
            rows, previous_ms = waits, np.full(len(waits), before_ms)
            told = _told(clicks, rows, np.minimum(conversion_ms[waits], age_ms), previous_ms=previous_ms)
            parts.append(told._replace(label=converts))
            before_ms = age_ms
        return _together(*parts)

    def learn(self, buckets: Buckets, offsets: Integers, told: Examples) -> None:
        self._model.learn_many_hashed(
            buckets, offsets, told.label, told.age_ms, told.previous_ms, told.weight
        )

    def predict(self, buckets: Buckets, offsets: Integers) -> Floats:
        return self._model.predict_many_hashed(buckets, offsets)


def as_late_as_conversions(clicks: Clicks, window_ms: int) -> Examples:
    """Each click once as a negative, at a drawn age; each conversion as a positive when it comes."""
    drawn = [draw_age_ms(int(mix(np.uint64(number))) >> 1, window_ms) for number in range(len(clicks.ts_ms))]
    ages_ms = np.array([age_ms for age_ms, _ in drawn], np.int64)
    negatives = _told(clicks, np.arange(len(ages_ms)), ages_ms)
    weights = np.array([weight for _, weight in drawn], np.float64)
    return _together(negatives._replace(weight=weights), _conversions(clicks))


def at_the_click(clicks: Clicks, window_ms: int) -> Examples:
    """Each click as a negative at once; each conversion as a positive when it comes."""
    everything = np.arange(len(clicks.ts_ms))
    return _together(_told(clicks, everything, np.zeros(len(everything), np.int64)), _conversions(clicks))


def after(age_ms: int) -> Callable[[Clicks, int], Examples]:
    """Each click once, at an age, by whether it has converted until then."""

    def tell(clicks: Clicks, window_ms: int) -> Examples:
        told = _told(clicks, np.arange(len(clicks.ts_ms)), np.full(len(clicks.ts_ms), age_ms))
        return told._replace(label=clicks.converted & (clicks.delay_ms <= age_ms))

    return tell


def negative_after(age_ms: int) -> Callable[[Clicks, int], Examples]:
    """Each click as a negative at an age, the same for all; each conversion when it comes."""

    def tell(clicks: Clicks, window_ms: int) -> Examples:
        negatives = _told(clicks, np.arange(len(clicks.ts_ms)), np.full(len(clicks.ts_ms), age_ms))
        return _together(negatives, _conversions(clicks))

    return tell


def told_at_once(clicks: Clicks, window_ms: int) -> Examples:
    """The final label at the click: what nobody can have."""
    return after(0)(clicks, window_ms)._replace(label=clicks.converted)


METHODS: dict[str, Callable[[], Method]] = {
    "told-at-once": lambda: Plain(told_at_once, fake_negative=False),
    "label-at-1-hour": lambda: Plain(after(HOUR_MS), fake_negative=False),
    "waiting-7-days": lambda: Plain(after(7 * DAY_MS), fake_negative=False),
    "fake-negative": lambda: Plain(at_the_click, fake_negative=True),
    "fake-negative-calibrated": lambda: Calibrated(at_the_click, fake_negative=False),
    "negative-after-1-day": lambda: Plain(negative_after(DAY_MS), fake_negative=True),
    "delay-model": Modelled,
    "shipped": Matched,
}
"""By name; the first cannot be had and shows what the delay costs."""


def _champion(fake_negative: bool) -> FTRLProximal:
    settings = Learning()
    return FTRLProximal(
        settings.bits, settings.alpha, settings.beta, settings.l1, settings.l2,
        "fake_negative" if fake_negative else "none",
    )  # fmt: skip


def _window_ms() -> int:
    return int(1000 * Processing().attribution_window_s)


def _share_inside(law: Delay, factor: Floats) -> Floats:
    return share_within(law, _window_ms() / 1000, factor)


def _conversions(clicks: Clicks) -> Examples:
    came = np.flatnonzero(clicks.converted)
    return _told(clicks, came, clicks.delay_ms[came], label=True)


def _told(
    clicks: Clicks, rows: Integers, ages_ms: Integers, label: bool = False,
    previous_ms: Integers | None = None,
) -> Examples:  # fmt: skip
    return Examples(
        ts_ms=clicks.ts_ms[rows] + ages_ms,
        click=rows,
        label=np.full(len(rows), label),
        weight=np.ones(len(rows)),
        age_ms=ages_ms,
        previous_ms=np.zeros(len(rows), np.int64) if previous_ms is None else previous_ms,
    )


def _together(*parts: Examples) -> Examples:
    return Examples(*map(np.concatenate, zip(*parts, strict=True)))


def _offsets(rows: Buckets) -> Integers:
    return np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int64)


def _cohort(clicks: Clicks, predictions: Floats, chosen: Flags) -> Cohort:
    conversions = int(clicks.converted[chosen].sum())
    expected = float(predictions[chosen].sum())
    return Cohort(int(chosen.sum()), conversions, expected / conversions if conversions else float("nan"))
