"""A mapping: what of another system's records becomes which event of the contract. TOML, for people.

    [[topics]]
    name = "web"

    [[topics.rules]]
    event = "click"
    when = { "$.event" = ["addtocart"] }
    fields.event_id = { join = ["$.visitorid", "$.timestamp"], as = "digest" }
    fields.user_id = { path = "$.visitorid" }
    fields.ts_ms = { path = "$.timestamp", as = "ms" }
    fields.kind = { value = "add_to_cart" }

Of a topic's rules the first one whose conditions hold is applied. There are no expressions: what a mapping
can do is the closed set of structs below.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from schemas.events import Click, Event, Exposure, Line, Purchase, Purpose, Refund, Slot, View
from schemas.topics import CLICKS, PURCHASES, VIEWS, Topic
from streams.adoption.conversions import Conversion, conversions_of
from streams.adoption.paths import PathError, parse

EVENTS: dict[str, type[Event]] = {
    "view": View,
    "exposure": Exposure,
    "click": Click,
    "purchase": Purchase,
    "refund": Refund,
}
TOPIC_OF: dict[str, Topic] = {
    "view": VIEWS,
    "exposure": VIEWS,
    "click": CLICKS,
    "purchase": PURCHASES,
    "refund": PURCHASES,
}
"""Where an event would lie if its sender spoke the contract."""
IGNORE = "ignore"
"""Of a rule's ``event``: such records are read and have no effect."""
PARTS: dict[str, tuple[str, type[Struct]]] = {"purchase": ("lines", Line), "view": ("slots", Slot)}
"""The field of an event that is a list of structs."""

Constant = str | int | float
Text = Annotated[str, Meta(min_length=1)]


class MappingError(ValueError):
    """A mapping cannot be used; says where in it and why."""


class Source(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"as_": "as"}):
    """Where a field comes from: exactly one of ``path``, ``join``, ``value`` and ``place``."""

    path: str | tuple[str, ...] = ()
    """A path; of several the first one at which something is. Null and an empty text are nothing."""
    join: tuple[str, ...] = ()
    """Paths whose texts, with `-` between them, are the value: an identity of several parts."""
    value: Constant | None = None
    """A constant, in the contract's own unit."""
    place: bool = False
    """The record's place, ``<topic>-<partition>-<offset>``: an identity that knows no duplicates."""
    as_: Conversion | None = None
    """What the foreign value is, where it is not what the contract has."""
    words: dict[str, Constant] = {}
    """Word by word; one that is not in it becomes the ``default``, or stays where there is none."""
    default: Constant | None = None
    """Where nothing is at the path, in the contract's own unit."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths it reads."""
        return self.join or ((self.path,) if isinstance(self.path, str) else self.path)


Fields = dict[str, Source]


