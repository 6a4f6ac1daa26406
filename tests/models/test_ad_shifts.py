"""What ads' own clicks add to the champion."""

from itertools import pairwise

import numpy as np
import pytest

from models.ad_shifts import BOUND, SPREAD, AdShifts
from models.features import FEATURES
from models.gate import MAX_WEIGHT
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


@pytest.mark.parametrize("weight", [1.0, MAX_WEIGHT])
def test_batches_leave_no_trace(weight):
    """However examples are cut into batches, the shifts come out the same bit for bit."""
    buckets, edges, predictions, labels, weights = drawn(1_000, 0.2)
    weights[::50], weights[7::50] = weight, -weight
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
    assert 0.2 < shifts.mean[7] < 0.25
    shifts.learn(buckets, edges, predictions, clicked, -weights)
    assert 0.0 <= shifts.information[7] < 0.05
    assert 0.0 == pytest.approx(shifts.mean[7], abs=0.01)


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.05, 0.5, 1.0 - 1e-9, 1.0])
@pytest.mark.parametrize("label", [False, True])
@pytest.mark.parametrize("weight", [MAX_WEIGHT, -MAX_WEIGHT])
def test_no_example_moves_a_shift_beyond_its_bound(p, label, weight):
    """Neither the first nor one after others, whatever it weighs, whatever the champion says."""
    buckets, edges, _, labels, weights = drawn(100, 0.05)
    shifts = AdShifts(BITS)
    for place in (0, 50, 99):
        labels[place], weights[place] = label, weight
    for row in range(100):
        part = slice(row, row + 1)
        shifts.learn(buckets[:WIDTH], edges[:2], np.array([p]), labels[part], weights[part])
        assert -BOUND <= shifts.mean[7] <= BOUND
        assert 0.0 <= shifts.information[7] < np.inf


def test_an_ad_comes_back_from_the_worst_that_is_taken_back():
    """What weighs a million below 0 leaves no information, so that what follows is believed."""
    buckets, edges, predictions, labels, weights = drawn(2_001, 0.05)
    shifts = AdShifts(BITS)
    labels[0], weights[0] = True, -MAX_WEIGHT
    said = shifts.learn(buckets, edges, predictions, labels, weights)
    assert said[1] < 0.003
    assert abs(shifts.mean[7]) < SPREAD


def test_a_shift_without_information_is_published():
    """A restart has it bit for bit, and so have the workers."""
    settings = {"bits": BITS, "challenger_sample": 0.0}
    learner, restarted, served = Learner(**settings), Learner(**settings), ServingWeights("ctr", BITS)
    row = drawn(1, 0.5)[0].tolist()
    log = []
    for version, weight in enumerate((1.0, -MAX_WEIGHT), 1):
        learner.learn([Example(f"ctr-0-{version}-0", "ctr", 0, 1, weight, "own", row)], version)
        log += learner.publish()
    restarted.restore(log)
    shifts = learner.tasks["ctr"].shifts
    assert 0.0 == shifts.information[7]
    assert shifts.mean[7] < 0.0
    assert [] == learner.differences(restarted)
    for _, value in log:
        served.apply(decode_model_record(value))
    expected = learner.tasks["ctr"].champion.weights() + shifts.mean
    assert expected.round(6).tolist() == served.table.tolist()


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
