"""Mappings as TOML."""

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adoption.mapping import (
    Mapping,
    MappingError,
    Parts,
    Rule,
    Source,
    TopicMapping,
    load,
    loads,
    to_builtins,
)
from streams.bench.adoption import shipped
from streams.bench.foreign import SHAPES

GOOD = """
[[topics]]
name = "web"
[[topics.rules]]
event = "click"
when = { "$.event" = ["addtocart"] }
fields.event_id = { path = "$.id" }
fields.user_id = { path = "$.visitor" }
fields.ts_ms = { path = "$.ts", as = "s" }
fields.kind = { value = "add_to_cart" }
"""

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
PATHS = st.sampled_from(["$.a", "$.a.b[0]", "$['odd key']", "$.p[key=k].v"]) | KEYS.map(
    lambda key: "$['" + key.replace("\\", "\\\\").replace("'", "\\'") + "']"
)
LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
TEXT_SOURCES = (
    st.builds(Source, path=PATHS, words=st.dictionaries(KEYS, LABELS, max_size=2), default=st.none() | LABELS)
    | st.builds(Source, path=st.lists(PATHS, min_size=1, max_size=3).map(tuple))
    | st.builds(
        Source, join=st.lists(PATHS, min_size=1, max_size=3).map(tuple), as_=st.sampled_from(["digest", None])
    )
    | st.builds(Source, value=LABELS)
)
IDS = st.builds(Source, path=PATHS, as_=st.sampled_from(["text", "digest", None])) | st.just(
    Source(place=True)
)
TIMES = st.builds(Source, path=PATHS, as_=st.sampled_from(["s", "ms", "us", "iso8601", None]))
MONEY = st.builds(
    Source, path=PATHS, as_=st.sampled_from(["units", "cents"]), default=st.none() | st.integers(0, 9)
)
WHEN = st.dictionaries(
    PATHS, st.lists(LABELS | st.integers(0, 9) | st.booleans(), min_size=1, max_size=3).map(tuple), max_size=2
)
LINE, PAGE = {"quantity": Source(value=1)}, {"page": Source(value="home")}
ORDERS = st.builds(
    lambda ids, user, time, money, country, when: Rule(
        "purchase",
        when,
        fields={"event_id": ids, "user_id": ids, "ts_ms": time, "order_id": user, "amount_micros": money},
        lines=(Parts(LINE | {"item_id": country, "unit_price_micros": money}, "$.items"),),
    ),
    IDS, IDS, TIMES, MONEY, IDS, WHEN,
)  # fmt: skip
VIEWS = st.builds(
    lambda ids, time, label, when: Rule(
        "view",
        when,
        fields=PAGE | {"event_id": ids, "user_id": ids, "ts_ms": time, "category": label},
        slots=(Parts({"slot_id": Source(value="top")}),),
        segments=(label,),
        consent=(Source(path="$.agreed", words={"1": "profile"}, default=""),),
    ),
    IDS, TIMES, TEXT_SOURCES, WHEN,
)  # fmt: skip
MAPPINGS = st.lists(ORDERS | VIEWS, min_size=1, max_size=3).map(
    lambda rules: Mapping((TopicMapping("web", tuple(rules)),))
)


@settings(max_examples=50)
@given(MAPPINGS)
def test_a_mapping_comes_back_from_toml_as_it_was(mapping):
    """Whatever keys, words and constants it has, TOML holds all of it."""
    assert mapping == loads(tomlkit.dumps(to_builtins(mapping)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_mappings_that_ship_are_valid(shape):
    """Each is for the topic of its shape."""
    assert [shape] == [topic.name for topic in shipped(shape).topics]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"click"', '"clack"', "Invalid enum value 'clack' - at `$.topics[0].rules[0].event`"),
        ("fields.user_id", "fields.user", "`click` has no plain field `user`, it has "),
        ('fields.user_id = { path = "$.visitor" }', "", "Expected a source of `user_id`, which is required"),
        ('"$.visitor"', '"visitor"', "Expected a path that begins with `$`, got `visitor` - at "),
        ('as = "s"', 'as = "units"', "Expected one of ms, s, us, iso8601, got `units` - at "),
        ('as = "s"', "default = 5", "Expected `int` >= 946684800000 - at "),
        ('"add_to_cart"', '"cart"', "Invalid enum value 'cart' - at `$.topics[0].rules[0].fields.kind."),
        ('path = "$.id"', 'path = "$.id", place = true', "Expected exactly one of `path`, `join`, "),
        ('path = "$.id"', 'exec = "x"', "Object contains unknown field `exec`"),
        ('"click"', '"purchase"', "Expected the `lines` of a purchase, got none"),
        ('"click"', '"ignore"', "Expected no fields of what is to be ignored"),
        ("[[topics.rules]]", "[[topics.rules]]\nsegments = [{ value = 'a' }]", "`click` has no `segments`"),
        ("[[topics.rules]]", "[[topics.rules]]\nconsent = [{ value = 'all' }]", "rules[0].consent[0].value`"),
        ("[[topics.rules]]", "[[topics.rules]]\nfields.consent = {value = 'x'}", "no plain field `consent`"),
        ('["addtocart"]', "[]", "Expected values of `$.event`, got none"),
        ("name", "nome", "Object contains unknown field `nome`"),
        ("[[topics]]", "[[topics", "Expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(old, new, reason):
    """A person who edits the file reads what is wrong and where."""
    with pytest.raises(MappingError) as raised:
        loads(GOOD.replace(old, new))
    assert reason in str(raised.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    """The sentence names the file."""
    with pytest.raises(MappingError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml")