class Parts(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The lines of an order, or the slots of a view: one for each element of a list, or just one."""

    fields: Fields
    """By field of the contract; with ``each`` the paths begin at the element."""
    each: str = ""
    """Path of the list; empty: the record itself is the one element."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a kind of record becomes."""

    event: Literal["view", "exposure", "click", "purchase", "refund", "ignore"]
    when: dict[str, tuple[str | int | bool, ...]] = {}
    """By path the values of which one must be there; all of them must hold. Empty: always."""
    has: tuple[str, ...] = ()
    """Paths at which something must be."""
    fields: Fields = {}
    lines: tuple[Parts, ...] = ()
    slots: tuple[Parts, ...] = ()
    segments: tuple[Source, ...] = ()
    consent: tuple[Source, ...] = ()
    """Each is a purpose that the user has agreed to, or empty; without any the record does not say."""


class TopicMapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The rules of one topic."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    rules: Annotated[tuple[Rule, ...], Meta(min_length=1)]


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file of them."""

    topics: Annotated[tuple[TopicMapping, ...], Meta(min_length=1)]
    version: Literal[1] = field(default=1)


def load(path: Path) -> Mapping:
    """Read and check a mapping; raises ``MappingError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MappingError(f"mapping {path}: {error.strerror}") from None
    try:
        return loads(content)
    except MappingError as error:
        raise MappingError(f"mapping {path}: {error}") from None


def loads(content: bytes | str) -> Mapping:
    """A mapping from TOML; raises ``MappingError``.

    >>> loads("topics = []")
    Traceback (most recent call last):
    ...
    streams.adoption.mapping.MappingError: Expected `array` of length >= 1 - at `$.topics`
    """
    try:
        document = tomllib.loads(content if isinstance(content, str) else content.decode())
        mapping = msgspec.convert(document, Mapping)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise MappingError(str(error)) from None
    check(mapping)
    return mapping


def to_builtins(mapping: Mapping) -> dict[str, Any]:
    """A mapping as tables, lists and scalars, as TOML has them; ``loads`` of that TOML gives it back."""
    built = msgspec.to_builtins(mapping, builtin_types=())
    assert isinstance(built, dict)
    return built | {"version": mapping.version}


def check(mapping: Mapping) -> None:
    """Hold a mapping against the contract; raises ``MappingError`` with the place in the mapping."""
    names = [topic.name for topic in mapping.topics]
    if len(set(names)) < len(names):
        raise MappingError("Expected each topic once - at `$.topics`")
    for number, topic in enumerate(mapping.topics):
        for index, rule in enumerate(topic.rules):
            at = f"$.topics[{number}].rules[{index}]"
            for path in (*rule.when, *rule.has):
                _check_path(path, at)
            for path, values in rule.when.items():
                if not values:
                    raise MappingError(f"Expected values of `{path}`, got none - at `{at}.when`")
            if rule.event == IGNORE:
                _expect_nothing(rule, at)
            else:
                _check_rule(rule, at)


def required(struct: type[Struct]) -> tuple[str, ...]:
    """Fields that every event of a kind must have.

    >>> required(Click)
    ('event_id', 'user_id', 'ts_ms', 'kind')
    """
    return tuple(each.name for each in msgspec.structs.fields(struct) if each.required)


def type_of(struct: type[Struct], name: str) -> Any:
    """A field's type, bounds included."""
    return next(each.type for each in msgspec.structs.fields(struct) if each.name == name)


def _check_rule(rule: Rule, at: str) -> None:
    struct = EVENTS[rule.event]
    parts_field, part = PARTS.get(rule.event, ("", Line))
    given = {
        "lines": rule.lines, "slots": rule.slots, "segments": rule.segments, "consent": rule.consent,
    }  # fmt: skip
    plain = set(struct.__struct_fields__) - set(given)
    for name, value in given.items():
        if value and name not in struct.__struct_fields__:
            raise MappingError(f"`{rule.event}` has no `{name}` - at `{at}.{name}`")
    if rule.event == "purchase" and not rule.lines:
        raise MappingError(f"Expected the `lines` of a purchase, got none - at `{at}`")
    _check_fields(rule.fields, struct, plain, at)
    for place, source in enumerate(rule.segments):
        _check_source("segments", source, str, f"{at}.segments[{place}]")
    for place, source in enumerate(rule.consent):
        _check_source("consent", source, Purpose | Literal[""], f"{at}.consent[{place}]")
    for place, each in enumerate(given.get(parts_field, ())):
        assert isinstance(each, Parts)
        where = f"{at}.{parts_field}[{place}]"
        if each.each:
            _check_path(each.each, where)
        _check_fields(each.fields, part, set(part.__struct_fields__), where)


def _check_fields(fields: Fields, struct: type[Struct], known: set[str], at: str) -> None:
    for name, source in fields.items():
        if name not in known:
            raise MappingError(
                f"`{_tag(struct)}` has no plain field `{name}`, it has {', '.join(sorted(known))} "
                f"- at `{at}.fields`"
            )
        _check_source(name, source, type_of(struct, name), f"{at}.fields.{name}")
    for name in required(struct):
        if name in known and name not in fields:
            raise MappingError(f"Expected a source of `{name}`, which is required - at `{at}.fields`")


def _check_source(name: str, source: Source, kind: Any, at: str) -> None:
    ways = bool(source.path) + bool(source.join) + (source.value is not None) + source.place
    if ways != 1:
        raise MappingError(f"Expected exactly one of `path`, `join`, `value` and `place` - at `{at}`")
    for path in source.paths:
        _check_path(path, at)
    allowed = conversions_of(name)
    if source.as_ is not None and source.as_ not in allowed:
        raise MappingError(f"Expected one of {', '.join(allowed)}, got `{source.as_}` - at `{at}.as`")
    if (source.join or source.place) and "text" not in allowed:
        raise MappingError(f"Expected a `path` or a `value` of `{name}`, which is no text - at `{at}`")
    if source.value is not None and (source.as_ or source.words or source.default is not None):
        raise MappingError(f"Expected nothing beside a constant `value` - at `{at}`")
    for where, constant in _constants(source):
        try:
            msgspec.convert(constant, kind)
        except msgspec.ValidationError as error:
            raise MappingError(f"{error} - at `{at}.{where}`") from None


def _constants(source: Source) -> Iterator[tuple[str, Constant]]:
    """What goes into the event as the mapping has it, with where it stands."""
    if source.value is not None:
        yield "value", source.value
    if source.default is not None:
        yield "default", source.default
    for word, meant in source.words.items():
        yield f"words.{word}", meant


def _check_path(path: str, at: str) -> None:
    try:
        parse(path)
    except PathError as error:
        raise MappingError(f"{error} - at `{at}`") from None


def _expect_nothing(rule: Rule, at: str) -> None:
    if rule.fields or rule.lines or rule.slots or rule.segments or rule.consent:
        raise MappingError(f"Expected no fields of what is to be ignored - at `{at}`")
    if not rule.when and not rule.has:
        raise MappingError(f"Expected `when` or `has`: a rule that ignores everything - at `{at}`")


def _tag(struct: type[Struct]) -> str:
    tag = struct.__struct_config__.tag
    return str(tag) if tag else struct.__name__.lower()
