"""The gate before learning: a source whose examples look wrong is scored and not learned from."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.features import AD, FEATURES, WORDS
from models.hashing import MISSING, bucket_of, mix

SOURCES = ("own", "foreign")
MAX_WEIGHT = 1e6
"""Of an example, either way: negatives kept at one in a million; sums stay finite."""

STEP = 100  # examples of a source between two looks
QUICK, SLOW, REFERENCE = (
    5.0,
    100.0,
    1000.0,
)  # steps after which one counts 1/e: 500, 10,000 and 100,000 examples
FIRST_STEPS = 100
"""Steps before anything but unusable examples can close the gate: there is nothing to hold them against."""
CALM_STEPS = 10  # without a reason, before it opens again
SELDOM_MISSING = 0.2
"""Share of examples without a value in a field, below which it is one that is missed."""
SURPRISE = (
    18.0  # nats, n x divergence: what chance does to a rate once in 65 million looks (Chernoff's bound)
)

USABLE, UNUSABLE, MISSING_FIELD, DISTINCT_VALUES, RATE_HIGH, RATE_LOW = range(6)
REASONS = ("", "unusable", "missing_field", "distinct_values", "label_rate_high", "label_rate_low")

SEEN, POSITIVE, BAD, WIDE, STEPS, REASON, CALM, CLOSED, QUICK_RATE, SLOW_RATE, USUAL_RATE, QUICK_BAD = range(
    12
)
COUNTERS = 12
IN_STEP, QUICK_SHARE, USUAL_SHARE = range(3)
BITMAP_BITS = 256
_FULL = BITMAP_BITS * (1.0 - math.exp(-STEP / BITMAP_BITS))  # bits that STEP distinct values set on average

Floats = NDArray[np.float64]


class Limits(NamedTuple):
    """What a gate closes on when it is passed."""

    unusable_share: float = 0.05
    """Of a source's examples; 1 is never passed."""
    missing_share: float = 0.5
    """Of examples without a value in a field that usually has one in four of five; 1 is never passed."""
    distinct_factor: float = 3.0
    """Distinct values of a field in a step by the usual; where they are more than the next, too."""
    distinct_share: float = 0.6
    """Distinct values of a field by the examples."""
    high_rate_factor: float = 3.0
    """Label rate by the usual; days and hours differ by less."""
    low_rate_factor: float = 5.0
    """The usual label rate by the one seen."""
    patience_ms: float = 86_400_000.0
    """After so much event time what is unusual, not unusable, is the new usual."""


LIMITS = Limits()


@njit(cache=True, nogil=True)
def _divergence(seen: float, usual: float) -> float:
    """Kullback-Leibler divergence of two rates."""
    usual = min(max(usual, 1e-9), 1.0 - 1e-9)
    first = seen * math.log(seen / usual) if seen > 0.0 else 0.0
    return first + ((1.0 - seen) * math.log((1.0 - seen) / (1.0 - usual)) if seen < 1.0 else 0.0)


@njit(cache=True, nogil=True)
def _judge(counters, missing, distinct, limits):  # type: ignore[no-untyped-def]
    """Reason to close, the field it is about (-1 is none), what is seen and what was usual."""
    if counters[QUICK_BAD] > limits.unusable_share:
        return UNUSABLE, -1, counters[QUICK_BAD], limits.unusable_share
    if counters[STEPS] < FIRST_STEPS:
        return USABLE, -1, 0.0, 0.0
    for field in range(missing.shape[0]):
        seen, usual = missing[field, QUICK_SHARE], missing[field, USUAL_SHARE]
        if seen > limits.missing_share and usual < SELDOM_MISSING:
            return MISSING_FIELD, field, seen, usual
        seen, usual = distinct[field, QUICK_SHARE], distinct[field, USUAL_SHARE]
        if seen > limits.distinct_share and seen > limits.distinct_factor * usual:
            return DISTINCT_VALUES, field, seen, usual
    usual = counters[USUAL_RATE]
    seen = counters[QUICK_RATE]
    if seen > limits.high_rate_factor * usual and QUICK * STEP * _divergence(seen, usual) > SURPRISE:
        return RATE_HIGH, -1, seen, usual
    seen = counters[SLOW_RATE]
    if seen * limits.low_rate_factor < usual and SLOW * STEP * _divergence(seen, usual) > SURPRISE:
        return RATE_LOW, -1, seen, usual
    return USABLE, -1, 0.0, 0.0


