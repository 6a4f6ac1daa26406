"""Two results that must be the same, and what to say where they are not."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from streams.bench.faults.comparison import DECAYED_TOLERANCE
from streams.bench.faults.results import Record, Results

SHOWN = 3


def assert_same(expected: Results, actual: Results) -> None:
    """Nothing lost, nothing twice, nothing else; whole numbers equal, decayed sums within 1e-6."""
    assert [] == actual.repeated
    for name in ("progress", "decisions", "outcomes", "examples", "dead_letters", "rows"):
        assert {} == _differences(getattr(expected, name), getattr(actual, name)), name
    assert expected.decayed.keys() == actual.decayed.keys()
    users = sorted(expected.decayed)
    np.testing.assert_allclose(
        [actual.decayed[user] for user in users],
        [expected.decayed[user] for user in users],
        rtol=DECAYED_TOLERANCE,
    )


def _differences(expected: Mapping[Any, Any], actual: Mapping[Any, Any]) -> Record:
    """How many differ, and the first few with both sides: pytest would take minutes over all of them."""
    keys = [key for key in expected.keys() | actual.keys() if expected.get(key) != actual.get(key)]
    if not keys:
        return {}
    shown = {str(key): (expected.get(key), actual.get(key)) for key in sorted(keys)[:SHOWN]}
    return {"differing": len(keys), "missing": len(expected.keys() - actual.keys()), **shown}
