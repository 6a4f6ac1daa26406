"""The closed set of conversions from what a foreign field holds to what the contract wants.

Each takes one decoded JSON value and gives a text or a number, or raises ``ValueError`` that says what was
expected and which *type* came, never the value.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from xxhash import xxh3_128_hexdigest

Conversion = Literal[
    "text", "upper", "digest", "int", "float",
    "s", "ms", "us", "iso8601",
    "units", "cents", "micros",
]  # fmt: skip
"""What a source's ``as`` may say."""

MICROS = 1_000_000
MAX_NUMBER = 10**18
"""Beyond any time and amount of the contract; its bounds say more about what is below."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
TYPE_NAMES = {
    dict: "object", list: "array", str: "str", int: "int", float: "float", bool: "bool", type(None): "null",
}  # fmt: skip

# Of bounded length: a decimal with a huge exponent would take all memory as an integer.
_NUMERAL = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)


def text(value: Any) -> str:
    """A text as it is, an integer in digits. A float is refused: ids that came as one have lost digits."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise _unexpected("`str` or `int`", value)


def upper(value: Any) -> str:
    """A text in capitals, as ISO codes are."""
    return text(value).upper()


def digest(value: Any) -> str:
    """32 hexadecimal digits of a text's XXH3 hash, for ids that are longer than the contract's."""
    return xxh3_128_hexdigest(text(value).encode())


def integer(value: Any) -> int:
    """A whole number, also as digits or as a float without a fraction."""
    if type(value) is int:
        return value
    number = _number(value)
    if number != int(number):
        raise ValueError(f"Expected a whole number, got `{TYPE_NAMES[type(value)]}` with a fraction")
    return int(number)


def floating(value: Any) -> float:
    """A number, also as digits."""
    return float(_number(value))


def seconds(value: Any) -> int:
    """Seconds since 1970 -> milliseconds."""
    return round(_number(value) * 1000)


def milliseconds(value: Any) -> int:
    """Milliseconds since 1970, a fraction of one cut off."""
    return int(_number(value))


def microseconds(value: Any) -> int:
    """Microseconds since 1970 -> milliseconds, the rest cut off."""
    return int(_number(value)) // 1000


def iso8601(value: Any) -> int:
    """A time in ISO 8601 (a trailing `` UTC`` too) -> milliseconds; without a zone it is taken as UTC."""
    if type(value) is not str:
        raise _unexpected("a time in ISO 8601", value)
    try:
        time = datetime.fromisoformat(value.removesuffix(" UTC"))
    except ValueError:
        raise _unexpected("a time in ISO 8601", value) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - EPOCH) // MILLISECOND


def units(value: Any) -> int:
    """Money in units of its currency, for example euros -> micros."""
    return round(_number(value) * MICROS)


def cents(value: Any) -> int:
    """Money in hundredths of its currency's unit -> micros."""
    return round(_number(value) * (MICROS // 100))


CONVERT: Mapping[Conversion, Callable[[Any], str | int | float]] = {
    "text": text,
    "upper": upper,
    "digest": digest,
    "int": integer,
    "float": floating,
    "s": seconds,
    "ms": milliseconds,
    "us": microseconds,
    "iso8601": iso8601,
    "units": units,
    "cents": cents,
    "micros": integer,
}

TIMES: tuple[Conversion, ...] = ("ms", "s", "us", "iso8601")
MONEY: tuple[Conversion, ...] = ("micros", "units", "cents")
TEXTS: tuple[Conversion, ...] = ("text", "upper", "digest")


def conversions_of(field: str) -> tuple[Conversion, ...]:
    """What may become a field of the contract; the first is the default.

    >>> conversions_of("price_micros")
    ('micros', 'units', 'cents')
    """
    if field == "ts_ms":
        return TIMES
    if field.endswith("_micros"):
        return MONEY
    if field in ("position", "quantity"):
        return ("int",)
    return ("float",) if field == "propensity" else TEXTS


def _number(value: Any) -> int | float | Decimal:
    kind = type(value)
    if kind is int or kind is float:
        if -MAX_NUMBER <= value <= MAX_NUMBER:
            return value  # type: ignore[no-any-return]
    elif kind is str and _NUMERAL.fullmatch(value):
        return Decimal(value)
    raise _unexpected("a number", value)


def _unexpected(expected: str, value: Any) -> ValueError:
    return ValueError(f"Expected {expected}, got `{TYPE_NAMES.get(type(value), 'value')}`")
