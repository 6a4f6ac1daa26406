import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.promotion import MILLION, is_held_out, uniform

USERS = range(1, 40_001)


@given(st.integers(1, 5000))
def test_propensities_are_even_and_whole(arms):
    """Every arm has its share of one million, to one millionth."""
    propensities = uniform(arms)
    assert (arms, MILLION) == (len(propensities), sum(propensities))
    assert max(propensities) - min(propensities) <= 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_the_holdout_has_its_share_of_the_users(share):
    """Of many users the held-out share is the one that was asked for, within four standard errors."""
    held_out = sum(is_held_out(user, share, "salt") for user in USERS)
    error = 4 * (share * (1 - share) / len(USERS)) ** 0.5
    assert abs(held_out / len(USERS) - share) <= error


@given(st.integers(0, 2**63 - 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_holdout_keeps_the_users_of_the_smaller(user, share, other_share):
    """Who is held out stays so when the share grows: the holdout is permanent."""
    smaller, larger = sorted((share, other_share))
    assert is_held_out(user, larger, "salt") or not is_held_out(user, smaller, "salt")


def test_another_salt_holds_out_other_users():
    """Two salts give independent holdouts: they share about as many users as chance would have it."""
    both = sum(is_held_out(user, 0.5, "a") and is_held_out(user, 0.5, "b") for user in USERS)
    assert abs(both / len(USERS) - 0.25) < 0.01
