import io

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import parts
from models.learner import Learner
from models.published import PublishedError, at_version, difference, from_bytes, to_json, to_npz
from schemas.examples import Example


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Parts of five buckets, so that small states have several."""
    monkeypatch.setattr(parts, "BUCKETS_A_PART", 5)


def examples_of(seed, count=40, bits=6):
    random = np.random.default_rng(seed)
    return [
        Example(
            f"{seed}-{i}", "ctr" if i % 2 else "cvr", i, int(random.random() < 0.3), 1.0, "own",
            random.integers(0, 1 << bits, 4).tolist(),
        )
        for i in range(count)
    ]  # fmt: skip


def written(versions=5, snapshot_every=2):
    """A learner, its log, and its tables of weights at each version."""
    learner = Learner(bits=6, alpha=0.3, l1=0.05, challenger_sample=0.5, snapshot_every=snapshot_every)
    log, tables = [], {}
    for number in range(1, versions + 1):
        learner.learn(examples_of(number), 10 * number)
        log += learner.publish()
        tables[10 * number] = {name: task.champion.weights() for name, task in learner.tasks.items()}
    return learner, log, tables


def test_every_version_of_an_uncompacted_log_is_found() -> None:
    """The weights of each version are those that the writer had, bit for bit."""
    _, log, tables = written()
    for version, expected in tables.items():
        published = at_version(log, version)
        assert version == published.version
        for name, task in published.tasks.items():
            assert expected[name].tobytes() == task.table().tobytes()


def test_the_newest_has_progress_and_delays() -> None:
    """Without a version it is the newest, with what was reported at it."""
    learner, log, _ = written()
    published = at_version(log)
    assert 50 == published.version
    assert {"ctr", "cvr"} == set(published.tasks)
    assert {("ctr", "ftrl", 1.0), ("cvr", "mean", 0.5)} <= {
        (each.task, each.model, each.scored_share) for each in published.progress
    }
    assert learner.tasks["cvr"].delays.shares().tolist() == published.delay_shares


def test_after_compaction_the_versions_since_the_snapshot_are_left() -> None:
    """What was before it is refused, with the nearest that there are."""
    _, log, tables = written(versions=6, snapshot_every=3)
    newest = {key: number for number, (key, _) in enumerate(log)}
    compacted = [entry for number, entry in enumerate(log) if newest[entry[0]] == number]
    assert tables[60]["ctr"].tobytes() == at_version(compacted, 60).tasks["ctr"].table().tobytes()
    with pytest.raises(PublishedError, match="got none up to 10: the first is 50"):
        at_version(compacted, 10)
    with pytest.raises(PublishedError, match="got 55: the nearest are 50, 60"):
        at_version(compacted, 55)


def test_an_empty_topic_says_that_nothing_was_learned() -> None:
    """Not an empty model."""
    with pytest.raises(PublishedError, match="nothing has been learned yet"):
        at_version([])


@pytest.mark.parametrize("writer", [to_json, to_npz])
def test_an_export_is_read_as_it_was_written(writer) -> None:
    """Settings, state, progress and delays come back exactly."""
    published = at_version(written()[1])
    read = from_bytes(writer(published))
    assert (published.version, published.progress) == (read.version, read.progress)
    assert published.delay_shares == read.delay_shares
    for name, task in published.tasks.items():
        assert task.settings == read.tasks[name].settings
        for array in ("buckets", "z", "n"):
            assert getattr(task, array).tobytes() == getattr(read.tasks[name], array).tobytes()


def test_the_exports_hold_the_weights_too() -> None:
    """Who reads them elsewhere need not know the formula; the archive holds no objects."""
    published = at_version(written()[1])
    expected = published.tasks["ctr"].weights()
    assert expected.tolist() == orjson.loads(to_json(published))["tasks"]["ctr"]["weights"]
    with np.load(io.BytesIO(to_npz(published)), allow_pickle=False) as archive:
        assert expected.tobytes() == archive["ctr.weights"].tobytes()


@given(st.binary(max_size=50) | st.binary(max_size=50).map(lambda tail: b"PK" + tail))
def test_no_foreign_file_is_taken_for_a_model(data) -> None:
    """Whatever the bytes are, it is one error that says what was expected."""
    with pytest.raises(PublishedError, match="Expected"):
        from_bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "Expected a model in the format headrace-model-1, got 'x'"),
        ({"bits": 40}, "bits from 1 to 32"),
        ({"z": []}, "as many values as buckets"),
        ({"bits": 1}, "Expected buckets below"),
    ],
)
def test_a_broken_export_says_how(change, message) -> None:
    """A file that was changed by hand is refused where it cannot be true."""
    export = orjson.loads(to_json(at_version(written()[1])))
    (export if "format" in change else export["tasks"]["ctr"]).update(change)
    with pytest.raises(PublishedError, match=message):
        from_bytes(orjson.dumps(export))


def test_a_difference_names_what_moved() -> None:
    """Counts, and the buckets whose weights moved most, with both weights."""
    _, log, tables = written()
    old, new = (at_version(log, version).tasks["ctr"] for version in (10, 50))
    change = difference(old, new, top=3)
    moved = np.abs(tables[50]["ctr"] - tables[10]["ctr"])
    assert int((moved > 0).sum()) == change.buckets_changed
    assert moved.max() == change.largest_change == abs(change.new[0] - change.old[0])
    assert np.argsort(-moved)[:3].tolist() == change.buckets
    assert {} == change.settings


def test_nothing_differs_from_itself() -> None:
    """No bucket is listed."""
    task = at_version(written()[1]).tasks["ctr"]
    change = difference(task, task, top=10)
    assert (0, 0.0, []) == (change.buckets_changed, change.mean_change, change.buckets)


def test_other_numbers_of_buckets_cannot_be_compared() -> None:
    """A bucket of one is not that of the other."""
    task = at_version(written()[1]).tasks["ctr"]
    other = task._replace(settings=task.settings | {"bits": 7})
    with pytest.raises(PublishedError, match=r"got 2\*\*6 and 2\*\*7"):
        difference(task, other, top=1)
    assert {"alpha": (0.3, 0.1)} == difference(
        task, task._replace(settings=task.settings | {"alpha": 0.1}), 1
    ).settings
