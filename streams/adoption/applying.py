"""Applying a mapping: bytes of a foreign record in, an event of the contract out, or why there is none."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from schemas.events import Event
from streams.adoption.mapping import EVENTS, IGNORE, PARTS, Fields, Parts, Rule, Source, TopicMapping
from streams.adoption.outline import outline
from streams.adoption.paths import Getter, Steps, getter, parse
from streams.adoption.sources import FaultError, Place, Reader, reader
from streams.processor.arrival import QUOTING

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_AT = re.compile(r"(?P<reason>.*) - at `\$\.(?P<field>\w+)(\[(?P<index>\d+|\.\.\.)\](\.(?P<inner>\w+))?)?`")


class UnmappableError(ValueError):
    """A record becomes no event; says why, in terms of its own fields, and nothing of their values."""


class TopicRules:
    """The rules of one topic, compiled once."""

    def __init__(self, mapping: TopicMapping) -> None:
        self.name = mapping.name
        self._rules = [_RuleReader(rule) for rule in mapping.rules]
        paths = [path for rule in mapping.rules for path in used_paths(rule)]
        self._outlined: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(outline(paths)).decode
        self._paths = sorted({path for rule in mapping.rules for path in (*rule.when, *rule.has)})
        # Where all rules ask for a text at the same path, one look-up finds those that may hold.
        first = {next(iter(rule.when), None) for rule in mapping.rules}
        self._type: Getter | None = None
        self._of_word: dict[str, list[_RuleReader]] = {}
        if len(first) == 1 and (path := first.pop()) is not None:
            words = [(word, n) for n, rule in enumerate(mapping.rules) for word in rule.when[path]]
            if all(isinstance(word, str) for word, _ in words):
                self._type = getter(parse(path))
                self._rules = [_RuleReader(rule, known=path) for rule in mapping.rules]
                for word, n in words:
                    self._of_word.setdefault(str(word), []).append(self._rules[n])

    def event(self, raw: bytes, partition: int, offset: int) -> Event | None:
        """The event that a record becomes; None where the mapping says to ignore it.

        Raises:
            UnmappableError: It becomes none.
        """
        rule, record = self._decoded(raw)
        return None if rule.build is None else rule.build(record, (self.name, partition, offset))

    def rule(self, raw: bytes) -> Rule:
        """The rule that holds for a record; raises ``UnmappableError``."""
        return self._decoded(raw)[0].rule

    def _decoded(self, raw: bytes) -> tuple["_RuleReader", dict[str, Any]]:
        """The rule that holds for a record, and of the record at least what the rules look at."""
        try:
            record = self._outlined(raw)
        except msgspec.ValidationError:
            record = _decode_whole(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnmappableError(str(error)) from None
        return self._rule_of(record), record

    def _rule_of(self, record: Any) -> "_RuleReader":
        rules = self._rules
        if self._type is not None:
            word = self._type(record)
            rules = self._of_word.get(word, []) if type(word) is str else []
        for rule in rules:
            if rule.holds(record):
                return rule
        at = " and ".join(f"`{path}`" for path in self._paths)
        raise UnmappableError(f"Expected a kind of record that the mapping has a rule for - at {at or '`$`'}")


def used_paths(rule: Rule) -> frozenset[Steps]:
    """The paths that a rule looks at; the first element of a list stands for all."""
    paths: list[str] = [*rule.when, *rule.has]
    for source in (*rule.fields.values(), *rule.segments, *rule.consent):
        paths += source.paths
    used = {parse(path) for path in paths}
    for parts in (*rule.lines, *rule.slots):
        root = (*parse(parts.each), 0) if parts.each else ()
        inner = {(*root, *parse(path)) for source in parts.fields.values() for path in source.paths}
        used |= inner or {root}
    return frozenset(used)


def _decode_whole(raw: bytes) -> dict[str, Any]:
    try:
        return _decode_object(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnmappableError(str(error)) from None


_decode_object: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode


class _RuleReader:
    """One rule, compiled."""

    def __init__(self, rule: Rule, known: str | None = None) -> None:
        """``known`` is a path whose condition has been looked at before ``holds`` is asked."""
        self.rule = rule
        self._when = [
            (getter(parse(path)), frozenset((type(value), value) for value in values))
            for path, values in rule.when.items()
            if path != known
        ]
        self._has = [getter(parse(path)) for path in rule.has]
        self.build: Callable[[Any, Place], Event] | None = None
        if rule.event != IGNORE:
            self.build = _Builder(rule).build

    def holds(self, record: Any) -> bool:
        """Whether all its conditions do."""
        for get, allowed in self._when:
            value = get(record)
            kind = type(value)
            if kind not in (str, int, bool) or (kind, value) not in allowed:
                return False
        return all(get(record) is not None for get in self._has) if self._has else True


class _Builder:
    """Builds the event of one rule; the contract's own structs check it."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._struct = EVENTS[rule.event]
        self._constants, self._readers = _readers(rule.fields)
        self._parts_field = PARTS.get(rule.event, ("", None))[0]
        parts: tuple[Parts, ...] = getattr(rule, self._parts_field, ()) if self._parts_field else ()
        self._parts = [_PartsReader(each) for each in parts]
        self._segments = _word_readers("segments", rule.segments)
        self._consent = _word_readers("consent", rule.consent)

    def build(self, record: Any, place: Place) -> Event:
        """The event; raises ``UnmappableError``."""
        made = self._constants.copy()
        try:
            for name, read in self._readers:
                value = read(record, place)
                if value is not None:
                    made[name] = value
            if self._parts:
                made[self._parts_field] = [
                    part for parts in self._parts for part in parts.read(record, place)
                ]
            if self._segments:
                made["segments"] = [read(record, place) or "" for read in self._segments]
            if self._consent:
                made["consent"] = [word for read in self._consent if (word := read(record, place))]
            return msgspec.convert(made, self._struct)
        except FaultError as fault:
            raise UnmappableError(str(fault)) from None
        except msgspec.ValidationError as error:
            raise UnmappableError(self._explain(str(error), record)) from None

    def _explain(self, sentence: str, record: Any) -> str:
        """What the contract found wrong, with the path in the foreign record."""
        found = _AT.fullmatch(sentence)
        name, index, inner = (found["field"], found["index"], found["inner"]) if found else (None, None, None)
        reason = found["reason"] if found else sentence
        fields, prefix = self._rule.fields, "$"
        if name == self._parts_field and name and self._parts:
            parts, prefix = self._part_of(record, int(index) if index and index.isdigit() else None)
            fields, name = parts.fields, inner
        missing = _MISSING.fullmatch(reason)
        if missing:
            name = missing[1]
            reason = f"Expected a value of `{name}`, got nothing"
        elif reason.startswith(QUOTING):
            reason = f"Expected a known word of `{name}`"  # msgspec quotes the one it got
        elif name:
            reason = f"{reason} for `{name}`"
        paths = fields[name].paths if name in fields else ()
        where = [prefix + path[1:] for path in paths] or ([prefix] if prefix != "$" else [])
        return f"{reason} - at " + " and ".join(f"`{path}`" for path in where) if where else reason

    def _part_of(self, record: Any, index: int | None) -> tuple[Parts, str]:
        """The mapping of a list's element that failed, and where the element lies in the record."""
        left = index or 0
        for compiled in self._parts:
            count = sum(1 for _ in compiled.elements(record))
            if left < count:
                return compiled.parts, f"{compiled.parts.each}[{left}]" if compiled.parts.each else "$"
            left -= count
        last = self._parts[-1].parts
        return last, last.each or "$"


