import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.placement import MILLION
from streams.processor.text import write_bytes, write_decimal, write_whole, write_wholes

LARGEST = 2**63 - 1
BEHIND = 255
"""What is in the bytes that nothing was written to."""

wholes = st.integers(-LARGEST, LARGEST) | st.integers(-1000, 1000)
# Whole multiples of powers of ten have zeros at their ends.
round_numbers = st.builds(lambda whole, zeros: whole * 10**zeros, st.integers(-999, 999), st.integers(0, 15))
units = st.integers(1, 18).map(lambda digits: 10**digits)


def written(write, *values, at=3):
    """What a function writes from a place on; not a byte before or behind it."""
    text = np.full(5000, BEHIND, np.uint8)
    end = write(text, at, *values)
    assert {BEHIND} == {*text[:at], *text[end:]}
    return text[at:end].tobytes().decode()


@given(wholes | round_numbers, st.integers(0, 9))
@example(0, 0)
@example(LARGEST, 0)
@example(-LARGEST, 0)
def test_a_whole_number_is_written_as_python_does(number, at):
    """Digit for digit, wherever it begins."""
    assert str(number) == written(write_whole, number, at=at)


def test_what_not_a_number_becomes_is_written_as_the_next_number():
    """The smallest of all whole numbers has no positive counterpart: no kernel may turn for ever."""
    assert str(-LARGEST) == written(write_whole, -LARGEST - 1)
    assert f"-{LARGEST / MILLION:.6f}"[:15] == written(write_decimal, -LARGEST - 1, MILLION)[:15]


@given(wholes | round_numbers, units)
@example(0, MILLION)
@example(-1, MILLION)
@example(MILLION, MILLION)
@example(-3 * MILLION, MILLION)
@example(1_500_000, MILLION)
@example(-LARGEST, 10)
def test_a_decimal_is_exact_and_has_no_digit_too_many(number, unit):
    """It is the number by its unit, in JSON, with one digit behind the point at least and no needless
    zero."""
    text = written(write_decimal, number, unit)
    assert number == Decimal(text) * unit
    assert number / unit == json.loads(text)
    whole, _, fraction = text.partition(".")
    assert fraction == "0" or fraction[-1] != "0"
    assert 1 <= len(fraction) <= len(str(unit)) - 1
    assert str(int(whole)) == whole or (whole, number < 0) == ("-0", True)


@given(st.integers(-(10**12), 10**12))
def test_millionths_are_written_as_the_nearest_float_is(number):
    """What was rounded to millionths comes back as the same float."""
    assert number / MILLION == json.loads(written(write_decimal, number, MILLION))


@given(st.lists(wholes, max_size=40))
def test_a_list_of_whole_numbers_is_json(numbers):
    """Without spaces; an empty one, too."""
    assert json.dumps(numbers, separators=(",", ":")) == written(write_wholes, np.array(numbers, np.int64))


@pytest.mark.parametrize("dtype", [np.uint32, np.uint8])
def test_unsigned_numbers_are_written_whole(dtype):
    """The largest of buckets are no negative numbers."""
    largest = np.iinfo(dtype).max
    assert [0, 1, largest] == json.loads(written(write_wholes, np.array([0, 1, largest], dtype)))


@given(st.text(max_size=50))
def test_what_is_text_already_is_written_as_it_is(text):
    """Byte for byte."""
    assert text == written(write_bytes, np.frombuffer(text.encode(), np.uint8))
