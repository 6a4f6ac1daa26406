"""Figures by model, hour and segment."""

import numpy as np
import pytest

from models.calibration import OWN_SEGMENTS, SEGMENTS
from models.hourly import HOUR_MS, HourlyQuality, segment_name
from models.scorecard import BINS, COLUMNS, SUMS, figures, tally

MODELS = ("ftrl", "ftrl-calibrated")


def drawn(count, seed=1):
    """Predictions of both models, labels, weights, segments and times over three hours."""
    random = np.random.default_rng(seed)
    predictions = random.random((2, count)) * 0.2
    segments = random.choice([0, 5, 5 + OWN_SEGMENTS], count)
    ts_ms = np.sort(random.integers(0, 3 * HOUR_MS, count))
    return predictions, random.random(count) < predictions[0], random.random(count), segments, ts_ms


def counted(columns, delayed=False):
    quality = HourlyQuality("ctr", MODELS, 0.05, delayed)
    quality.update(*columns)
    return quality


def test_every_segment_has_the_figures_of_its_examples():
    """Of each hour and model: all, each source and each slot are what their examples alone make."""
    predictions, labels, weights, segments, ts_ms = columns = drawn(3_000)
    reports = list(counted(columns).take_reports(7))
    masks = {
        "all": segments < SEGMENTS,
        "own": segments < OWN_SEGMENTS,
        "foreign": segments >= OWN_SEGMENTS,
        "own-slot-0": segments == 0,
        "own-slot-5": segments == 5,
        "foreign-slot-5": segments == 5 + OWN_SEGMENTS,
    }
    expected = {(hour * HOUR_MS, model, name) for hour in range(3) for model in MODELS for name in masks}
    assert expected == {(each.hour_ms, each.model, each.segment) for each in reports}
    assert len(expected) == len(reports)
    for each in reports:
        chosen = masks[each.segment] & (ts_ms // HOUR_MS * HOUR_MS == each.hour_ms)
        bins, sums = np.zeros((1, BINS, COLUMNS)), np.zeros((1, SUMS))
        rows = np.zeros(chosen.sum(), np.int64)
        said = predictions[MODELS.index(each.model), chosen]
        tally(bins, sums, rows, said, labels[chosen], weights[chosen], 0.05, False)
        found = figures(bins[0], sums[0])
        assert [getattr(each, name) for name in found._fields] == pytest.approx(list(found))


@pytest.mark.parametrize("delayed", [False, True])
def test_a_restart_leaves_no_trace(delayed):
    """Taken up in the middle of an hour, the figures of that hour are those of one run bit for bit."""
    columns = drawn(3_000)
    steady = counted(columns, delayed)
    first = counted([column[..., :2_500] for column in columns], delayed)
    restarted = HourlyQuality("ctr", MODELS, 0.05, delayed)
    restarted.restore(first.hour_ms, *first.state())
    assert first.state() == restarted.state()
    restarted.update(*(column[..., 2_500:] for column in columns))
    assert steady.state() == restarted.state()
    running = [each for each in steady.take_reports(1) if each.hour_ms == 2 * HOUR_MS]
    assert running == list(restarted.take_reports(1))


def test_slots_of_the_running_hour_can_be_left_out():
    """They are told of hours that closed; nothing is told twice but of the running hour."""
    quality = counted(drawn(3_000))
    reports = list(quality.take_reports(1, by_slot=False))
    assert {0, HOUR_MS} == {each.hour_ms for each in reports if "-slot-" in each.segment}
    again = list(quality.take_reports(1, by_slot=False))
    assert [("all", 2 * HOUR_MS), ("own", 2 * HOUR_MS), ("foreign", 2 * HOUR_MS)] * 2 == [
        (each.segment, each.hour_ms) for each in again
    ]


def test_a_state_of_more_segments_is_refused():
    """It says which place it lacks."""
    places = np.array([10**6], "<u4").tobytes()
    with pytest.raises(ValueError, match=r"Expected places below \d+, got 1000000"):
        HourlyQuality("ctr", MODELS, 0.05, False).restore(0, places, np.ones(1).tobytes())


def test_segments_have_names():
    """One each, by source and slot."""
    assert SEGMENTS == len({segment_name(segment) for segment in range(SEGMENTS)})
