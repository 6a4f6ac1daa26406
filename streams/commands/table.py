"""Aligned columns for a terminal."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?|-|nan|[-+]?inf")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Header and rows as aligned text, two spaces between columns, numbers to the right.

    >>> print(table(["ad", "clicks"], [["a1", 5], ["a2", 12]]))
    ad  clicks
    a1       5
    a2      12
    """
    cells = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(map(NUMBER.fullmatch, column[1:])) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def utc(ts_ms: int) -> str:
    """Date and time (UTC), to the second.

    >>> utc(1_748_851_200_000)
    '2025-06-02 08:00:00'
    """
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(" ", "seconds").removesuffix("+00:00")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple | dict):
        return orjson.dumps(value, default=str).decode()
    return str(value)
