"""What is published of the contract."""

from pathlib import Path
from typing import get_args

import pytest

from schemas.contract import FILE_NAMES, Format, asyncapi, json_schema
from schemas.topics import TOPICS
from streams.commands.schema import rendered

PUBLISHED = Path(__file__).parents[2] / "schemas" / "published"


@pytest.mark.parametrize("format", get_args(Format))
def test_what_is_published_is_what_the_structs_say(format: Format) -> None:
    """The committed file is what the command writes now."""
    path = PUBLISHED / FILE_NAMES[format]
    assert rendered(format) == path.read_bytes(), (
        "renew schemas/published with `headrace schema --out schemas/published`"
    )


def test_every_field_of_an_event_is_described() -> None:
    """Nobody has to guess a meaning or a unit; ``type`` is the event's name."""
    definitions = json_schema("1.0.0")["$defs"]
    silent = [
        f"{name}.{field}"
        for name in ("View", "Slot", "Exposure", "Click", "Purchase", "Line", "Refund")
        for field, schema in definitions[name]["properties"].items()
        if field != "type" and "description" not in schema
    ]
    assert [] == silent


def test_inherited_fields_are_described() -> None:
    """A part of a model's weights has the fields of every part."""
    properties = json_schema("1.0.0")["$defs"]["Weights"]["properties"]
    assert "Offset in `examples` after the last one learned." == properties["version"]["description"]


def test_every_topic_but_the_internal_one_is_a_channel() -> None:
    """With what is done there, and the key of its messages."""
    document = asyncapi("1.0.0")
    public = [topic for topic in TOPICS if topic.direction != "internal"]
    assert [topic.name for topic in public] == list(document["channels"])
    actions = [operation["action"] for operation in document["operations"].values()]
    assert [{"in": "receive", "out": "send"}[topic.direction] for topic in public] == actions
    key = document["components"]["messages"]["View"]["bindings"]["kafka"]["key"]
    assert {"type": "string", "description": "user_id"} == key


@pytest.mark.parametrize("document", [asyncapi("1.0.0"), json_schema("1.0.0")], ids=get_args(Format)[::-1])
def test_every_reference_leads_somewhere(document: dict) -> None:
    """A ``$ref`` names a part of the same document."""
    for reference in _references(document):
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [found for value in node.values() for found in _references(value)]
