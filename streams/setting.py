"""One setting as its reader wants it: name, type, unit, default, value, source, meaning."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, StrType, Type

from schemas.docstrings import field_docs
from streams.settings import SECRET_SHOWN, SECTIONS, Settings, Sources, is_secret, name_to_variable

DEFAULT = "default"
UNITS = ("s", "ms", "bytes", "rows", "records", "share")


class Setting(Struct, frozen=True):
    """A setting, its value included unless that is a secret."""

    name: str
    variable: str
    """Its environment variable."""
    type: str
    """With its bounds, for example ``int, 1 to 1024``."""
    unit: str
    """Empty where it has none."""
    default: Any
    value: Any
    source: str
    description: str


def describe(settings: Settings, sources: Sources) -> list[Setting]:
    """Every setting, in the order in which they are declared; secrets that are set are ``***``.

    >>> found = {each.name: each for each in describe(Settings(), {})}
    >>> found["kafka.partitions"].type, found["state.max_profiles"].unit, found["processing.lateness_s"].unit
    ('int, 1 to 1024', 'rows', 's')
    """
    found = []
    for section, struct in SECTIONS.items():
        docs, values = field_docs(struct), getattr(settings, section)
        info = msgspec.inspect.type_info(struct)
        assert isinstance(info, msgspec.inspect.StructType)
        for field in info.fields:
            name = f"{section}.{field.name}"
            value = getattr(values, field.name)
            found.append(
                Setting(
                    name=name,
                    variable=name_to_variable(name),
                    type=_type_text(field.type),
                    unit=_unit(name),
                    default=field.default,
                    value=SECRET_SHOWN if value and is_secret(name) else value,
                    source=sources.get(name, DEFAULT),
                    description=docs.get(field.name, ""),
                )
            )
    return found


def _unit(name: str) -> str:
    """The unit that a name ends with; caps of the state's pools count rows."""
    last = name.rpartition("_")[2]
    if name.startswith("state.max_"):
        return "rows"
    return last if last in UNITS else ""


def _type_text(declared: Type) -> str:
    match declared:
        case msgspec.inspect.Metadata(type=inner):
            return _type_text(inner)
        case LiteralType(values=values):
            return " | ".join(map(str, values))
        case IntType(gt=gt, ge=ge, le=le) | FloatType(gt=gt, ge=ge, le=le):
            name = "int" if isinstance(declared, IntType) else "float"
            if le is not None:
                return f"{name}, {'above ' if ge is None else ''}{gt if ge is None else ge} to {le}"
            low = f"above {gt}" if gt is not None else f"at least {ge}" if ge is not None else ""
            return f"{name}, {low}" if low else name
        case StrType(pattern=pattern):
            return f"str, {pattern}" if pattern else "str"
        case BoolType():
            return "bool"
        case _:
            return type(declared).__name__.removesuffix("Type").lower()
