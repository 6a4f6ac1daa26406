"""A proposed mapping: what was found, why it is thought so, and what a person has to decide."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import tomlkit
from msgspec import Struct

from streams.adoption.mapping import IGNORE, Mapping, Source, loads

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SLOTS = """\
# To ask for a decision at every such view, name the place that it is for:
# [[topics.rules.slots]]
# fields.slot_id = { value = "home-top" }
# fields.kind = { value = "ad" }"""


class ProposedField(Struct, frozen=True):
    """A field of the contract and where it may come from."""

    name: str
    source: Source
    why: str
    certain: bool = True
    """Otherwise it is left commented out."""


class ProposedParts(Struct, frozen=True):
    """The lines of an order."""

    each: str
    fields: tuple[ProposedField, ...]
    why: str


class ProposedRule(Struct, frozen=True):
    """What a kind of records may become."""

    event: str
    when: dict[str, tuple[str | int | bool, ...]]
    records: int
    """Of the sample."""
    why: str
    fields: tuple[ProposedField, ...] = ()
    lines: tuple[ProposedParts, ...] = ()
    to_decide: tuple[str, ...] = ()
    """What keeps it from being applied: then all of it is commented out."""


class ProposedTopic(Struct, frozen=True):
    """What the records of a topic may become."""

    name: str
    records: int
    rules: tuple[ProposedRule, ...]
    remarks: tuple[str, ...] = ()


def to_toml(topics: Sequence[ProposedTopic]) -> str:
    """The proposal as TOML for review: reasons as comments, what is uncertain commented out."""
    lines = [
        "# Proposed by `headrace adopt propose` from a sample: read it all, decide what is commented out,",
        "# then see what it does with `headrace adopt check`.",
        "version = 1",
    ]
    for topic in topics:
        active = any(not rule.to_decide for rule in topic.rules)
        lines += ["", f"# {_line(topic.records)} records of the sample"]
        lines += [f"# {_line(remark)}" for remark in topic.remarks]
        head = ["[[topics]]", f"name = {_value(topic.name)}"]
        lines += head if active else [f"# {line}" for line in head]
        for rule in topic.rules:
            lines.append("")
            lines += _rule(rule, topic.records)
    return "\n".join(lines) + "\n"


def to_mapping(topics: Sequence[ProposedTopic]) -> Mapping | None:
    """The mapping that ``to_toml`` holds as it is, before anybody has decided; None where it has no rule."""
    if all(rule.to_decide for topic in topics for rule in topic.rules):
        return None
    return loads(to_toml(topics))


def _rule(rule: ProposedRule, records: int) -> Iterator[str]:
    share = rule.records / records if records else 0.0
    yield f"# {rule.records:,} of {records:,} records ({share:.1%}): {_line(rule.why)}"
    for missing in rule.to_decide:
        yield f"# TO BE DECIDED: {_line(missing)}"
    body = list(_body(rule))
    yield from (f"# {line}".rstrip() for line in body) if rule.to_decide else body
    if rule.event == "view" and not rule.to_decide:
        yield SLOTS


def _body(rule: ProposedRule) -> Iterator[str]:
    yield "[[topics.rules]]"
    yield f"event = {_value(rule.event)}"
    if rule.when:
        yield f"when = {_value({path: list(values) for path, values in rule.when.items()})}"
    if rule.event == IGNORE:
        return
    yield from map(_field, rule.fields)
    for lines in rule.lines:
        yield f"# {_line(lines.why)}"
        yield "[[topics.rules.lines]]"
        if lines.each:
            yield f"each = {_value(lines.each)}"
        yield from map(_field, lines.fields)


def _field(field: ProposedField) -> str:
    line = f"fields.{field.name} = {_value(_builtins(field.source))}  # {_line(field.why)}"
    return line if field.certain else f"# {line}"


def _builtins(source: Source) -> dict[str, Any]:
    built = msgspec.to_builtins(source)
    assert isinstance(built, dict)
    return built


def _value(value: Any) -> str:
    """As TOML writes it; a table stays on its line."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return str(table.as_string())
    return str(tomlkit.item(value).as_string())


def _line(text: object) -> str:
    """Fit for a comment: names of another system's fields may hold anything."""
    return _CONTROL.sub("?", str(text))
