"""The learners that are compared, ours and the references, each over hashed examples."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple
from numpy.typing import NDArray
from river import linear_model, optim

from models.dense import DenseNetwork
from models.ftrl import FTRLProximal
from models.fwfm import FwFM
from models.hashed import HashedClassifier

Buckets = NDArray[np.uint32]
Labels = NDArray[np.bool_]
Run = Callable[[], NDArray[np.float64]]
"""Predicts and learns every example in turn, once; returns float64[n]: the predictions."""


class LinearSettings(Struct, frozen=True):
    """Of FTRL-Proximal, whoever implements it; the defaults are those of the section ``learning``."""

    alpha: float = 0.05
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 1.0


SHIPPED = LinearSettings()


class Contestant(NamedTuple):
    """One learner."""

    name: str
    is_ours: bool
    prepare: Callable[[Buckets, Labels], Run]
    """Makes a model and brings examples, uint32[n, m] and bool[n], into its own form: is not measured."""
    slowness: int = 1
    """By how much fewer examples suffice to measure its speed."""


def ours(name: str, make: Callable[[], HashedClassifier], slowness: int = 1) -> Contestant:
    """A learner of ours by its batch API, in one call."""

    def prepare(buckets: Buckets, labels: Labels) -> Run:
        count, features = buckets.shape
        flat = np.ascontiguousarray(buckets).reshape(-1)
        offsets, ones, model = np.arange(count + 1) * features, np.ones(count), make()
        return lambda: model.learn_many_hashed(flat, offsets, labels, ones)

    return Contestant(name, True, prepare, slowness)


def one_by_one(name: str, make: Callable[[], Any], is_ours: bool, slowness: int) -> Contestant:
    """A learner by River's API, example by example, over dictionaries."""

    def prepare(buckets: Buckets, labels: Labels) -> Run:
        examples = [dict.fromkeys(row, 1.0) for row in buckets.tolist()]
        answers, model = labels.tolist(), make()

        def run() -> NDArray[np.float64]:
            predictions = []
            for x, y in zip(examples, answers, strict=True):
                predictions.append(model.predict_proba_one(x).get(True, 0.0))
                model.learn_one(x, y)
            return np.array(predictions)

        return run

    return Contestant(name, is_ours, prepare, slowness)


def vowpal_wabbit(name: str, options: str, bits: int, predict_first: bool = False) -> Contestant:
    """Vowpal Wabbit by its Python package.

    Its text format takes a whole number as the place of a weight, so the buckets are the same. Learning
    computes the prediction before the update, and reading it from there is its fastest way; with
    ``predict_first`` it predicts and learns as a server would that gets the label later.
    """

    def prepare(buckets: Buckets, labels: Labels) -> Run:
        from vowpalwabbit import Workspace

        signs = np.where(labels, "1", "-1").tolist()
        lines = [
            f"{sign} | {' '.join(map(str, row))}" for sign, row in zip(signs, buckets.tolist(), strict=True)
        ]
        workspace = Workspace(
            f"--loss_function logistic --link logistic --noconstant -b {bits} {options}", quiet=True
        )

        def run() -> NDArray[np.float64]:
            predictions = []
            for line in lines:
                if predict_first:
                    predictions.append(workspace.predict(line))
                    workspace.learn(line)
                    continue
                example = workspace.example(line)
                workspace.learn(example)
                predictions.append(example.get_simplelabel_prediction())
                workspace.finish_example(example)
            workspace.finish()
            return np.array(predictions, np.float64)

        return run

    return Contestant(name, False, prepare, slowness=8)


def vw_ftrl(settings: LinearSettings) -> str:
    """Options of Vowpal Wabbit for FTRL-Proximal with these settings."""
    return (
        f"--ftrl --ftrl_alpha {settings.alpha} --ftrl_beta {settings.beta} "
        f"--l1 {settings.l1} --l2 {settings.l2}"
    )


def river_ftrl(settings: LinearSettings) -> Callable[[], Any]:
    """Makes River's logistic regression with its FTRL-Proximal."""
    return lambda: linear_model.LogisticRegression(
        optim.FTRLProximal(settings.alpha, settings.beta, settings.l1, settings.l2)
    )


def has_dense() -> bool:
    """Whether the extra that the dense network needs is installed."""
    return find_spec("jax") is not None


def compared(bits: int, chosen: LinearSettings | None) -> Iterator[Contestant]:
    """All that a quality comparison has; with ``chosen``, FTRL once more with these settings, whoever's."""
    yield ours("ftrl", lambda: FTRLProximal(bits))
    yield ours("fwfm", lambda: FwFM(bits))
    if has_dense():
        yield ours("dense", lambda: DenseNetwork(bits))
    yield one_by_one("river lr", linear_model.LogisticRegression, False, 1)
    yield one_by_one("river ftrl", river_ftrl(SHIPPED), False, 1)
    yield vowpal_wabbit("vw sgd", "", bits)
    yield vowpal_wabbit("vw ftrl", "--ftrl", bits)
    yield vowpal_wabbit("vw ftrl, shipped settings", vw_ftrl(SHIPPED), bits)
    if chosen is not None:
        settings = astuple(chosen)
        yield ours("ftrl, chosen settings", lambda: FTRLProximal(bits, *settings))
        yield one_by_one("river ftrl, chosen settings", river_ftrl(chosen), False, 1)
        yield vowpal_wabbit("vw ftrl, chosen settings", vw_ftrl(chosen), bits)
