"""A source of a mapping as a function: a decoded record and its place in, the field's value out."""

from collections.abc import Callable
from typing import Any

from streams.adoption.conversions import CONVERT, conversions_of
from streams.adoption.mapping import Source
from streams.adoption.paths import Getter, getter, parse

Place = tuple[str, int, int]
"""Where a record lies: topic, partition, offset."""


Reader = Callable[[dict[str, Any], Place], Any]
"""A decoded record, or an element of its list, and its place -> the value of a field; None: there is none."""


class FaultError(ValueError):
    """A foreign value cannot become what the contract wants; holds nothing of the value."""


def reader(name: str, source: Source) -> Reader:
    """How a field of the contract is read; what it returns raises ``FaultError`` for what it cannot read."""
    if source.place:
        return _of_place(source)
    if source.join:
        return _joined(source)
    return _at(name, source)


def _of_place(source: Source) -> Reader:
    convert = CONVERT[source.as_ or "text"]

    def read(record: dict[str, Any], place: Place) -> Any:
        return convert("-".join(map(str, place)))

    return read


def _joined(source: Source) -> Reader:
    parts = [(path, getter(parse(path))) for path in source.join]
    as_text = CONVERT["text"]
    convert = None if source.as_ in (None, "text") else CONVERT[source.as_]

    def read(record: dict[str, Any], place: Place) -> Any:
        texts = []
        for path, get in parts:
            value = get(record)
            kind = type(value)
            if kind is int or kind is float:
                texts.append(repr(value))
            elif kind is str and value:
                texts.append(value)
            elif value is None or kind is str:
                raise FaultError(f"Expected a part of an identity, got nothing - at `{path}`")
            else:
                texts.append(_converted(as_text, value, path))
        joined = "-".join(texts)
        return joined if convert is None else convert(joined)

    return read


def _at(name: str, source: Source) -> Reader:
    """From a path; the usual ones without a call more than needed, since it is done for every field."""
    first, *others = [(path, getter(parse(path))) for path in source.paths]
    path, get = first
    conversion = source.as_ or conversions_of(name)[0]
    convert, words, default = CONVERT[conversion], source.words, source.default

    def text(record: dict[str, Any], place: Place) -> Any:
        value = get(record)
        kind = type(value)
        if kind is str:
            return value or default
        if kind is int:
            return str(value)
        return default if value is None else _converted(convert, value, path)

    def whole_number(record: dict[str, Any], place: Place) -> Any:
        value = get(record)
        if type(value) is int:
            return value
        return default if value is None or value == "" else _converted(convert, value, path)

    def converted(record: dict[str, Any], place: Place) -> Any:
        value = get(record)
        return default if value is None or value == "" else _converted(convert, value, path)

    def any_of(record: dict[str, Any], place: Place) -> Any:
        value, at = get(record), path
        if value is None or value == "":
            value, at = _first(others, record)
            if value is None:
                return default
        value = _converted(convert, value, at)
        if words:
            return words.get(value, value if default is None else default)
        return value

    if words or others:
        return any_of
    if conversion == "text":
        return text
    return whole_number if conversion in ("int", "ms", "micros") else converted


def _first(alternatives: list[tuple[str, Getter]], record: Any) -> tuple[Any, str]:
    for path, get in alternatives:
        value = get(record)
        if value is not None and value != "":
            return value, path
    return None, ""


def _converted(convert: Callable[[Any], Any], value: Any, path: str) -> Any:
    try:
        return convert(value)
    except (ValueError, ArithmeticError) as error:
        # Arithmetic's own sentences could hold the number.
        reason = str(error) if str(error).startswith("Expected ") else "Expected another value"
        raise FaultError(f"{reason} - at `{path}`") from None
