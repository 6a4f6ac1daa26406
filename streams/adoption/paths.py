"""Paths into a JSON record: ``$.items[0].price``, ``$['odd.key']``, ``$.params[key=page].value``."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_STEPS = 16

Getter = Callable[[Any], Any]
"""A decoded record -> what is at a path; None where nothing is, or null."""


class PathError(ValueError):
    """A text is no path."""


class Select(NamedTuple):
    """The first element of a list whose ``key`` is ``value``, as GA4's event parameters are found."""

    key: str
    value: str


Step = str | int | Select
"""A key of an object, a place in a list, or an element that is told by one of its keys."""
Steps = tuple[Step, ...]

_STEP = re.compile(
    r"\.(?P<plain>[^.\[\]'\s]+)|\[(?P<place>\d{1,4})\]|\['(?P<quoted>(?:[^'\\]|\\['\\])*)'\]"
    r"|\[(?P<key>[^.\[\]'=\s]+)=(?P<value>[^\[\]]+)\]",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^.\[\]'\s]+")


def parse(path: str) -> Steps:
    """The steps of a path; the root alone, ``$``, has none.

    Raises:
        PathError: It is no path, or has more than ``MAX_STEPS``.

    >>> parse("$.items[0].price")
    ('items', 0, 'price')
    >>> parse("$.params[key=page].value")
    ('params', Select(key='key', value='page'), 'value')
    >>> parse("$['odd.key']")
    ('odd.key',)
    """
    if not path.startswith("$"):
        raise PathError(f"Expected a path that begins with `$`, got `{path}`")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise PathError(f"Expected `.key`, `[0]`, `['key']` or `[key=value]`, got `{path[at:]}`")
        if found["plain"] is not None:
            steps.append(found["plain"])
        elif found["place"] is not None:
            steps.append(int(found["place"]))
        elif found["quoted"] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", found["quoted"]))
        else:
            steps.append(Select(found["key"], found["value"]))
        at = found.end()
    if len(steps) > MAX_STEPS:
        raise PathError(f"Expected at most {MAX_STEPS} steps, got {len(steps)}")
    return tuple(steps)


def render(steps: Steps) -> str:
    """The path of some steps; ``parse`` gives them back.

    >>> render(("items", 0, "it's"))
    "$.items[0]['it\\\\'s']"
    """
    return "$" + "".join(map(_render, steps))


def getter(steps: Steps) -> Getter:
    """A function that finds what is at a path of a decoded record (a dict), whatever is in it.

    >>> getter(parse("$.a[0].b"))({"a": [{"b": 7}]})
    7
    >>> getter(parse("$.a[0].b"))({"a": "text"}) is None
    True
    """
    if len(steps) == 1 and isinstance(steps[0], str):
        return _key_getter(steps[0])

    def get(node: Any) -> Any:
        for step in steps:
            kind = type(step)
            if kind is str:
                if type(node) is not dict:
                    return None
                node = node.get(step)
            elif type(node) is not list:
                return None
            elif kind is int:
                if len(node) <= step:  # type: ignore[operator]
                    return None
                node = node[step]  # type: ignore[index]
            else:
                node = _selected(node, step)  # type: ignore[arg-type]
            if node is None:
                return None
        return node

    return get


def _key_getter(key: str) -> Getter:
    def get(node: Any) -> Any:
        return node.get(key)

    return get


def _selected(elements: list[Any], wanted: Select) -> Any:
    key, value = wanted
    for element in elements:
        if type(element) is dict and element.get(key) == value:
            return element
    return None


def _render(step: Step) -> str:
    if isinstance(step, Select):
        return f"[{step.key}={step.value}]"
    if isinstance(step, int):
        return f"[{step}]"
    if _PLAIN.fullmatch(step):
        return f".{step}"
    quoted = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{quoted}']"
