import numpy as np
import pytest
from msgspec.structs import replace

from models.features import FEATURES
from models.gate import LIMITS
from models.learner import Learner
from schemas.examples import Example
from schemas.model import Change, Quality, decode_model_record

SETTINGS = {"bits": 10, "challenger_sample": 0.0, "snapshot_every": 3}
HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000


def examples(seed, count, first=0, rate=0.1):
    """Examples of ctr as wide as the feature spec, ten a second."""
    random = np.random.default_rng(seed)
    rows = (np.arange(len(FEATURES)) * 8 + random.integers(0, 8, (count, len(FEATURES)))).tolist()
    labels = (random.random(count) < rate).astype(int).tolist()
    return [
        Example(f"ctr-0-{first + i}-{label}", "ctr", START_MS + (first + i) * 100, label, 1.0, "own", row)
        for i, (label, row) in enumerate(zip(labels, rows, strict=True))
    ]


def published(learner):
    return [(key, decode_model_record(value)) for key, value in learner.publish() if value is not None]


def kinds(records, struct):
    return [record for _, record in records if isinstance(record, struct)]


def test_a_closed_gate_teaches_nothing():
    """Behind it weights stay as they are, examples are scored, and one audit row says why; then it opens."""
    learner = Learner(**SETTINGS)
    learner.learn(examples(1, 12_000), 12_000)
    learner.publish()
    learner.learn(examples(2, 1_000, 12_000, rate=0.9), 13_000)
    [change] = kinds(published(learner), Change)
    assert ("gate_closed", "own", "label_rate_high", 13_000) == (
        change.kind, change.source, change.reason, change.version,
    )  # fmt: skip
    assert change.seen > 3.0 * change.usual
    champion = learner.tasks["ctr"].champion
    before = champion.z.tobytes(), champion.n.tobytes()
    learner.learn(examples(3, 1_000, 13_000, rate=0.9), 14_000)
    assert before == (champion.z.tobytes(), champion.n.tobytes())
    assert 14_000 == dict(learner.tasks["ctr"].reports(14_000))["ftrl"].examples
    learner.learn(examples(4, 6_000, 14_000), 20_000)
    assert "gate_opened" in [change.kind for change in kinds(published(learner), Change)]
    assert before != (champion.z.tobytes(), champion.n.tobytes())


def test_a_restart_in_the_middle_leaves_no_trace():
    """Through restarts, weights, gate, calibration, drift and figures are those of one run."""
    parts = [examples(i, 2_500, i * 2_500, rate=0.9 if i in (5, 6) else 0.1) for i in range(9)]
    steady, log = Learner(**SETTINGS), []
    restarted = Learner(**SETTINGS)
    changes = []
    for number, part in enumerate(parts, 1):
        steady.learn(part, number * 2_500)
        changes += kinds(published(steady), Change)
        restarted.learn(part, number * 2_500)
        log += restarted.publish()
        restarted = Learner(**SETTINGS)
        restarted.restore(log)
    expected, actual = steady.tasks["ctr"], restarted.tasks["ctr"]
    assert [] == steady.differences(restarted)
    differing = ["ctr.contest", "ctr.z", "ctr.n", "ctr.shifts", "ctr.gate"]
    differing += ["ctr.calibration", "ctr.drift", "ctr.hour"]
    assert differing == [each for each in steady.differences(Learner(**SETTINGS)) if each.startswith("ctr")]
    assert list(expected.watch.quality.take_reports(1)) == list(actual.watch.quality.take_reports(1))
    found = [decode_model_record(value) for key, value in log if key.split("/")[1] == "change"]
    assert changes == found
    assert changes


def test_other_limits_of_the_gate_count_after_a_restart():
    """The state is taken up bit for bit, and what kept the gate closed does so no more."""
    learner = Learner(**SETTINGS)
    learner.learn([replace(each, weight=1e9) for each in examples(1, 300)], 300)
    restarted = Learner(**SETTINGS, limits=LIMITS._replace(unusable_share=1.0))
    restarted.restore(learner.publish())
    assert [] == learner.differences(restarted)
    for each in (learner, restarted):
        each.learn(examples(2, 1_100, 300), 1_400)
    assert [False, True] == [each.tasks["ctr"].watch.gate.is_open("own") for each in (learner, restarted)]


def test_changes_outlive_snapshots():
    """A snapshot deletes what it makes useless, and never the audit."""
    learner, log = Learner(**SETTINGS), []
    bad = [replace(example, weight=1e9) for example in examples(1, 300)]
    for number in range(9):
        learner.learn(bad if number == 0 else examples(number, 10), 300 + number)
        log += learner.publish()
    deleted = [key for key, value in log if value is None]
    assert deleted
    assert "ctr/change/300-0" in dict(log)
    assert "ctr/change/300-0" not in deleted


def test_each_hour_is_reported_once_it_closed():
    """Every hour has figures by model, source and slot over its examples; the last one still runs."""
    learner = Learner(**SETTINGS)
    learner.learn(examples(1, 80_000), 80_000)  # 8,000 s
    quality = kinds(published(learner), Quality)
    slots = [each for each in quality if "-slot-" in each.segment]
    found = {(each.hour_ms, each.model, each.segment): each.weight for each in quality if each not in slots}
    assert found == {
        (START_MS + hour * HOUR_MS, model, segment): weight
        for hour, weight in ((0, 36_000.0), (1, 36_000.0), (2, 8_000.0))
        for model in ("ftrl", "ftrl-calibrated")
        for segment in ("all", "own")
    }
    by_slot = {}
    for each in slots:
        by_slot.setdefault((each.hour_ms, each.model, "own"), []).append(each.weight)
    assert {8} == {len(weights) for weights in by_slot.values()}
    assert {key: sum(weights) for key, weights in by_slot.items()} == {
        key: weight for key, weight in found.items() if key[2] == "own"
    }
    last = quality[-1]
    assert last.log_loss == pytest.approx(last.loss_sum / last.weight)
    assert sum(last.bin_weight) == pytest.approx(last.weight)
    later = kinds(published(learner), Quality)
    assert [] == later
    learner.learn(examples(2, 10, 80_000), 80_010)
    quality = kinds(published(learner), Quality)
    assert {START_MS + 2 * HOUR_MS} == {each.hour_ms for each in quality}
    assert {"all", "own"} == {each.segment for each in quality}  # slots come with snapshots


def test_slots_of_the_running_hour_come_with_snapshots():
    """Where `snapshot_every` is 3, with each fourth version; of an hour that closed, with the next one."""
    learner, versions = Learner(**SETTINGS), []
    for number in range(6):
        first = 36_000 if number == 5 else number * 10
        learner.learn(examples(number, 10, first), number + 1)
        quality = kinds(published(learner), Quality)
        versions.append(sorted({each.hour_ms - START_MS for each in quality if "-slot-" in each.segment}))
    assert [[0], [], [], [], [0], [0]] == versions