@njit(cache=True, nogil=True)
def _end_step(counters, missing, distinct, bitmaps):  # type: ignore[no-untyped-def]
    """Fold the step into the quick averages; those of what is usual follow when it was judged."""
    share = 1.0 - math.exp(-1.0 / QUICK)
    counters[QUICK_BAD] += share * (counters[BAD] / STEP - counters[QUICK_BAD])
    rate = counters[POSITIVE] / max(STEP - counters[BAD], 1.0)
    first = counters[STEPS] == 0.0
    counters[QUICK_RATE] = rate if first else counters[QUICK_RATE] + share * (rate - counters[QUICK_RATE])
    counters[SLOW_RATE] += (rate - counters[SLOW_RATE]) * max(
        1.0 - math.exp(-1.0 / SLOW), 1.0 / (counters[STEPS] + 1.0)
    )
    if counters[WIDE] > 0.0:
        for field in range(missing.shape[0]):
            absent = missing[field, IN_STEP] / counters[WIDE]
            bits = 0
            for word in range(bitmaps.shape[1]):
                bits += _count_bits(bitmaps[field, word])
            found = min(bits / _FULL, 1.0) * STEP / max(counters[WIDE], STEP / 2.0)
            missing[field, QUICK_SHARE] += share * (absent - missing[field, QUICK_SHARE])
            distinct[field, QUICK_SHARE] += share * (found - distinct[field, QUICK_SHARE])
            distinct[field, IN_STEP] = found


@njit(cache=True, nogil=True)
def _accept(counters, missing, distinct, share):  # type: ignore[no-untyped-def]
    """Draw what is usual to what was seen in the step."""
    rate = counters[POSITIVE] / max(STEP - counters[BAD], 1.0)
    counters[USUAL_RATE] += share * (rate - counters[USUAL_RATE])
    if counters[WIDE] > 0.0:
        for field in range(missing.shape[0]):
            absent = missing[field, IN_STEP] / counters[WIDE]
            missing[field, USUAL_SHARE] += share * (absent - missing[field, USUAL_SHARE])
            distinct[field, USUAL_SHARE] += share * (distinct[field, IN_STEP] - distinct[field, USUAL_SHARE])


@njit(cache=True, nogil=True, inline="always")
def _count_bits(word: np.uint64) -> int:
    count = 0
    while word:
        word &= word - np.uint64(1)
        count += 1
    return count


