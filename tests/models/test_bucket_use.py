import math

import numpy as np
import pytest

from models.bucket_use import bucket_use, estimated_features
from models.hashing import bucket_of


def test_counts_are_those_of_a_dictionary():
    """Features, buckets and collisions are what counting pairs one by one gives."""
    random = np.random.default_rng(1)
    tokens = random.zipf(1.3, (2_000, 3)) % 300
    buckets = np.array(
        [[bucket_of(j, int(token), 2**9 - 1) for j, token in enumerate(row)] for row in tokens], np.uint32
    )
    use = bucket_use(["a", "b", "c"], tokens, buckets, bits=9)
    of_features, occurrences = {}, {}
    for row, hashed in zip(tokens.tolist(), buckets.tolist(), strict=True):
        for j in range(3):
            of_features[j, row[j]] = hashed[j]
            occurrences[j, row[j]] = occurrences.get((j, row[j]), 0) + 1
    held = list(of_features.values())
    collided = [feature for feature, bucket in of_features.items() if held.count(bucket) > 1]
    assert (512, len(set(held)), len(held)) == (use.buckets, use.used, use.features)
    assert len(collided) == use.collided > 0
    assert sum(occurrences[feature] for feature in collided) / 6_000 == pytest.approx(use.collided_share)
    assert [len({token for j, token in of_features if j == i}) for i in range(3)] == [
        field.tokens for field in use.fields
    ]


def test_features_are_estimated_from_the_buckets_alone():
    """Of 50,000 features in 2**16 buckets the estimate is right to a hundredth."""
    buckets = np.random.default_rng(2).integers(0, 1 << 16, 50_000)
    assert estimated_features(np.unique(buckets).size, 16) == pytest.approx(50_000, rel=0.01)


def test_a_full_table_tells_nothing():
    """An empty table has had no features, a full one any number."""
    assert (0.0, math.inf) == (estimated_features(0, 4), estimated_features(16, 4))
