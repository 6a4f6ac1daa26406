"""Decoding only what a mapping looks at."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adoption.outline import outline
from streams.adoption.paths import Select, getter

WORDS = st.sampled_from("abk")
STEPS = st.lists(WORDS | st.integers(0, 1) | st.builds(Select, st.just("k"), WORDS), min_size=1, max_size=4)
PATHS = st.lists(STEPS.filter(lambda steps: isinstance(steps[0], str)).map(tuple), min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("abk", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abk", min_size=1, max_size=1), inner)
    ),
    max_leaves=12,
)


@given(PATHS, st.dictionaries(WORDS, JSON))
def test_every_path_finds_in_the_outline_what_it_finds_in_the_whole(paths, record):
    """Where a record decodes as the outline at all, nothing that is looked at is missing or different."""
    raw = msgspec.json.encode(record)
    try:
        outlined = msgspec.json.decode(raw, type=outline(paths))
    except msgspec.ValidationError:
        return
    for steps in paths:
        assert getter(steps)(record) == getter(steps)(outlined)


def test_what_no_path_looks_at_is_not_decoded():
    """Keys beside the paths are left out, in elements of lists, too."""
    wanted = outline([("a",), ("list", Select("key", "x"), "value")])
    raw = b'{"a": {"all": 1}, "b": 2, "list": [{"key": "x", "value": 3, "other": 4}]}'
    assert {"a": {"all": 1}, "list": [{"key": "x", "value": 3}]} == msgspec.json.decode(raw, type=wanted)


@pytest.mark.parametrize("raw", [b'{"a": []}', b'{"a": 5}'])
def test_another_shape_does_not_decode(raw):
    """An object is expected where a path goes on."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=outline([("a", "b")]))
