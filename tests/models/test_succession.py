"""Champions that change, on the topic `model` and over restarts."""

import numpy as np
import pytest

from models.contest import WAIT
from models.learner import Learner
from models.serving import ServingWeights, is_served
from schemas.examples import Example
from schemas.model import Change, decode_model_record

SETTINGS = {"bits": 5, "alpha": 0.001, "challenger_sample": 0.0, "snapshot_every": 4, "challengers": 3}
BATCH = 1_500


def impatient(**changed):
    """A learner that starts far too slow, and whose challengers are compared after 100 examples."""
    learner = Learner(**{**SETTINGS, **changed})
    for task in learner.tasks.values():
        contest = task.population.contest
        contest.warm_up = 100
        contest.rows[:, WAIT] = 100
    return learner


def batch_of(number):
    """Examples whose labels depend on the first of three buckets."""
    random = np.random.default_rng(number)
    buckets = random.integers(0, 32, (BATCH, 3))
    labels = random.random(BATCH) < np.where(buckets[:, 0] < 8, 0.4, 0.05)
    return [
        Example(f"ctr-0-{number * BATCH + i}-0", "ctr", number * BATCH + i, int(label), 1.0, "own", row)
        for i, (row, label) in enumerate(zip(buckets.tolist(), labels.tolist(), strict=True))
    ]


def learned(learner, numbers):
    """What a learner publishes of batches, a version each."""
    log = []
    for number in numbers:
        learner.learn(batch_of(number), (number + 1) * BATCH)
        log += learner.publish()
    return log


def changes_in(log):
    found = [decode_model_record(value) for key, value in log if value and key.split("/")[1] == "change"]
    return [each for each in found if isinstance(each, Change)]


def test_a_challenger_that_is_better_serves():
    """From the version of its promotion on workers have its weights, and the audit says what has changed."""
    learner, weights = impatient(), ServingWeights("ctr", bits=5)
    log = learned(learner, range(8))
    first = changes_in(log)[0]
    assert ("promotion", 0.001) == (first.kind, SETTINGS["alpha"])
    assert first.reason.endswith(" instead of alpha=0.001 beta=1 l1=0 l2=1")
    assert first.seen > 0.0
    champion = learner.tasks["ctr"].champion
    assert champion.alpha > 0.001
    for key, value in log:
        if value is not None and is_served(key.encode()):
            weights.apply(decode_model_record(value))
    assert learner.version == weights.version
    assert champion.weights().round(6).tolist() == weights.table.tolist()


def test_restarts_leave_no_trace():
    """Members, contest, audit and all else are those of one run, wherever a restart falls."""
    steady, restarted = impatient(), impatient()
    expected, log = [], []
    for number in range(9):
        expected += changes_in(learned(steady, [number]))
        log += learned(restarted, [number])
        restarted = impatient()
        restarted.restore(log)
    assert len(expected) > 1
    assert expected == changes_in(log)
    assert [] == steady.differences(restarted)


@pytest.mark.parametrize("challengers", [0, 1, 5])
def test_another_number_of_challengers_begins_the_contest_anew(challengers):
    """The champion serves on, with the settings that it has come to."""
    writer = impatient()
    log = learned(writer, range(8))
    reader = impatient(challengers=challengers)
    reader.restore(log)
    before, after = writer.tasks["ctr"].champion, reader.tasks["ctr"].champion
    assert 1 + challengers == len(reader.tasks["ctr"].population.members)
    assert (before.alpha, before.z.tobytes(), before.n.tobytes()) == (
        after.alpha,
        after.z.tobytes(),
        after.n.tobytes(),
    )
    log += learned(reader, [8])
    again = impatient(challengers=challengers)
    again.restore(log)
    assert [] == reader.differences(again)


def test_the_settings_of_the_first_champion_are_those_that_count():
    """A champion with other settings than configured is no error; a configuration that was changed is."""
    log = learned(impatient(), range(8))
    with pytest.raises(ValueError, match=r"Expected weights learned with alpha = 0\.002, got 0\.001"):
        impatient(alpha=0.002).restore(log)
