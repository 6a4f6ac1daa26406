"""How far what was drawn may lie from the probability that it was drawn with."""

import numpy as np

Z = 4.5
"""Standard errors: a fair draw passes them once in 150,000. Seeds are fixed: what passes, passes always."""
KOLMOGOROV = 2.3
"""Of the largest difference of distribution functions times the root of the count: once in 20,000."""


def assert_rates(happened: np.ndarray, p: np.ndarray, groups: np.ndarray) -> None:
    """In each group of draws as much happened as their probabilities say, to ``Z`` standard errors."""
    found = np.bincount(groups, happened)
    expected = np.bincount(groups, p)
    error = np.sqrt(np.bincount(groups, p * (1 - p)))
    large = expected > 20  # a smaller sum is not normal
    assert large.any()
    assert [] == np.flatnonzero(large & (np.abs(found - expected) > Z * error)).tolist()


def assert_uniform(draws: np.ndarray) -> None:
    """They are as good as uniform on 0 to 1, by Kolmogorov's test."""
    ranks = np.arange(1, len(draws) + 1) / len(draws)
    difference = np.abs(np.sort(draws) - ranks).max() + 1 / len(draws)
    assert difference * np.sqrt(len(draws)) < KOLMOGOROV
