"""Every learner, held against River's conventions and against ours."""

import sys
from types import ModuleType

import numpy as np
import pytest
from river import base, checks

from models import conformance
from models.conformance import check_learner, yield_checks
from models.dense import DenseNetwork
from models.ftrl import FTRLProximal
from models.fwfm import FwFM
from models.running_mean import RunningMean

LEARNERS = {
    "ftrl": lambda: FTRLProximal(bits=10, alpha=0.3, l1=0.01),
    "ftrl float32": lambda: FTRLProximal(bits=10, alpha=0.3, storage="float32"),
    "ftrl of delayed labels": lambda: FTRLProximal(bits=10, alpha=0.3, delayed="fake_negative"),
    "fwfm": lambda: FwFM(bits=8, fields=16),
    "fwfm float32": lambda: FwFM(bits=8, fields=5, storage="float32"),
    "fwfm of delayed labels": lambda: FwFM(bits=8, delayed="fake_negative"),
    "running mean": RunningMean,
    "dense": lambda: DenseNetwork(bits=8, features=40),
}


RIVERS_LEARNERS = ("ftrl", "ftrl of delayed labels", "fwfm float32", "running mean", "dense")
"""Each class once; River's checks take seconds."""


def made(name):
    if name == "dense":
        pytest.importorskip("jax", reason="the extra `dense` is not installed")
    return LEARNERS[name]()


class UnusedSklearn(ModuleType):
    """Stands in for scikit-learn, which River's checks import for a data set of multi-output models."""

    datasets = None


@pytest.mark.parametrize("name", RIVERS_LEARNERS)
def test_rivers_conventions_hold(name, monkeypatch):
    """All of River's own estimator checks pass; none is left out."""
    learner = made(name)
    monkeypatch.setitem(sys.modules, "sklearn", UnusedSklearn("sklearn"))
    assert set() == learner._unit_test_skips()
    checks.check_estimator(learner)


@pytest.mark.parametrize("name", LEARNERS)
def test_our_conventions_hold(name):
    """All of our checks that apply pass."""
    check_learner(made(name))


class Forgetful(FTRLProximal):
    """Loses half of its state in a snapshot."""

    def restore(self, state):
        self.z[state["buckets"]] = state["z"]


class Hoarder(FTRLProximal):
    """Keeps every example."""

    def __init__(self, bits=10):
        super().__init__(bits)
        self.examples = []

    def learn_one(self, x, y, w=1.0):
        self.examples.append((x, y))
        super().learn_one(x, y, w)


class ByPlace(base.Classifier):
    """Goes by the first key only."""

    def __init__(self):
        self.seen = 0

    def learn_one(self, x, y):
        self.seen += 1

    def predict_proba_one(self, x):
        p = ord(next(iter(x), "a")) % 7 / 7
        return {True: p, False: 1 - p}


class PerBatch(FTRLProximal):
    """Predicts a batch of more than one example before learning any of it."""

    def _learn_rows(self, rows, labels, weights):
        predictions = self._predict_rows(rows)
        super()._learn_rows(rows, labels, weights)
        return predictions


class Unguarded(FTRLProximal):
    """Applies what it should not."""

    def learn_one(self, x, y, w=1.0):
        super().learn_one(x, y, w)
        if not np.isfinite(w):
            self.n[0] = w


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (Forgetful(bits=10), conformance.check_snapshot),
        (Hoarder(), conformance.check_memory),
        (ByPlace(), conformance.check_key_order),
        (PerBatch(bits=10), conformance.check_batches),
        (Unguarded(bits=10), conformance.check_odd_weights),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_checks_can_fail(model, check):
    """A learner that breaks a rule fails the check of that rule."""
    with pytest.raises(AssertionError):
        check(model)


def test_batches_and_snapshots_are_asked_of_hashed_learners_only():
    """A learner that has River's API alone is held to what it has."""
    names = {check.__name__ for check in yield_checks(RunningMean())}
    assert {"check_odd_values", "check_key_order", "check_clone", "check_memory"} == names
