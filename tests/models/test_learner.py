import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from models import parts
from models.delays import ConversionDelays
from models.learner import Learner
from models.serving import DECIMALS, ServingWeights
from models.task_learner import to_rows
from schemas.examples import Example
from schemas.model import Progress, decode_model_record

SETTINGS = {
    "bits": 5,
    "alpha": 0.3,
    "l1": 0.05,
    "challenger_sample": 0.5,
    "snapshot_every": 2,
    "challengers": 2,
}


def examples_of(seed, count, bits=5):
    """Examples of both tasks, repeats of buckets and odd weights included."""
    random = np.random.default_rng(seed)
    return [
        Example(
            example_id=f"{i}-{seed}",
            task="ctr" if random.random() < 0.7 else "cvr",
            ts_ms=1_700_000_000_000 + i * 400_000,
            label=int(random.random() < 0.3),
            weight=float(random.choice([1.0, 1.0, 0.25, 0.0])),
            source="own",
            buckets=random.integers(0, 1 << bits, random.integers(1, 9)).tolist(),
            age_ms=int(random.choice([0, 1_000_000, 86_400_000, 400_000_000])),
        )
        for i in range(count)
    ]


def state(learner):
    """Everything of a learner that must survive a restart."""
    return {
        task: (
            [(member.z.tobytes(), member.n.tobytes()) for member in models.population.members],
            models.population.standing(task, 0),
            models.shifts and (models.shifts.mean.tobytes(), models.shifts.information.tobytes()),
            list(models.challenger.model.weights.items()),
            models.challenger.model.intercept,
            models.challenger.model.optimizer.n_iterations,
            (models.null_model.positives, models.null_model.trials),
            models.delays and (models.delays.conversions.tobytes(), models.delays.clicks.tobytes()),
            [without_auc(progress) for _, progress in models.reports(learner.version)],
            models.watch.calibration.state.tobytes(),
            models.watch.gate.state(),
            models.watch.detector and models.watch.detector.state(),
            running_hour(models.watch.quality),
        )
        for task, models in learner.tasks.items()
    }


def running_hour(quality):
    """What an hour that has not closed is known by."""
    return quality.hour_ms, quality._bins.tobytes(), quality._sums.tobytes()


def without_auc(progress):
    return {name: getattr(progress, name) for name in Progress.__struct_fields__ if name != "auc"}


def written_log(seed, publications):
    """What a learner publishes, the state at each version, and the length of the log at each."""
    learner = Learner(**SETTINGS)
    log, states, lengths = [], {-1: state(learner)}, [0]
    offset = 0
    for number in range(publications):
        batch = examples_of(seed * 1000 + number, 4)
        offset += len(batch) + 1  # a transaction's marker takes an offset too
        learner.learn(batch, offset)
        log += learner.publish()
        states[learner.version] = state(learner)
        lengths.append(len(log))
    return learner, log, states, lengths


