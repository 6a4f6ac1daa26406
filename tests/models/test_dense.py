import numpy as np
import pytest

from models.dense import CHUNK, DenseNetwork
from models.ftrl import FTRLProximal

pytest.importorskip("jax", reason="the extra `dense` is not installed")


def log_loss(predictions, labels):
    return -np.mean(np.log(np.where(labels, predictions, 1 - predictions)))


def test_it_learns_what_no_linear_model_can():
    """Where the label is whether two words are alike, its loss is a small part of the linear model's."""
    random = np.random.default_rng(1)
    words = random.integers(0, 2, (4 * CHUNK, 2))
    labels = words[:, 0] == words[:, 1]
    buckets = (words + np.array([0, 2])).astype(np.uint32).ravel()
    rows = buckets, np.arange(labels.size + 1) * 2, labels, np.ones(labels.size)
    late = slice(2 * CHUNK, None)
    deep = DenseNetwork(bits=4).learn_many_hashed(*rows)[late]
    linear = FTRLProximal(bits=4).learn_many_hashed(*rows)[late]
    assert log_loss(deep, labels[late]) < 0.2 * log_loss(linear, labels[late])


def test_seeds_differ():
    """The same seed gives the same network, another one another."""
    row = np.array([3, 9], np.uint32), np.array([0, 2])
    same, again, other = (DenseNetwork(bits=4, seed=seed).predict_many_hashed(*row) for seed in (1, 1, 2))
    assert same == again != other


def test_poisoned_examples_are_undone_and_counted():
    """An example whose weight float32 cannot hold leaves every parameter as it was."""
    model = DenseNetwork(bits=4)
    model.learn_one({"a": 1.0}, True)
    before = model.snapshot()
    model.learn_one({"a": 1.0}, True, 1e300)
    assert 1 == model.rejected
    for name, array in model.snapshot().items():
        assert before[name].tobytes() == array.tobytes()


def test_rows_longer_than_the_network_takes_are_refused():
    """A row of more features than there are places raises before anything is learned."""
    with pytest.raises(ValueError, match="Expected rows of at most 2 features, got 3"):
        DenseNetwork(bits=4, features=2).predict_many_hashed(np.array([1, 2, 3], np.uint32), np.array([0, 3]))


@pytest.mark.parametrize(
    "settings", [{"bits": 0}, {"bits": 27}, {"features": 0}, {"alpha": 0.0}, {"delayed": "x"}]
)
def test_unusable_settings_are_refused(settings):
    """Settings out of range raise."""
    with pytest.raises(ValueError, match="Expected"):
        DenseNetwork(**settings)
