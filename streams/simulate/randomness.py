"""Independent streams of random numbers: one a concern and block, all from one seed."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64, Generator, SeedSequence

Concern = Literal["world", "sessions", "views", "slots", "baskets", "policy"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.intp]
"""Places in a vocabulary."""
Flags = npt.NDArray[np.bool_]

_CONCERNS = get_args(Concern)


def generator(seed: int, concern: Concern, block: int = 0) -> Generator:
    """The stream of a concern in a block; what one concern draws moves no other.

    The child that ``SeedSequence(seed).spawn`` would give, without spawning those before it.

    >>> generator(7, "views", 2).random() == generator(7, "views", 2).random()
    True
    """
    return Generator(PCG64(SeedSequence(seed, spawn_key=(_CONCERNS.index(concern), block))))


def place_of(shares: Any, draws: Any) -> Words:
    """Where each draw of 0 to 1 falls in a distribution over 0, 1, ...

    >>> place_of(np.array([0.5, 0.5]), np.array([0.2, 0.7])).tolist()
    [0, 1]
    """
    edges = np.cumsum(shares)
    places = np.searchsorted(edges / edges[-1], draws, side="right")
    return np.asarray(np.minimum(places, len(shares) - 1), np.intp)