def compacted(log, drop):
    """The log after compaction dropped whatever of the droppable ``drop`` says."""
    newest = {key: i for i, (key, _) in enumerate(log)}
    kept = [(i, key, value) for i, (key, value) in enumerate(log) if newest[key] == i or not drop()]
    counts = {}
    for _, key, _ in kept:
        counts[key] = counts.get(key, 0) + 1
    return [(key, value) for _, key, value in kept if value is not None or counts[key] > 1 or not drop()]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Parts of five buckets, so that small states have several."""
    monkeypatch.setattr(parts, "BUCKETS_A_PART", 5)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**20), st.lists(st.integers(1, 39), max_size=5))
def test_batches_leave_no_trace(seed, cuts):
    """However `examples` is cut into batches, everything comes out the same bit for bit."""
    examples = examples_of(seed, 40)
    whole, cut = Learner(**SETTINGS), Learner(**SETTINGS)
    whole.learn(examples, 40)
    edges = sorted({0, 40, *cuts})
    for start, end in pairwise(edges):
        cut.learn(examples[start:end], end)
    assert state(whole) == state(cut)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**20), st.integers(1, 8))
def test_a_restored_learner_equals_its_writer(seed, publications):
    """A learner restored from the topic is the writer bit for bit, and stays so as both learn on."""
    writer, log, _, _ = written_log(seed, publications)
    restored = Learner(**SETTINGS)
    restored.restore(log)
    assert writer.version == restored.version
    assert state(writer) == state(restored)
    more = examples_of(seed + 1, 30)
    writer.learn(more, writer.version + 30)
    restored.learn(more, restored.version + 30)
    assert state(writer) == state(restored)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(0, 2**20), st.integers(1, 8))
def test_compaction_never_makes_a_reader_lie(data, seed, publications):
    """Whatever compaction drops, a reader claims only versions that it has, and ends at the newest."""
    learner, log, states, _ = written_log(seed, publications)
    reader = ServingWeights("ctr", bits=5)
    for _, value in compacted(log, lambda: data.draw(st.booleans())):
        if value is not None:
            reader.apply(decode_model_record(value))
        assert served_at(states[reader.version]) == reader.table.tolist()
    assert learner.version == reader.version


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(0, 2**20), st.integers(1, 8))
def test_a_publication_cut_short_never_restores_a_lie(data, seed, publications):
    """After a publication that was cut short, a learner restores a version exactly or refuses."""
    _, log, states, lengths = written_log(seed, publications)
    cut = data.draw(st.integers(lengths[-2], lengths[-1]))
    restored = Learner(**SETTINGS)
    records = compacted(log[:cut], lambda: data.draw(st.booleans()))
    try:
        restored.restore(records)
    except ValueError:
        assert lengths[-2] < cut < lengths[-1]
        return
    for task, actual in state(restored).items():
        expected = states[restored.version][task]
        if 0 == actual[1].examples < expected[1].examples:  # the contest is not there: it begins anew
            assert expected[0][expected[1].champion] == actual[0][0]
        else:
            assert expected[:2] == actual[:2]
        assert expected[2] == actual[2]
        assert actual[3:6] in (expected[3:6], ([], 0.0, 0))  # a challenger that is not there starts anew


def served_at(models):
    """The table that serves the weights of ctr's champion in a state."""
    champion, (members, contest, *_) = Learner(**SETTINGS).tasks["ctr"].champion, models["ctr"]
    champion.z, champion.n = (np.frombuffer(column) for column in members[contest.champion])
    return champion.weights().round(DECIMALS).tolist()


def test_the_topic_holds_nothing_useless():
    """Right after a snapshot, compaction leaves the snapshot and the progress alone."""
    learner = Learner(**SETTINGS)
    log = []
    for number in range(4):
        learner.learn(examples_of(number, 8), (number + 1) * 8)
        log += learner.publish()
    newest = dict(log)
    kept = [decode_model_record(value) for value in newest.values() if value is not None]
    assert {32} == {record.version for record in kept}
    assert "delta" not in {getattr(record, "kind", "progress") for record in kept}


def test_a_restart_continues_with_a_snapshot():
    """The first publication of a restored learner replaces all that it found on the topic."""
    _, log, _, _ = written_log(3, 3)
    restored = Learner(**SETTINGS)
    restored.restore(log)
    assert [] == restored.publish()
    restored.learn(examples_of(4, 1), restored.version + 1)
    log += restored.publish()
    reader = Learner(**SETTINGS)
    reader.restore([(key, value) for key, value in dict(log).items()])
    assert state(restored) == state(reader)


def test_a_snapshot_replaces_everything():
    """After a learner that began anew, readers keep nothing of what the one before had learned."""
    reader = ServingWeights("ctr", bits=5)
    for buckets in ([1, 2], [2, 3]):
        learner = Learner(**SETTINGS)
        learner.learn([Example("a", "ctr", 1, 1, 1.0, "own", buckets)], 1)
        for _, value in learner.publish():
            reader.apply(decode_model_record(value))
    assert [2, 3] == np.flatnonzero(reader.table).tolist()


def test_nothing_learned_is_nothing_published():
    """Without new examples there is no record."""
    learner = Learner(**SETTINGS)
    assert [] == learner.publish()
    learner.learn(examples_of(1, 3), 3)
    assert [] != learner.publish()
    assert [] == learner.publish()


def test_a_version_moves_on_without_examples_of_a_task():
    """A task that had no examples follows to the new version, so that a restart finds one version."""
    learner = Learner(**SETTINGS)
    reader = ServingWeights("cvr", bits=5)
    for offset in (1, 2):
        learner.learn([example for example in examples_of(offset, 9) if example.task == "ctr"], offset)
        for _, value in learner.publish():
            reader.apply(decode_model_record(value))
    assert 2 == reader.version


