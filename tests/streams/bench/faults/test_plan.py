"""Seeded faults."""

from hypothesis import given
from hypothesis import strategies as st

from streams.bench.faults.plan import CLUSTER_KINDS, FIRST_SHARE, LAST_SHARE, draw_faults


@given(st.integers(), st.integers(min_value=len(CLUSTER_KINDS), max_value=40))
def test_every_kind_occurs(seed: int, count: int) -> None:
    """With as many faults as kinds none is left out; moments are in order and inside the run."""
    faults = draw_faults(seed, count, CLUSTER_KINDS)
    shares = [fault.at_share for fault in faults]
    assert count == len(faults)
    assert set(CLUSTER_KINDS) == {fault.kind for fault in faults}
    assert sorted(shares) == shares
    assert FIRST_SHARE <= shares[0] <= shares[-1] <= LAST_SHARE


def test_a_seed_is_a_plan() -> None:
    """The same seed draws the same faults, another one others."""
    assert draw_faults(1, 10, CLUSTER_KINDS) == draw_faults(1, 10, CLUSTER_KINDS)
    assert draw_faults(1, 10, CLUSTER_KINDS) != draw_faults(2, 10, CLUSTER_KINDS)
