"""Two profiles that become one."""

import numpy as np
from histories import T0_MS, histories, profile_of
from hypothesis import given, settings
from hypothesis import strategies as st

from models import profiles as p
from models.profile_merge import merge

SUMS = ("decayed", "affinity", "price_band")
BY_ARRIVAL = (
    "session_start_ms", "session_views", "session_items", "session_searches", "session_carts",
    "session_checkouts", "dwell_s",
)  # fmt: skip
OF_THE_USER = ("key", "partition_hash")
EXACT = [name for name in p.PROFILE.names if name not in (*SUMS, *OF_THE_USER, "spare")]
LARGEST_SPEND = 1e13
"""A refund cancels spend: the error is relative to what was added up."""


def merged(*rows):
    """The first profile, into which the others went one after the other."""
    held = np.zeros(1, p.PROFILE)
    held[0] = rows[0]
    for row in rows[1:]:
        other = np.zeros(1, p.PROFILE)
        other[0] = row
        merge(held, 0, other, 0)
    return held[0]


def assert_same(expected, actual, without=()):
    """Whole fields equal, sums within 1e-9 of what was added up."""
    names = [name for name in EXACT if name not in without]
    assert {name: expected[name] for name in names} == {name: actual[name] for name in names}
    for name in SUMS:
        scale = np.array([[LARGEST_SPEND if kind == "spend" else 1.0] for kind in p.DECAYED])
        tolerance = 1e-9 * np.abs(expected[name]) + 1e-9 * (scale if name == "decayed" else 1.0)
        assert (np.abs(actual[name] - expected[name]) <= tolerance).all(), name


@settings(max_examples=25, deadline=None)
@given(histories, st.data())
def test_a_merge_is_the_profile_of_all_events(history, data):
    """However the events of one person lie on two users, together they come to what one would have."""
    own = data.draw(st.lists(st.booleans(), min_size=len(history), max_size=len(history)))
    parts = [profile_of([event for event, of in zip(history, own, strict=True) if of is side])
             for side in (True, False)]  # fmt: skip
    assert_same(profile_of(history), merged(*parts), BY_ARRIVAL)


@settings(max_examples=25, deadline=None)
@given(histories, histories)
def test_it_makes_no_difference_which_is_merged_into_which(one, other):
    """All fields but the user's own are the same, those of the session too."""
    one, other = profile_of(one), profile_of(other)
    assert_same(merged(one, other), merged(other, one))


@settings(max_examples=25, deadline=None)
@given(histories, histories, histories)
def test_it_makes_no_difference_in_which_order_three_are_merged(one, two, three):
    """All but what goes by arrival."""
    one, two, three = map(profile_of, (one, two, three))
    assert_same(merged(merged(one, two), three), merged(one, merged(two, three)), BY_ARRIVAL)


@settings(max_examples=25, deadline=None)
@given(histories, histories)
def test_it_makes_no_difference_when_the_other_profile_comes(before, after):
    """Events before the merge and events after it come to the same: a transfer may take its time."""
    first, later = before, [(event[0], event[1] + 60 * p.DAY_MS, *event[2:]) for event in after]
    late = merged(profile_of(first + later), profile_of(before))
    held = np.zeros(1, p.PROFILE)
    held[0] = merged(profile_of(first), profile_of(before))
    early = profile_of(later, held)
    days_that_left = ("earlier_active_days",)
    assert_same(late, early, (*BY_ARRIVAL, *days_that_left))
    assert 0 <= late["earlier_active_days"] - early["earlier_active_days"] <= len(before)


def test_days_are_counted_once_while_they_are_known():
    """A day on which both were active is one day, also after it has left the bits."""
    day = T0_MS // p.DAY_MS
    views = [("view", (day + n) * p.DAY_MS, 0, 0, 0) for n in range(3)]
    both = merged(profile_of(views), profile_of(views[1:]))
    assert (3, 0) == (int(both["active_days"]).bit_count(), both["earlier_active_days"])
    much_later = profile_of([("view", (day + 65) * p.DAY_MS, 0, 0, 0)])
    assert (2, 2) == tuple(
        int(value)
        for value in (
            int(merged(both, much_later)["active_days"]).bit_count(),
            merged(both, much_later)["earlier_active_days"],
        )
    )


def test_one_session_is_one_session():
    """Who logs in keeps the cart and searches of the visit; of sessions far apart the later one counts."""
    anonymous = profile_of([("view", T0_MS, p.PAGE_CODES["search"], 0, 0), ("view", T0_MS + 5, 4, 0, 0)])
    known = profile_of([("view", T0_MS - p.DAY_MS, 0, 0, 0), ("view", T0_MS + 9, 0, 0, 0)])
    both = merged(known, anonymous)
    assert (3, 1, 1, T0_MS) == tuple(
        int(both[name]) for name in ("session_views", "session_searches", "session_carts", "session_start_ms")
    )
    long_ago = profile_of([("view", T0_MS - p.DAY_MS, p.PAGE_CODES["search"], 0, 0)])
    for rows in ((anonymous, long_ago), (long_ago, anonymous)):
        assert (2, 1) == tuple(int(merged(*rows)[name]) for name in ("session_views", "session_searches"))


def test_the_user_stays_who_it_is():
    """Key and place are those of the profile that is merged into; an untouched one takes all else."""
    other = profile_of([("view", T0_MS, 0, 5, 1_000_000)])
    other["key"], other["partition_hash"] = 7, 8
    fresh = np.zeros((), p.PROFILE)[()]
    fresh["key"], fresh["partition_hash"] = 5, 6
    both = merged(fresh, other)
    assert (5, 6) == (both["key"], both["partition_hash"])
    assert_same(other, both)
    assert_same(other, merged(other, np.zeros((), p.PROFILE)[()]))