@njit(cache=True, nogil=True)
def _pass(  # type: ignore[no-untyped-def]
    counters,
    missing,
    distinct,
    bitmaps,
    absent,
    buckets,
    offsets,
    labels,
    weights,
    sources,
    ts_ms,
    learned,
    changes,
    limits,
):
    """Judge examples in order; returns how many rows of ``changes`` were filled."""
    changed = 0
    width = missing.shape[1]
    for i in range(labels.size):
        s = sources[i]
        row = counters[s]
        usable = abs(weights[i]) <= MAX_WEIGHT  # NaN is not
        learned[i] = usable and row[REASON] == USABLE
        row[SEEN] += 1.0
        if not usable:
            row[BAD] += 1.0
        elif labels[i]:
            row[POSITIVE] += 1.0
        if offsets[i + 1] - offsets[i] == width:
            row[WIDE] += 1.0
            for field in range(width):
                bucket = buckets[offsets[i] + field]
                if bucket == absent[field]:
                    missing[s, field, IN_STEP] += 1.0
                bit = mix(np.uint64(bucket)) & np.uint64(BITMAP_BITS - 1)
                bitmaps[s, field, bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        if row[SEEN] < STEP:
            continue
        _end_step(row, missing[s], distinct[s], bitmaps[s])
        reason, field, seen, usual = _judge(row, missing[s], distinct[s], limits)
        closed = row[REASON] != USABLE
        kind = 0
        if reason != USABLE:
            row[CALM] = 0.0
            if not closed:
                row[REASON], row[CLOSED], kind = reason, ts_ms[i], 1
        elif closed:
            row[CALM] += 1.0
            if row[CALM] >= CALM_STEPS:
                row[REASON], kind = USABLE, 2
        if reason == USABLE and not closed:
            share = 1.0 / (row[STEPS] + 1.0) if row[STEPS] < FIRST_STEPS else 1.0 - math.exp(-1.0 / REFERENCE)
            _accept(row, missing[s], distinct[s], share)
            row[STEPS] += 1.0
        elif row[REASON] != USABLE and reason > UNUSABLE and ts_ms[i] - row[CLOSED] >= limits.patience_ms:
            row[REASON], kind = USABLE, 3
            row[USUAL_RATE] = row[QUICK_RATE] = row[SLOW_RATE]
            for f in range(width):
                missing[s, f, USUAL_SHARE] = missing[s, f, QUICK_SHARE]
                distinct[s, f, USUAL_SHARE] = distinct[s, f, QUICK_SHARE]
        if kind:
            changes[changed, 0], changes[changed, 1], changes[changed, 2] = i, s, kind
            changes[changed, 3], changes[changed, 4] = reason, field
            changes[changed, 5], changes[changed, 6] = seen, usual
            changed += 1
        row[SEEN] = row[POSITIVE] = row[BAD] = row[WIDE] = 0.0
        missing[s, :, IN_STEP] = 0.0
        bitmaps[s] = 0
    return changed


class Passage(NamedTuple):
    """A change of the gate."""

    place: int
    """The example after which it changed, of those that were given."""
    source: str
    kind: Literal["closed", "opened", "accepted"]
    """``accepted``: opened after so long that what was unusual is the new usual."""
    reason: str
    """One of ``REASONS``; empty where it opened."""
    field: str
    """The feature it is about, if any."""
    seen: float
    usual: float


class Gate:
    """Watches each source's examples, and closes when what comes is not what it used to be.

    Every 100 examples of a source it looks at exponential averages: the share of unusable examples (a weight
    that is no number or beyond 1e6), of examples without a value in a field that used to have one, of
    distinct values in a field that used to have few, and the label rate: quickly for too many positives,
    slowly for too few, since negatives come in bursts when windows close. Behind a closed gate examples are
    scored and not learned from; it opens after 1,000 examples without a reason. A real change of habits
    would keep it closed for ever, so after a day of event time (``Limits.patience_ms``) it is accepted.

    Memory is fixed, the state a function of the examples in order, however they are cut into batches.
    Examples of another width than the feature spec's are judged by weight and label alone. Limits are no part
    of the state: others count from the next example on.

    Parameters
    ----------
    bits
        Of the buckets.
    limits
        What it closes on.

    Attributes
    ----------
    counters
        float64[sources, 12].
    missing, distinct
        float64[sources, fields, 3]: in this step, quick average, usual.
    bitmaps
        uint64[sources, fields, 4]: the values of this step, hashed.

    Examples
    --------
    >>> gate, random = Gate(bits=18), np.random.default_rng(1)
    >>> offsets, sources = np.zeros(30_001, np.int64), np.zeros(30_000, np.int64)
    >>> labels = random.random(30_000) < np.where(np.arange(30_000) < 20_000, 0.03, 0.5)
    >>> rows = np.empty(0, np.uint32), offsets
    >>> learned, [change] = gate.check(*rows, labels, np.ones(30_000), sources, np.arange(30_000))
    >>> change.kind, change.reason, change.place, int(learned.sum())
    ('closed', 'label_rate_high', 20099, 20100)
    """

    def __init__(self, bits: int, limits: Limits = LIMITS) -> None:
        self.limits = limits
        mask = (1 << bits) - 1
        self._absent = np.full(len(FEATURES), -1, np.int64)
        for name in (*WORDS, *AD):
            place = FEATURES.index(name)
            self._absent[place] = int(bucket_of(place, MISSING, mask))
        self.counters = np.zeros((len(SOURCES), COUNTERS))
        self.missing = np.zeros((len(SOURCES), len(FEATURES), 3))
        self.distinct = np.zeros((len(SOURCES), len(FEATURES), 3))
        self.bitmaps = np.zeros((len(SOURCES), len(FEATURES), BITMAP_BITS // 64), np.uint64)

    def check(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: Floats,
        sources: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
    ) -> tuple[NDArray[np.bool_], list[Passage]]:
        """Judge n examples in order: whether each may be learned from, bool[n], and how the gate changed.

        ``buckets`` and ``offsets`` are compressed sparse rows as for ``FTRLProximal``; ``sources``, int64[n],
        are places in ``SOURCES``; ``ts_ms``, int64[n], is event time.
        """
        learned = np.empty(labels.size, np.bool_)
        changes = np.empty((labels.size // STEP + len(SOURCES) + 1, 7))
        count = _pass(
            self.counters, self.missing, self.distinct, self.bitmaps, self._absent,
            buckets, offsets, labels, weights, sources, ts_ms, learned, changes, self.limits,
        )  # fmt: skip
        return learned, [_passage(row) for row in changes[:count].tolist()]

    def is_open(self, source: str) -> bool:
        """Whether a source is learned from."""
        return bool(self.counters[SOURCES.index(source), REASON] == USABLE)

    def state(self) -> bytes:
        """All that it knows, for ``restore``."""
        return b"".join(array.tobytes() for array in self._arrays)

    def restore(self, state: bytes) -> None:
        """Go on from a ``state``. Raises ValueError where it has another size."""
        expected = sum(array.nbytes for array in self._arrays)
        if len(state) != expected:
            raise ValueError(f"Expected a gate's state of {expected} bytes, got {len(state)}")
        start = 0
        for array in self._arrays:
            array[...] = np.frombuffer(state, array.dtype, array.size, start).reshape(array.shape)
            start += array.nbytes

    @property
    def _arrays(self) -> tuple[NDArray[np.float64] | NDArray[np.uint64], ...]:
        return self.counters, self.missing, self.distinct, self.bitmaps


def _passage(row: list[float]) -> Passage:
    place, source, kind, reason, field = (int(value) for value in row[:5])
    kinds: tuple[Literal["closed", "opened", "accepted"], ...] = ("closed", "opened", "accepted")
    return Passage(
        place=place,
        source=SOURCES[source],
        kind=kinds[kind - 1],
        reason=REASONS[reason],
        field=FEATURES[field] if field >= 0 else "",
        seen=row[5],
        usual=row[6],
    )
