import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import (
    AD,
    CONTEXT,
    CROSSED,
    FEATURES,
    REQUEST,
    WORDS,
    ad_buckets,
    context_buckets,
    cross_bucket,
    join_buckets,
    log_bin,
    rate_bin,
    request_buckets,
)
from models.hashing import stable_key
from models.profiles import PROFILE, see_click, see_view

MASK = 2**18 - 1
T0_MS = 1_700_000_000_000
ADS = np.dtype([("buckets", "u4", (len(AD),))])


def context_of(request=None, profiles=None, ts_ms=T0_MS):
    """Context buckets by name, of a request where every word is missing unless ``request`` says so."""
    known = dict.fromkeys(REQUEST, 0) | (request or {})
    words, out = np.zeros(len(WORDS), np.uint32), np.zeros(len(CONTEXT), np.uint32)
    request_buckets(np.array([known[name] for name in WORDS]), MASK, words)
    profiles = np.zeros(1, PROFILE) if profiles is None else profiles
    context_buckets(profiles, 0, words, known["position"], known["user"], ts_ms, MASK, out)
    return out


def changed(before, after):
    return {name for name, a, b in zip(CONTEXT, before, after, strict=True) if a != b}


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_log_bins_keep_the_order(x, y):
    """A larger number never has a smaller bin, and every number has one of 0 to 30."""
    assert (log_bin(x) <= log_bin(y)) or x > y
    assert 0 <= log_bin(x) <= 30


@pytest.mark.parametrize(
    ("x", "expected"), [(float("nan"), 0), (-1.0, 0), (0.0, 0), (1.0, 3), (1e6, 30), (float("inf"), 30)]
)
def test_log_bins_take_every_number(x, expected):
    """Not-a-number counts as nothing; what is infinite or extreme shares the last bin."""
    assert expected == log_bin(x)


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_rate_bins_keep_the_order(part, other_part, whole):
    """Of two rates of the same whole the larger never has the smaller bin; 0 is kept for "no event"."""
    less, more = sorted((part, other_part))
    assert rate_bin(less, whole) <= rate_bin(more, whole)
    assert (whole > 0.01) == (rate_bin(part, whole) > 0)


@pytest.mark.parametrize("field", REQUEST)
def test_a_word_of_the_request_moves_its_own_feature_only(field):
    """Each word of a request is one feature, and a missing word is a value of its own."""
    assert {field} == changed(context_of(), context_of({field: 12345}))


def test_the_profile_moves_the_derived_features():
    """What a user did shows in the features that derive from it and in no others."""
    profiles = np.zeros(1, PROFILE)
    see_view(profiles, 0, T0_MS, 0, 0, 5, 1_000_000)
    see_click(profiles, 0, T0_MS, 0, True, False, 5, 0)
    derived = {"views_session", "views_season", "click_rate", "preferred_category", "price_band"}
    assert derived == changed(context_of(), context_of(profiles=profiles))


def test_the_session_is_seen_as_of_the_request():
    """Views of this session fade while the user is away, before any new event."""
    profiles = np.zeros(1, PROFILE)
    see_view(profiles, 0, T0_MS, 0, 0, 0, 0)
    day_ms = 24 * 3_600_000
    now, tomorrow = (context_of(profiles=profiles, ts_ms=T0_MS + ms) for ms in (0, day_ms))
    assert {"views_session"} == changed(now, tomorrow)


def test_an_example_is_its_context_its_ad_and_their_crosses():
    """The buckets of an example stand in the order of FEATURES, crosses as the ranking computes them."""
    context = context_of({"position": 3, "device": 9, "category": 8})
    ads = np.zeros(2, ADS)
    ad_buckets(np.arange(1, 1 + len(AD)), MASK, ads[1]["buckets"])
    buckets = np.zeros(len(FEATURES), np.uint32)
    join_buckets(context, ads, 1, MASK, buckets)
    crosses = [cross_bucket(i, context, ads[1]["buckets"], MASK) for i in range(len(CROSSED))]
    assert [*context, *ads[1]["buckets"], *crosses] == buckets.tolist()
    assert len(FEATURES) == len(set(buckets.tolist()))


def test_every_bucket_is_inside_the_table():
    """With few bits all buckets stay below 2**bits."""
    mask, largest = 2**8 - 1, 2**63 - 1
    words, out = np.zeros(len(WORDS), np.uint32), np.zeros(len(CONTEXT), np.uint32)
    request_buckets(np.full(len(WORDS), largest), mask, words)
    context_buckets(np.zeros(1, PROFILE), 0, words, 1000, largest, T0_MS, mask, out)
    assert max(words.max(), out.max()) < 2**8


@pytest.mark.parametrize("field", WORDS)
def test_a_missing_word_and_an_unseen_one_are_features_like_others(field):
    """A missing word has one bucket, apart from those of words; one that was never seen has its own, too."""
    missing, unseen, other = (
        context_of({field: key})[CONTEXT.index(field)]
        for key in (0, stable_key("never seen"), stable_key("x"))
    )
    assert 3 == len({int(missing), int(unseen), int(other)})


def test_extreme_profiles_have_features():
    """Sums that are infinite or not a number, and times at both ends, give buckets inside the table."""
    for value in (np.inf, -np.inf, np.nan, 1e308):
        profiles = np.zeros(1, PROFILE)
        for name in ("decayed", "affinity", "price_band"):
            profiles[name] = value
        for ts_ms in (0, T0_MS, 2**52):
            assert (context_of(profiles=profiles, ts_ms=ts_ms) <= MASK).all()


@given(st.floats(), st.floats())
def test_rate_bins_take_every_number(part, whole):
    """Whatever the two numbers, a rate has a bin of 0 to 20."""
    assert 0 <= rate_bin(part, whole) <= 20
