from itertools import pairwise

import numpy as np
import pytest

from models.ftrl import FTRLProximal
from models.population import Population, Settings, carry, neighbour, settings_of


def drawn(seed, count):
    """Rows of three buckets, and labels that depend on the first."""
    random = np.random.default_rng(seed)
    buckets = random.integers(0, 32, (count, 3)).astype(np.uint32)
    labels = random.random(count) < np.where(buckets[:, 0] < 8, 0.4, 0.05)
    return buckets.ravel(), np.arange(0, 3 * count + 1, 3, dtype=np.int64), labels, np.ones(count)


@pytest.mark.parametrize(
    "settings", [Settings(0.2, 1.0, 0.0, 1.0), Settings(0.05, 1.0, 2.0, 1.0), Settings(0.01, 2.0, 0.5, 3.0)]
)
@pytest.mark.parametrize("forget", [0.0, 0.9])
def test_settings_change_and_weights_stay(settings, forget):
    """A learner that is carried over to other settings, or forgets, predicts the same at that moment."""
    model = FTRLProximal(bits=5, alpha=0.1, l1=0.3)
    model.learn_many_hashed(*drawn(1, 500))
    heir = carry(model, settings, forget)
    assert settings == settings_of(heir)
    assert heir.weights() == pytest.approx(model.weights(), rel=1e-12, abs=1e-12)
    assert np.flatnonzero(model.weights()).tolist() == np.flatnonzero(heir.weights()).tolist()
    assert heir.n == pytest.approx(model.n * (1.0 - forget))


def test_neighbours_differ_in_one_setting():
    """And stay inside the range that a learner takes."""
    base = Settings(1e6, 1.0, 0.0, 1e-6)
    for step in range(14):
        settings = neighbour(base, step)
        assert sum(a != b for a, b in zip(base, settings, strict=True)) <= 1
        FTRLProximal(4, *settings)


def test_a_bad_start_is_left():
    """From a learning rate far too low, a better one is promoted."""
    population = Population(FTRLProximal(bits=5, alpha=0.001), challengers=3, warm_up=100)
    first = population.champion
    changes = []
    for seed in range(20):
        _, changed = population.learn_many_hashed(*drawn(seed, 1_000))
        changes += changed
    assert changes
    assert population.champion.alpha > 0.001
    assert 0 == changes[0].change.former
    assert 0.001 == changes[0].former.alpha
    assert population.champion is not first


def test_batches_leave_no_trace():
    """However examples are cut into batches, members, contest and predictions come out the same."""
    rows, edges, labels, weights = drawn(5, 7_777)
    whole, cut = (Population(FTRLProximal(bits=5, alpha=0.001), 3, warm_up=100) for _ in range(2))
    expected, changes = whole.learn_many_hashed(rows, edges, labels, weights)
    actual, found = [], []
    bounds = [0, 1, 399, 1_000, 1_001, 2_500, 6_000, 7_777]
    for start, end in pairwise(bounds):
        part = rows[edges[start] : edges[end]], edges[start : end + 1] - edges[start]
        said, changed = cut.learn_many_hashed(*part, labels[start:end], weights[start:end])
        actual.append(said)
        found += [
            each._replace(change=each.change._replace(place=start + each.change.place)) for each in changed
        ]
    assert changes
    assert changes == found
    assert expected.tobytes() == np.concatenate(actual).tobytes()
    assert [] == whole.differences(cut)


def test_the_champion_is_what_it_would_be_alone():
    """Challengers have no influence on a champion that stays."""
    alone = FTRLProximal(bits=5)
    population = Population(FTRLProximal(bits=5), challengers=2)
    expected = alone.learn_many_hashed(*drawn(3, 400))
    said, changes = population.learn_many_hashed(*drawn(3, 400))
    assert [] == changes
    assert expected.tobytes() == said.tobytes()
    assert alone.z.tobytes() == population.champion.z.tobytes()
