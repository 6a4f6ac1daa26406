import numpy as np
import pytest

from models.features import CALIBRATION, FEATURES, GROUP_OF, GROUPS, OTHER, by_group
from models.importance import importance


def test_groups_are_a_partition_of_the_features() -> None:
    """Every feature is in one group, and no group names another; calibration is a group of its own."""
    assert sorted(FEATURES) == sorted(feature for features in GROUPS.values() for feature in features)
    assert {*FEATURES, CALIBRATION} == GROUP_OF.keys()


def test_the_shares_of_groups_sum_to_the_logit() -> None:
    """Also with features that this release does not know."""
    random = np.random.default_rng(1)
    shares = {feature: float(random.normal().__round__(6)) for feature in (*FEATURES, "gone")}
    assert sum(shares.values()) == pytest.approx(sum(by_group(shares).values()))
    assert shares["gone"] == by_group(shares)[OTHER]


def test_what_differs_between_examples_matters() -> None:
    """A share that is always the same has no spread, however large; the feature that varies comes first."""
    table = np.zeros(64)
    table[1], table[2], table[3] = -3.0, 0.5, -0.5
    varying = FEATURES.index("device")
    rows = [[1 if number == 0 else 0 for number in range(len(FEATURES))] for _ in range(4)]
    for number, row in enumerate(rows):
        row[varying] = 2 + number % 2
    groups, features = importance(table, rows)
    assert ("situation", 0.5) == (groups[0].name, groups[0].spread)
    assert ("device", 0.5, 0.0) == (features[0].name, features[0].spread, features[0].mean)
    bias = next(each for each in features if each.name == "bias")
    assert (0.0, -3.0) == (bias.spread, bias.mean)


def test_rows_of_another_spec_are_passed_over() -> None:
    """Their places would mean other features."""
    assert ([], []) == importance(np.zeros(8), [[1, 2, 3]])
