"""The contract for readers without Python: JSON Schema and AsyncAPI, written from the structs.

Both are published under ``schemas/published``; ``headrace schema --out schemas/published`` renews them.
"""

import sys
from typing import Any, Literal

import msgspec
from msgspec import Struct

from schemas.catalog import Entry
from schemas.docstrings import class_doc, field_docs
from schemas.events import Event
from schemas.topics import TOPICS, Topic

Format = Literal["json-schema", "asyncapi"]

FILE_NAMES: dict[Format, str] = {"json-schema": "headrace.schema.json", "asyncapi": "asyncapi.json"}
KAFKA_BINDING_VERSION = "0.5.0"

Document = dict[str, Any]


def document(format: Format, version: str) -> Document:
    """The contract of release ``version`` in one of the two formats."""
    return json_schema(version) if format == "json-schema" else asyncapi(version)


def json_schema(version: str) -> Document:
    """JSON Schema, draft 2020-12: the root is any record that a shop sends, ``$defs`` has all there are.

    What a schema cannot say (an exposure names an ad or a promotion, never both) is in the descriptions.

    >>> json_schema("1.0.0")["$defs"]["Line"]["properties"]["quantity"]["minimum"]
    1
    """
    (root,), definitions = msgspec.json.schema_components([Event | Entry], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Headrace {version}",
        "description": "What a shop sends to Headrace; what Headrace writes is under $defs.",
        **root,
        "$defs": definitions | _schemas("#/$defs/{name}"),
    }


def asyncapi(version: str) -> Document:
    """AsyncAPI 3.0 as Headrace sees it: it receives what shops send, and sends what it decides.

    >>> asyncapi("1.0.0")["channels"]["clicks"]["messages"]
    {'Click': {'$ref': '#/components/messages/Click'}}
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace",
            "version": version,
            "description": "Streaming event processor for online shops. Times are milliseconds since 1970 "
            "(UTC), money is in millionths of a currency unit. Read with isolation.level=read_committed.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS if topic.direction != "internal"},
        "operations": {
            f"{action}-{topic.name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "summary": topic.description,
            }
            for topic in TOPICS
            if (action := {"in": "receive", "out": "send"}.get(topic.direction))
        },
        "components": {
            "messages": {
                struct.__name__: _message(topic, struct) for topic in TOPICS for struct in topic.messages
            },
            "schemas": _schemas("#/components/schemas/{name}"),
        },
    }


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {
            struct.__name__: {"$ref": f"#/components/messages/{struct.__name__}"} for struct in topic.messages
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup]},
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _message(topic: Topic, struct: type[Struct]) -> Document:
    message = {
        "name": struct.__name__,
        "summary": class_doc(struct).partition("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
    }
    if topic.key:
        key = {"type": "string", "description": topic.key}
        message["bindings"] = {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING_VERSION}}
    return message


def _schemas(ref_template: str) -> dict[str, Document]:
    """Schemas of every struct on a topic and of those they hold, with the docstrings of their fields."""
    top = [struct for topic in TOPICS for struct in topic.messages]
    _, components = msgspec.json.schema_components(top, ref_template=ref_template)
    known = {name: each for struct in top for name, each in vars(sys.modules[struct.__module__]).items()}
    for name, schema in components.items():
        schema["description"] = class_doc(known[name])
        for field, doc in field_docs(known[name]).items():
            schema["properties"][field]["description"] = doc
    return components
