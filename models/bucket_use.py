"""How full a hashed table is, and how many features share a bucket."""

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class FieldUse(Struct, frozen=True):
    """Of one field."""

    field: str
    tokens: int
    """Distinct values."""
    buckets: int
    """Distinct buckets that they are hashed to."""


class BucketUse(Struct, frozen=True):
    """Of a whole table. A feature is one value of one field."""

    buckets: int
    """2**bits."""
    used: int
    features: int
    collided: int
    """Features that share their bucket with another."""
    collided_share: float
    """Occurrences of such features by all occurrences: rare features collide as often, but matter less."""
    estimated_features: float
    """What ``estimated_features`` says from ``used`` alone."""
    fields: list[FieldUse]


def bucket_use(
    fields: Sequence[str], tokens: NDArray[np.int64], buckets: NDArray[np.uint32], bits: int
) -> BucketUse:
    """Count exactly, from what was hashed.

    ``fields`` names the m columns of ``tokens``, int64[n, m], and ``buckets``, uint32[n, m].

    >>> tokens, buckets = np.array([[1, 1], [2, 1]]), np.array([[0, 3], [3, 3]], np.uint32)
    >>> use = bucket_use(["a", "b"], tokens, buckets, bits=2)
    >>> use.features, use.used, use.collided, use.collided_share
    (3, 2, 2, 0.75)
    """
    held, occurrences, of_fields = [], [], []
    for column, field in enumerate(fields):
        distinct, first, counts = np.unique(tokens[:, column], return_index=True, return_counts=True)
        of = buckets[first, column]
        of_fields.append(FieldUse(field, distinct.size, np.unique(of).size))
        held.append(of)
        occurrences.append(counts)
    of_features, counts = np.concatenate(held), np.concatenate(occurrences)
    together = np.bincount(of_features, minlength=1 << bits)
    collided = together[of_features] > 1
    used = int(np.count_nonzero(together))
    return BucketUse(
        buckets=1 << bits,
        used=used,
        features=of_features.size,
        collided=int(collided.sum()),
        collided_share=float(counts[collided].sum() / counts.sum()) if counts.size else 0.0,
        estimated_features=estimated_features(used, bits),
        fields=of_fields,
    )


def estimated_features(used: int, bits: int) -> float:
    """Features that were hashed, where only the used buckets are known: of a running model, say.

    Linear counting (Whang, Vander-Zanden and Taylor 1990); infinite for a full table.

    >>> round(estimated_features(63_212, 17))
    86285
    """
    buckets = 1 << bits
    return math.inf if used >= buckets else -buckets * math.log1p(-used / buckets)