def test_parts_stay_small(monkeypatch):
    """No record of a full table of 2**18 buckets passes 400 kB."""
    monkeypatch.undo()
    learner = Learner(bits=18, challenger_sample=0.0)
    champion = learner.tasks["ctr"].champion
    champion.z[:], champion.n[:] = -1 / 3, 1 / 3
    learner.learn([], 1)
    sizes = [len(value) for key, value in learner.publish() if key.startswith("ctr/ftrl/")]
    assert 19 == len(sizes)
    assert max(sizes) <= 400_000


def test_models_are_compared_on_one_sample():
    """Champion, challenger and null model are scored on the same sampled examples."""
    learner = Learner(**SETTINGS)
    learner.learn(examples_of(1, 400), 400)
    reports = dict(learner.tasks["ctr"].reports(400))
    sampled = [reports[f"{model}/sample"] for model in ("ftrl", "river-lr", "mean")]
    assert 1 == len({(report.examples, report.positives, report.weight_sum) for report in sampled})
    assert 0 < sampled[0].examples < reports["ftrl"].examples
    assert [0.5, 0.5, 0.5] == [report.scored_share for report in sampled]
    assert [1.0, 0.5, 1.0] == [report.learned_share for report in sampled]


def test_the_sample_is_drawn_by_identity():
    """The same examples are sampled whatever came before them."""
    examples = examples_of(1, 200)
    forward, backward = Learner(**SETTINGS), Learner(**SETTINGS)
    forward.learn(examples, 200)
    backward.learn(examples[::-1], 200)
    steps = [learner.tasks["ctr"].challenger.model.optimizer.n_iterations for learner in (forward, backward)]
    assert steps[0] == steps[1]


def test_without_challengers_there_are_no_records_of_any():
    """A sample of 0, and none that compete, leave only the records of the champion and of the delays."""
    learner = Learner(**{**SETTINGS, "challenger_sample": 0.0, "challengers": 0})
    learner.learn(examples_of(1, 9), 9)
    kinds = {key.split("/")[1] for key, _ in learner.publish()}
    assert {"ftrl", "contest", "progress", "delays", "calibration", "watch", "quality"} == kinds


@pytest.mark.parametrize("weight", [-1e7, 1e7, math.nan, math.inf])
def test_examples_with_unusable_weights_are_counted(weight):
    """An example whose weight is beyond 1e6 either way teaches nothing and is counted."""
    learner = Learner(**SETTINGS)
    learner.learn([Example("a", "ctr", 1, 1, weight, "own", [1])], 1)
    assert 1 == learner.rejected
    assert not learner.tasks["ctr"].champion.n.any()


def test_a_conversion_that_is_taken_back_is_no_conversion():
    """After a refund the counts are those of a click that never converted."""
    learner = Learner(**SETTINGS)
    click, order = Example("c", "cvr", 1, 0, 5.0, "own", [1]), Example("o", "cvr", 1, 1, 1.0, "own", [1])
    weight = 5.0 * ConversionDelays().shares()[0]
    learner.learn([click, order, replace(order, example_id="r", weight=-1.0)], 3)
    (_, report), *_ = learner.tasks["cvr"].reports(3)
    assert (1, 0, 0.0, weight) == (report.examples, report.positives, report.label_sum, report.weight_sum)


def test_learning_twice_is_refused():
    """An offset before the learner's version raises."""
    learner = Learner(**SETTINGS)
    learner.learn(examples_of(1, 5), 5)
    with pytest.raises(ValueError, match="Expected examples from offset 5 on, got some before 3"):
        learner.learn(examples_of(1, 3), 3)


def test_weights_of_other_settings_are_refused():
    """Weights that were learned with other settings raise, with the way out."""
    _, log, _, _ = written_log(1, 1)
    with pytest.raises(
        ValueError, match=r"Expected weights learned with alpha = 0\.1, got 0\.3 .* set it back"
    ):
        Learner(**{**SETTINGS, "alpha": 0.1}).restore(log)
    with pytest.raises(ValueError, match=r"Expected weights of 2\*\*6 buckets, got 2\*\*5"):
        ServingWeights("ctr", bits=6).apply(decode_model_record(log[0][1]))


def test_rows_keep_their_order():
    """Rows come out as they went in, empty ones included."""
    buckets, offsets = to_rows([[7, 7, 1], [], [2**32 - 1]])
    assert [7, 7, 1, 2**32 - 1] == buckets.tolist()
    assert [0, 3, 3, 4] == offsets.tolist()
