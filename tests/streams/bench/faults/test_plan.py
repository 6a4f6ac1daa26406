"""Seeded faults."""

from hypothesis import given
from hypothesis import strategies as st

from streams.bench.faults.plan import CLUSTER_KINDS, FIRST_SHARE, LAST_SHARE, STORE_KINDS, draw_faults

KINDS = CLUSTER_KINDS + STORE_KINDS


@given(st.integers(), st.integers(min_value=len(KINDS), max_value=40))
def test_every_kind_occurs(seed: int, count: int) -> None:
    """With as many faults as kinds none is left out of any run; moments are in order and inside the run."""
    for faults in draw_faults(seed, (count, count), KINDS):
        shares = [fault.at_share for fault in faults]
        assert count == len(faults)
        assert set(KINDS) == {fault.kind for fault in faults}
        assert sorted(shares) == shares
        assert FIRST_SHARE <= shares[0] <= shares[-1] <= LAST_SHARE


@given(st.integers(), st.integers(min_value=0, max_value=len(KINDS)))
def test_the_second_run_has_what_the_first_has_not(seed: int, count: int) -> None:
    """Two runs that have as many faults as there are kinds have each kind once."""
    first, second = draw_faults(seed, (count, len(KINDS) - count), KINDS)
    assert sorted(KINDS) == sorted(fault.kind for fault in first + second)


def test_a_seed_is_a_plan() -> None:
    """The same seed draws the same faults, another one others."""
    assert draw_faults(1, (10, 10), KINDS) == draw_faults(1, (10, 10), KINDS)
    assert draw_faults(1, (10, 10), KINDS) != draw_faults(2, (10, 10), KINDS)
