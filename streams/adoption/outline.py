"""The part of a record that a mapping looks at, as a type: what else is in the record is skipped undecoded.

Foreign events are large (1,500 bytes and 60 fields of which a mapping wants 12), and to build all of it as
Python objects takes most of the time that a mapping costs.
"""

from collections.abc import Iterable
from typing import Any, TypedDict

from streams.adoption.paths import Select, Step, Steps


class _Node:
    """A step of the paths, with those that follow."""

    def __init__(self) -> None:
        self.children: dict[Step, _Node] = {}
        self.whole = False
        """A path ends here, so all below it is wanted."""


def outline(paths: Iterable[Steps]) -> Any:
    """A type for ``msgspec``: dicts with the keys that lie on a path, lists whole in length.

    A record that does not have these shapes fails to decode as it, and is to be decoded whole.

    >>> import msgspec
    >>> wanted = outline([("a", "b"), ("items", 0, "id")])
    >>> msgspec.json.decode(b'{"a": {"b": 1, "x": 2}, "items": [{"id": 3, "y": 4}], "z": 5}', type=wanted)
    {'a': {'b': 1}, 'items': [{'id': 3}]}
    """
    root = _Node()
    for steps in paths:
        node = root
        for step in steps:
            node = node.children.setdefault(step, _Node())
        node.whole = True
    return _object(root.children)


def _type(node: _Node) -> Any:
    steps = list(node.children)
    if node.whole or not steps:
        return Any
    if all(isinstance(step, str) for step in steps):
        return _object(node.children) | None
    if any(isinstance(step, str) for step in steps):
        return Any  # an object for one path, a list for another
    return list[_element(node)] | None  # type: ignore[misc]


def _element(node: _Node) -> Any:
    """What all elements of a list have that some path looks at."""
    merged = _Node()
    for step, child in node.children.items():
        _merge(merged, child)
        if isinstance(step, Select):
            merged.children.setdefault(step.key, _Node()).whole = True
    return _type(merged)


def _merge(into: _Node, other: _Node) -> None:
    into.whole |= other.whole
    for step, child in other.children.items():
        _merge(into.children.setdefault(step, _Node()), child)


def _object(children: dict[Step, _Node]) -> Any:
    keys = {str(step): _type(child) for step, child in children.items()}
    return TypedDict("Outline", keys, total=False)  # type: ignore[operator]
