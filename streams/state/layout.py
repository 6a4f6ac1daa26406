"""The layout of numpy's rows, for Python's ``struct``: whole rows go in and out in one step."""

from struct import Struct
from typing import Any

import numpy as np

_CODES = {"<i8": "q", "<u8": "Q", "<i4": "i", "<u4": "I", "<u2": "H", "<f8": "d"}


def row_struct(dtype: np.dtype[Any]) -> Struct:
    """Numbers as they are, arrays and text as bytes.

    >>> row_struct(np.dtype([("key", "i8"), ("shown", "u4"), ("context", "u4", (2,))], align=True)).format
    '<qI8sxxxx'
    """
    form, end = "<", 0
    for field, offset in sorted(
        (each[:2] for each in (dtype.fields or {}).values()), key=lambda each: each[1]
    ):
        form += "x" * (offset - end) + _CODES.get(field.str, f"{field.itemsize}s")
        end = offset + field.itemsize
    return Struct(form + "x" * (dtype.itemsize - end))


def field_structs(dtype: np.dtype[Any]) -> dict[str, tuple[Struct, int]]:
    """How each number of a row is packed, and where.

    >>> layout, offset = field_structs(np.dtype([("key", "i8"), ("shown", "u4")], align=True))["shown"]
    >>> layout.format, offset
    ('<I', 8)
    """
    return {
        name: (Struct("<" + _CODES[field.str]), offset)
        for name, (field, offset, *_) in (dtype.fields or {}).items()
        if field.str in _CODES
    }


def as_field(text: str) -> bytes:
    """A text as numpy's ``U`` keeps it."""
    return text.encode("utf-32-le")
