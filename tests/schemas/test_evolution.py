"""The rules of evolution in schemas/README.md: what the previous release wrote is read as it was meant."""

from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from schemas.topics import TOPICS, Topic
from streams.commands.schema import rendered

RELEASE = Path(__file__).parent / "release_0_1"
NOW = orjson.loads(rendered("json-schema"))["$defs"]
RELEASED = orjson.loads((RELEASE / "headrace.schema.json").read_bytes())["$defs"]
PUBLIC = [
    topic for topic in TOPICS if topic.direction != "internal" and (RELEASE / f"{topic.name}.jsonl").exists()
]
SENT = {struct.__name__ for topic in TOPICS if topic.direction == "in" for struct in topic.messages}
SENT |= {"Slot", "Line", "Rate"}
INNER = {"slots": "Slot", "lines": "Line", "rates": "Rate", "candidates": "Candidates"}
LINES = [
    pytest.param(topic, line, id=f"{topic.name}-{number}")
    for topic in PUBLIC
    for number, line in enumerate((RELEASE / f"{topic.name}.jsonl").read_bytes().splitlines(), 1)
]


@pytest.mark.parametrize(("topic", "line"), LINES)
def test_a_record_of_the_previous_release_is_read(topic: Topic, line: bytes) -> None:
    """Every field it knew has its value, and a field that it did not know is ignored."""
    union: Any = topic.messages[0]
    for struct in topic.messages[1:]:
        union |= struct
    record = msgspec.json.decode(line, type=union)
    sent = _known(orjson.loads(line))
    read = orjson.loads(msgspec.json.encode(_with_defaults(record)))
    assert sent == _common(sent, read)


def test_the_fixture_has_every_record_and_every_field() -> None:
    """Nothing of the previous release is left unread by the test above."""
    fields: dict[str, set[str]] = {}
    for parameter in LINES:
        topic, line = parameter.values
        for name, value in _objects(topic, orjson.loads(line)):
            fields.setdefault(name, set()).update(_known(value))
    assert {name: set(schema["properties"]) for name, schema in RELEASED.items()} == fields


@pytest.mark.parametrize("name", RELEASED)
def test_a_record_keeps_the_rules(name: str) -> None:
    """No field goes or becomes required; of what others send, none is narrower or has another default."""
    assert [] == broken_rules(RELEASED[name], NOW[name], sent_by_others=name in SENT)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"properties": {}}, "a is gone"),
        ({"required": ["a", "b"]}, "b has become required"),
        ({"properties": {"a": {"type": "string", "maxLength": 8}}}, "a: type was integer, is string"),
        ({"properties": {"a": {"type": "integer", "maximum": 9}}}, "a: maximum was 10, is 9"),
        ({"properties": {"a": {"type": "integer", "minimum": 0}}}, "a: minimum was None, is 0"),
        ({"properties": {"a": {"enum": [1, 2]}}}, "a: type was integer, is None"),
    ],
)
def test_a_broken_rule_is_named(change: dict[str, Any], rule: str) -> None:
    """The rules can be broken, and then say how."""
    released = {"properties": {"a": {"type": "integer", "maximum": 10}}, "required": ["a"]}
    assert rule in broken_rules(released, released | change, sent_by_others=True)


def test_what_the_rules_allow_is_allowed() -> None:
    """A new optional field, a wider bound, one more word."""
    released = {"properties": {"a": {"maximum": 10}, "k": {"enum": ["x"]}}, "required": ["a"]}
    now = {"properties": {"a": {"maximum": 11}, "k": {"enum": ["x", "y"]}, "b": {}}, "required": ["a"]}
    assert [] == broken_rules(released, now, sent_by_others=True)


LOWER, UPPER = ("minimum", "exclusiveMinimum", "minLength", "minItems"), ("maximum", "maxLength", "maxItems")
SAME = ("type", "$ref", "items", "pattern", "contentEncoding", "additionalProperties", "anyOf")


def broken_rules(released: dict[str, Any], now: dict[str, Any], *, sent_by_others: bool) -> list[str]:
    """What of a record's schema has changed against the rules, one sentence each."""
    found = [f"{name} has become required" for name in set(now["required"]) - set(released["required"])]
    for name, before in released["properties"].items():
        after = now["properties"].get(name)
        if after is None:
            found.append(f"{name} is gone")
            continue
        bad = [key for key in SAME if before.get(key) != after.get(key)]
        if not set(before.get("enum", ())) <= set(after.get("enum", before.get("enum", ()))):
            bad.append("enum")
        if sent_by_others:
            infinity = float("inf")
            bad += [key for key in LOWER if after.get(key, -infinity) > before.get(key, -infinity)]
            bad += [key for key in UPPER if after.get(key, infinity) < before.get(key, infinity)]
            bad += ["default"] if before.get("default") != after.get("default") else []
        found += [f"{name}: {key} was {before.get(key)}, is {after.get(key)}" for key in bad]
    return found


def _known(value: Any) -> Any:
    """Without the fields that no release knows."""
    if isinstance(value, dict):
        return {name: _known(each) for name, each in value.items() if not name.startswith("x_")}
    return [_known(each) for each in value] if isinstance(value, list) else value


def _with_defaults(record: Any) -> Any:
    """As builtins, with the fields that encoding would leave out."""
    if isinstance(record, msgspec.Struct):
        tag = record.__struct_config__.tag
        fields = {name: _with_defaults(getattr(record, name)) for name in record.__struct_fields__}
        return ({"type": tag} if tag else {}) | fields
    return [_with_defaults(each) for each in record] if isinstance(record, list | tuple) else record


def _common(sent: Any, read: Any) -> Any:
    """What of ``read`` was sent: not the defaults of what was left out."""
    if isinstance(sent, dict) and isinstance(read, dict):
        return {name: _common(value, read[name]) for name, value in sent.items() if name in read}
    if isinstance(sent, list) and isinstance(read, list):
        return [_common(*pair) for pair in zip(sent, read, strict=True)]
    return read


def _objects(topic: Topic, value: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A record and the structs it holds, by their names in the schema."""
    names = {struct.__struct_config__.tag: struct.__name__ for struct in topic.messages}
    found = [(names[value.get("type")], value)]
    for field, name in INNER.items():
        inner = value.get(field, [])
        objects = inner if isinstance(inner, list) else [inner]
        found += [(name, each) for each in objects if isinstance(each, dict)]
    return found
