"""How much each feature matters: how far its shares of the logit spread over what is really shown."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.features import FEATURES, GROUPS


class Importance(Struct, frozen=True):
    """Of a feature, or a group of them, over a sample of examples; all in log odds."""

    name: str
    spread: float
    """Standard deviation of its shares: what it tells apart. A share that is always the same is none."""
    mean: float


def importance(
    table: NDArray[np.float64], rows: Sequence[Sequence[int]]
) -> tuple[list[Importance], list[Importance]]:
    """Groups and features, those with the largest spread first.

    Parameters
    ----------
    table
        float64[2**bits]: the weight of every bucket.
    rows
        Buckets of examples in the order of the feature spec; a row of another length is passed over.
    """
    fitting = [row for row in rows if len(row) == len(FEATURES)]
    if not fitting:
        return [], []
    shares = table[np.array(fitting, np.int64)]
    features = [_of(name, shares[:, number]) for number, name in enumerate(FEATURES)]
    groups = [
        _of(group, shares[:, [FEATURES.index(name) for name in names]].sum(axis=1))
        for group, names in GROUPS.items()
    ]
    return _sorted(groups), _sorted(features)


def _of(name: str, shares: NDArray[np.float64]) -> Importance:
    return Importance(name, float(shares.std()), float(shares.mean()))


def _sorted(found: list[Importance]) -> list[Importance]:
    return sorted(found, key=lambda each: each.spread, reverse=True)