class _PartsReader:
    """Elements of a list: lines or slots."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._each = getter(parse(parts.each)) if parts.each else None
        self._constants, self._readers = _readers(parts.fields)

    def elements(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What each of them is made from."""
        if self._each is None:
            yield record
            return
        found = self._each(record)
        if type(found) is not list:
            return
        for number, element in enumerate(found):
            if type(element) is not dict:
                raise FaultError(f"Expected `object`, got another type - at `{self.parts.each}[{number}]`")
            yield element

    def read(self, record: Any, place: Place) -> Iterator[dict[str, Any]]:
        for number, element in enumerate(self.elements(record)):
            made = self._constants.copy()
            for name, read in self._readers:
                try:
                    value = read(element, place)
                except FaultError as fault:
                    if not self.parts.each:
                        raise
                    raise FaultError(str(fault).replace("`$", f"`{self.parts.each}[{number}]")) from None
                if value is not None:
                    made[name] = value
            yield made


def _word_readers(name: str, sources: tuple[Source, ...]) -> list[Reader]:
    """How the words of a list are read, one source each."""
    return [
        (lambda value: lambda record, place: value)(source.value)
        if source.value is not None
        else reader(name, source)
        for source in sources
    ]


def _readers(fields: Fields) -> tuple[dict[str, Any], list[tuple[str, Reader]]]:
    """Constants by field, and how the others are read."""
    constants = {name: source.value for name, source in fields.items() if source.value is not None}
    return constants, [
        (name, reader(name, source)) for name, source in fields.items() if source.value is None
    ]
