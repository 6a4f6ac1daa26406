"""What a sample of one kind of records looks like: its paths, and what was found at each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from streams.adoption.paths import Select, Steps

MAX_DEPTH = 6
MAX_KEPT = 1_000
"""Values of a path that are kept to be looked at."""
MAX_PATHS = 2_000
"""Of one kind of records: more are keys that are data, and are not looked at."""


class Found:
    """What was found at one path."""

    def __init__(self) -> None:
        self.records = 0
        """In which something was there: not null, not an empty text."""
        self.values: list[Any] = []
        """The first ``MAX_KEPT`` of them."""
        self._distinct: set[Any] = set()

    def add(self, value: Any) -> None:
        self.records += 1
        if len(self.values) < MAX_KEPT:
            self.values.append(value)
        self._distinct.add((type(value), value))

    @property
    def distinct(self) -> int:
        return len(self._distinct)

    @property
    def words(self) -> Counter[str | int | bool]:
        """How often each of the values that are kept was found, of texts and whole numbers."""
        return Counter(value for value in self.values if type(value) in (str, int, bool))


class Shape:
    """The paths of some records."""

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self.records = 0
        self.paths: dict[Steps, Found] = {}
        """Scalars, also those in the first element of a list."""
        self.lists: dict[Steps, list[dict[str, Any]]] = {}
        """Lists of objects: the elements of all records, ``MAX_KEPT`` at most."""
        self.filled: Counter[Steps] = Counter()
        """In how many records such a list has an element."""
        self.several: set[Steps] = set()
        """Such lists that have more than one somewhere."""
        for record in records:
            self.records += 1
            for steps, value in scalars(record, self._take_list):
                found = self.paths.get(steps)
                if found is None:
                    if len(self.paths) >= MAX_PATHS:
                        continue
                    found = self.paths[steps] = Found()
                found.add(value)

    def share(self, steps: Steps) -> float:
        """In which share of the records something is at a path."""
        found = self.paths.get(steps)
        return found.records / self.records if found and self.records else 0.0

    def is_one_of_several(self, steps: Steps) -> bool:
        """Whether a path takes the first element of a list that has more somewhere."""
        return any(steps[:length] in self.several for length in range(1, len(steps)))

    def _take_list(self, steps: Steps, elements: list[dict[str, Any]]) -> None:
        kept = self.lists.setdefault(steps, [])
        self.filled[steps] += bool(elements)
        if len(elements) > 1:
            self.several.add(steps)
        if len(kept) < MAX_KEPT:
            kept += elements


def scalars(
    node: Any, take_list: Any = lambda steps, elements: None, steps: Steps = ()
) -> Iterator[tuple[Steps, Any]]:
    """Paths and values of a record: scalars that are not null and not empty.

    Of a list of objects the first one is looked into, but where each has a ``key`` and a ``value`` (GA4's
    parameters) all are, by their key. ``take_list`` hears of the lists of objects that are not such.
    """
    if len(steps) > MAX_DEPTH:
        return
    if type(node) is dict:
        for key, value in node.items():
            yield from scalars(value, take_list, (*steps, key))
    elif type(node) is list:
        objects = [element for element in node if type(element) is dict]
        if objects and _keyed(objects):
            for element in objects:
                key = element["key"]
                yield from scalars(element["value"], take_list, (*steps, Select("key", key), "value"))
        elif objects and len(objects) == len(node):
            take_list(steps, objects)
            yield from scalars(objects[0], take_list, (*steps, 0))
    elif node is not None and node != "":
        yield steps, node


def _keyed(objects: list[dict[str, Any]]) -> bool:
    return all(
        type(each.get("key")) is str and each["key"] and not set(each["key"]) & set("[]") and "value" in each
        for each in objects
    )
