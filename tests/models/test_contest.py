import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contest import FIELDS, LOG_CAPITAL, Contest, interval, observe


def drawn(seed, count, members=3):
    """Predictions of members around a truth, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(-2.0, 1.0, count)
    predictions = 1.0 / (1.0 + np.exp(-(logits + random.normal(0.0, 0.3, (members, count)))))
    return predictions, random.random(count) < 1.0 / (1.0 + np.exp(-logits)), np.ones(count)


def test_a_better_challenger_is_promoted_once():
    """It becomes champion with what it gained, and stays."""
    predictions, labels, weights = drawn(1, 20_000, 2)
    predictions[0] = 0.5
    contest = Contest(2, warm_up=100)
    [change] = contest.update(predictions, labels, weights)
    assert ("promotion", 1, 0) == (change.kind, change.champion, change.former)
    assert change.lower < change.gain < change.upper
    assert change.gain > 0.0
    assert (1, 0) == (contest.champion, contest.predecessor)


def test_a_champion_that_breaks_is_rolled_back():
    """The former champion returns, and the audit calls it a roll-back."""
    predictions, labels, weights = drawn(2, 4_000, 2)
    predictions[0, :2_000] = 0.5
    predictions[1, 2_000:] = np.nan
    first, second = Contest(2, warm_up=100).update(predictions, labels, weights)
    assert ("promotion", 1) == (first.kind, first.champion)
    assert ("rollback", 0) == (second.kind, second.champion)
    assert 2_000 <= second.place < 2_400


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**20), st.lists(st.integers(1, 299), max_size=4))
def test_batches_leave_no_trace(seed, cuts):
    """However examples are cut into batches, changes and state come out the same."""
    predictions, labels, weights = drawn(seed, 300)
    predictions[0] = 0.6
    whole, cut = Contest(3, warm_up=20), Contest(3, warm_up=20)
    expected = [(change.place, *change[1:]) for change in whole.update(predictions, labels, weights)]
    actual = []
    for start, end in pairwise(sorted({0, 300, *cuts})):
        part = predictions[:, start:end].copy(), labels[start:end], weights[start:end]
        actual += [(change.place + start, *change[1:]) for change in cut.update(*part)]
    assert expected == actual
    assert whole.rows.tobytes() == cut.rows.tobytes()
    assert (whole.champion, whole.predecessor, whole.reign) == (cut.champion, cut.predecessor, cut.reign)


def test_equals_are_seldom_promoted():
    """Of 200 pairs with the same noise, watched at every example, 5% or few more are promoted."""
    promoted = sum(
        bool(Contest(2, margin=0.0, warm_up=0).update(*drawn(seed, 3_000, 2))) for seed in range(200)
    )
    assert promoted <= 17


def test_the_interval_holds_at_every_example():
    """Of 200 sequences of known mean, few ever leave their confidence sequence."""
    left = 0
    for seed in range(200):
        x = np.random.default_rng(seed).choice([-0.4, 0.6], 500)  # mean 0.1
        row, out = np.zeros(FIELDS), False
        for each in x.tolist():
            observe(row, each, 0.0, 1.0, 0.0, 0.05)
            lower, upper = interval(row, 0.05)
            out |= not lower <= 0.1 <= upper
        left += out
    assert left <= 17


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_what_is_taken_back_does_not_count(weight):
    """Examples without a positive weight move nothing."""
    predictions, labels, weights = drawn(3, 50, 2)
    contest = Contest(2)
    before = contest.rows.tobytes()
    assert [] == contest.update(predictions, labels, weights * weight)
    assert before == contest.rows.tobytes()


def test_differences_are_clipped():
    """One example, however wrong the champion, multiplies the capital by one and a half at most."""
    row = np.zeros(FIELDS)
    for _ in range(50):
        before = row[LOG_CAPITAL]
        observe(row, 1e3, 0.0, 1e6, 0.001, 0.05)
        assert row[LOG_CAPITAL] - before <= math.log(1.5) + 1e-12
