"""What ads' own clicks add to the champion."""

from itertools import pairwise

import numpy as np
import pytest

from models.ad_shifts import AdShifts
from models.features import FEATURES
from models.learner import Learner
from models.serving import ServingWeights
from schemas.examples import Example
from schemas.model import decode_model_record

BITS, WIDTH = 10, len(FEATURES)
AD = FEATURES.index("ad")


def drawn(count, rate, ad=7, seed=1):
    """Rows that differ in nothing but their label."""
    rows = np.full((count, WIDTH), 3, np.uint32)
    rows[:, AD] = ad
    labels = np.random.default_rng(seed).random(count) < rate
    return rows.ravel(), np.arange(0, count * WIDTH + 1, WIDTH), np.full(count, 0.05), labels, np.ones(count)


def test_an_ad_that_is_clicked_more_often_is_soon_believed():
    """From what the champion says to near its own rate within 300 exposures, and not at the first."""
    said = AdShifts(BITS).learn(*drawn(300, 0.2))
    assert 0.05 == pytest.approx(said[0])
    assert 0.12 < said[-1] < 0.25


def test_an_ad_that_is_as_the_champion_says_stays_there():
    """Chance moves it by less than its spread allows."""
    shifts = AdShifts(BITS)
    said = shifts.learn(*drawn(20_000, 0.05))
    assert 0.05 == pytest.approx(said[-1], rel=0.1)
    assert [7] == np.flatnonzero(shifts.information).tolist()


def test_batches_leave_no_trace():
    """However examples are cut into batches, the shifts come out the same bit for bit."""
    buckets, edges, predictions, labels, weights = drawn(1_000, 0.2)
    whole, cut = AdShifts(BITS), AdShifts(BITS)
    expected = whole.learn(buckets, edges, predictions, labels, weights)
    actual = [
        cut.learn(
            buckets[edges[start] : edges[end]], edges[start : end + 1] - edges[start],
            predictions[start:end], labels[start:end], weights[start:end],
        )
        for start, end in pairwise([0, 1, 17, 500, 1_000])
    ]  # fmt: skip
    assert expected.tobytes() == np.concatenate(actual).tobytes()
    assert whole.mean.tobytes() == cut.mean.tobytes()


def test_what_teaches_nothing_leaves_no_trace():
    """A weight of 0, a row without an ad, a champion that says nothing."""
    buckets, edges, predictions, labels, weights = drawn(10, 0.5)
    shifts = AdShifts(BITS)
    shifts.learn(buckets, edges, predictions, labels, np.zeros(10))
    shifts.learn(buckets, edges, np.full(10, np.nan), labels, weights)
    said = shifts.learn(buckets[:50], np.arange(0, 51, 5), predictions, labels, weights)
    assert predictions.tolist() == said.tolist()
    assert not shifts.mean.any()
    assert not shifts.information.any()


def test_an_example_that_is_taken_back_leaves_the_information_of_before():
    """A credited click has a weight below 0."""
    buckets, edges, predictions, _, weights = drawn(1, 0.5)
    shifts, clicked = AdShifts(BITS), np.array([True])
    shifts.learn(buckets, edges, predictions, clicked, weights)
    mean = shifts.mean[7]
    shifts.learn(buckets, edges, predictions, clicked, -weights)
    assert 0.0 <= shifts.information[7] < 0.05
    assert shifts.mean[7] < mean


@pytest.mark.parametrize("versions", [1, 3])
def test_what_is_learned_is_what_serves(versions):
    """Through snapshot and deltas a worker's weight of an ad is the champion's and the shift."""
    learner, served = Learner(bits=BITS, challenger_sample=0.0), ServingWeights("ctr", BITS)
    for version in range(1, versions + 1):
        buckets, _, _, labels, _ = drawn(100, 0.3, ad=7 + version, seed=version)
        rows = buckets.reshape(-1, WIDTH).tolist()
        examples = [
            Example(f"ctr-0-{version}{i}-0", "ctr", i, int(label), 1.0, "own", row)
            for i, (row, label) in enumerate(zip(rows, labels.tolist(), strict=True))
        ]
        learner.learn(examples, version * 100)
        for _, value in learner.publish():
            served.apply(decode_model_record(value))
    task = learner.tasks["ctr"]
    assert versions == np.count_nonzero(task.shifts.mean)
    expected = task.champion.weights() + task.shifts.mean
    assert expected.round(6).tolist() == served.table.tolist()
