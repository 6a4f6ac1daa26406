from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import FEATURES
from models.gate import LIMITS, SOURCES, Gate
from models.hashing import MISSING, bucket_of

BITS = 18
MASK = (1 << BITS) - 1
DAY_MS = 86_400_000


def drawn(seed, count, rate=0.05):
    """Columns of good examples: rows of all features, labels, weights, sources and times."""
    random = np.random.default_rng(seed)
    buckets = np.array([[bucket_of(f, v, MASK) for v in range(1, 9)] for f in range(len(FEATURES))])
    rows = buckets[np.arange(len(FEATURES)), random.integers(0, 8, (count, len(FEATURES)))].astype(np.uint32)
    labels = random.random(count) < rate
    return [rows, labels, np.ones(count), np.zeros(count, np.int64), np.arange(count)]


def check(gate, rows, labels, weights, sources, ts_ms):
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int64)
    return gate.check(rows.ravel(), offsets, labels, weights, sources, ts_ms)


def trained(seed=1, **limits):
    """A gate that has seen what is usual."""
    gate = Gate(BITS, LIMITS._replace(**limits))
    learned, changes = check(gate, *drawn(seed, 12_000))
    assert learned.all()
    assert [] == changes
    return gate


def spoiled(kind, columns):
    """Columns with one fault."""
    rows, labels, weights, *_ = columns
    field = FEATURES.index("device")
    match kind:
        case "unusable":
            weights[:] = np.nan
        case "missing_field":
            rows[:, field] = bucket_of(field, MISSING, MASK)
        case "distinct_values":
            rows[:, field] = [bucket_of(field, 1_000 + i, MASK) for i in range(len(rows))]
        case "label_rate_high":
            labels[::2] = True
        case "label_rate_low":
            labels[:] = False
    return columns


@pytest.mark.parametrize(
    ("kind", "within", "field"),
    [
        ("unusable", 100, ""),
        ("missing_field", 500, "device"),
        ("distinct_values", 600, "device"),
        ("label_rate_high", 300, ""),
        ("label_rate_low", 25_000, ""),
    ],
)
def test_the_gate_closes_and_opens(kind, within, field):
    """On each fault within a stated number of examples, for that source alone, and opens when it is over."""
    gate = trained()
    learned, [closed] = check(gate, *spoiled(kind, drawn(2, within + 100)))
    assert ("closed", "own", kind, field) == (closed.kind, closed.source, closed.reason, closed.field)
    assert closed.place < within
    assert not learned[closed.place + 1 :].any()
    assert not gate.is_open("own")
    assert gate.is_open("foreign")
    learned, [opened] = check(gate, *drawn(3, 12_000))
    assert ("opened", "") == (opened.kind, opened.reason)
    assert learned[opened.place + 1 :].all()


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.3])
def test_the_usual_keeps_it_open(rate):
    """Random labels, a rate that doubles, and a burst of 5,000 negatives are no reason to close."""
    gate = Gate(BITS)
    quiet = drawn(7, 5_000)
    quiet[1][:] = False
    for columns in (drawn(4, 30_000, rate), drawn(5, 10_000, 2.0 * rate), drawn(6, 10_000, rate), quiet):
        learned, changes = check(gate, *columns)
        assert learned.all()
        assert [] == changes


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        ("unusable", {"unusable_share": 1.0}),
        ("missing_field", {"missing_share": 1.0}),
        ("distinct_values", {"distinct_share": 1.0}),
        ("distinct_values", {"distinct_factor": 1e6}),
        ("label_rate_high", {"high_rate_factor": 20.0}),
    ],
)
def test_a_limit_that_is_lax_lets_a_fault_pass(kind, limits):
    """What closes the gate as shipped does not close it then."""
    _, changes = check(trained(**limits), *spoiled(kind, drawn(2, 1_000)))
    assert [] == changes


@pytest.mark.parametrize(
    ("kind", "rate", "limits"),
    [
        ("label_rate_high", 0.1, {"high_rate_factor": 1.5}),
        ("label_rate_low", 0.02, {"low_rate_factor": 2.0}),
    ],
)
def test_a_limit_that_is_strict_closes_on_less(kind, rate, limits):
    """Labels half as often or twice as often pass the gate as shipped, and not one that is told so."""
    columns = drawn(2, 30_000, rate)
    assert [] == check(trained(), *columns)[1]
    assert ("closed", kind) == check(trained(**limits), *columns)[1][0][2:4]


@pytest.mark.parametrize("patience_ms", [DAY_MS, DAY_MS / 4])
def test_a_new_habit_is_accepted_after_a_day(patience_ms):
    """What is unusual, not unusable, is learned from once it has lasted so long in event time."""
    gate = trained(patience_ms=patience_ms)
    columns = spoiled("missing_field", drawn(8, 3_000))
    columns[4] = 20_000 + np.arange(3_000) * (DAY_MS // 1_500)
    learned, [closed, accepted] = check(gate, *columns)
    assert ("closed", "accepted") == (closed.kind, accepted.kind)
    waited_ms = columns[4][accepted.place] - columns[4][closed.place]
    assert patience_ms <= waited_ms < patience_ms + DAY_MS / 10
    assert learned[accepted.place + 1 :].all()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**20), st.lists(st.integers(1, 1_199), max_size=4), st.booleans())
def test_batches_and_restarts_leave_no_trace(seed, cuts, restart):
    """However examples are cut into batches, and through a restart, gate and verdicts are the same."""
    columns = spoiled("unusable", drawn(seed, 600))
    columns = [np.concatenate(pair) for pair in zip(drawn(seed, 600), columns, strict=True)]
    columns[3] = np.random.default_rng(seed).integers(0, len(SOURCES), 1_200)
    whole, cut = Gate(BITS), Gate(BITS)
    expected, _ = check(whole, *columns)
    actual = []
    for start, end in pairwise(sorted({0, 1_200, *cuts})):
        actual.append(check(cut, *(column[start:end] for column in columns))[0])
        if restart:
            state, cut = cut.state(), Gate(BITS)
            cut.restore(state)
    assert expected.tolist() == np.concatenate(actual).tolist()
    assert whole.state() == cut.state()


def test_a_state_of_another_size_is_refused():
    """It raises with both sizes."""
    with pytest.raises(ValueError, match=r"Expected a gate's state of \d+ bytes, got 3"):
        Gate(BITS).restore(b"abc")
