"""Paths of foreign records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adoption.paths import MAX_STEPS, PathError, Select, getter, parse, render

KEYS = st.text(min_size=0, max_size=8)
WORDS = st.text("abc_-", min_size=1, max_size=4)
STEPS = st.lists(KEYS | st.integers(0, 9999) | st.builds(Select, WORDS, WORDS), max_size=MAX_STEPS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abk", max_size=2), inner, max_size=3)
    ),
)


@given(STEPS)
def test_a_path_that_was_rendered_is_parsed_again(steps):
    """Whatever the keys are called, a path as text stands for the same steps."""
    assert tuple(steps) == parse(render(tuple(steps)))


@given(STEPS, st.dictionaries(st.text("abk", max_size=2), JSON))
def test_whatever_a_record_holds_nothing_is_raised(steps, record):
    """A path into a record of another shape finds nothing."""
    getter(tuple(steps))(record)


@pytest.mark.parametrize("path", ["", "a", "$a", "$.", "$..a", "$.a[", "$[x]", "$['a]", "$[-1]", "$.a b"])
def test_what_is_no_path_is_refused(path):
    """The sentence says what may stand there."""
    with pytest.raises(PathError, match="Expected"):
        parse(path)


def test_a_path_has_a_length_that_it_must_not_pass():
    """A mapping cannot ask for endless depth."""
    with pytest.raises(PathError, match="at most 16 steps"):
        parse("$" + ".a" * 17)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.n", 1),
        ("$.a.b", 2),
        ("$.list[1].x", 4),
        ("$.list[7].x", None),
        ("$.params[key=page].value.text", "home"),
        ("$.params[key=none].value.text", None),
        ("$['odd.key']", 5),
        ("$.nothing.at.all", None),
        ("$.n.deeper", None),
    ],
)
def test_a_path_finds_what_is_there(path, expected):
    """Keys, places and elements by key are followed; where one is missing there is nothing."""
    record = {
        "n": 1,
        "a": {"b": 2},
        "list": [{"x": 3}, {"x": 4}],
        "params": ["?", {"key": "other"}, {"key": "page", "value": {"text": "home"}}],
        "odd.key": 5,
    }
    assert expected == getter(parse(path))(record)
