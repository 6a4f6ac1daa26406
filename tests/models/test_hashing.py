import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.hashing import MISSING, bucket_of, mix, number_key, stable_key


def test_a_key_is_the_same_for_ever():
    """Keys are in changelogs and examples: a text keeps the number it has today."""
    assert 7326218371925932117 == stable_key("headrace")
    assert 2896479381125057063 == stable_key("headrace", seed=1)


@given(st.text(), st.integers(0, 2**64 - 1))
def test_a_key_fits_a_signed_64_bit_integer(text, seed):
    """Every key is at least 0 and below 2**63."""
    assert 0 <= stable_key(text, seed) < 2**63


@given(
    st.integers(1, 16).flatmap(lambda digits: st.integers(10 ** (digits - 1), 10**digits - 1)),
    st.integers(0, 2**63 - 1),
)
@settings(max_examples=1000)
@example(0, 0)
@example(1_748_851_200_000, 7326218371925932117)
@example(10**16 - 1, 2**63 - 1)
def test_the_key_of_a_number_is_that_of_its_text(number, seed):
    """Of every length and with any key as the seed, kernels get the number that is in changelogs."""
    assert stable_key(str(number), seed) == number_key(number, seed)


@pytest.mark.parametrize("digits", range(1, 17))
def test_the_key_of_a_number_is_right_at_both_ends_of_a_length(digits):
    """XXH3 does otherwise with 1 to 3 bytes, 4 to 8, and 9 to 16."""
    ends = [10 ** (digits - 1), 10**digits - 1]
    seeds = [0, 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1]
    expected = [stable_key(str(number), seed) for number in ends for seed in seeds]
    assert expected == [number_key(number, seed) for number in ends for seed in seeds]


def test_the_empty_text_is_the_missing_token():
    """An empty text has the token of a missing value, whatever the seed."""
    assert {MISSING} == {stable_key("", seed) for seed in range(5)}


def test_mix_is_the_published_finalizer():
    """The first outputs of splitmix64 from the seed 0 are those of its reference implementation."""
    gamma = 0x9E3779B97F4A7C15
    states = [i * gamma % 2**64 for i in range(3)]
    assert [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F] == [
        int(mix(np.uint64(state))) for state in states
    ]


def test_a_token_has_a_bucket_of_its_own_in_each_field():
    """The same word in two fields is two features, and all buckets are about equally full."""
    mask = 2**10 - 1
    buckets = np.array([[bucket_of(field, token, mask) for token in range(2000)] for field in range(4)])
    counts = np.bincount(buckets.ravel(), minlength=mask + 1)
    assert mask + 1 == len(counts)
    assert (buckets[0] == buckets[1]).mean() < 0.01
    assert counts.max() < 4 * counts.mean()
