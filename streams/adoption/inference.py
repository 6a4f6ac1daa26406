"""Infers from a sample what its records may become: by names, shapes of values, counts and co-occurrence.

It is deterministic, and it only proposes: a person reads the result before it is used.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from streams.adoption.fields import Fields
from streams.adoption.mapping import EVENTS, IGNORE
from streams.adoption.paths import Steps, getter, render
from streams.adoption.proposal import ProposedRule, ProposedTopic
from streams.adoption.shapes import Shape
from streams.adoption.vocabulary import (
    CLICKS,
    EVENT_NAMES,
    EXPOSURES,
    FIELD_NAMES,
    PURCHASES,
    REFUNDS,
    VIEWS,
    WITHOUT_USE,
    name_of,
    names_of,
)

MAX_KINDS = 60
"""A field with more values does not tell kinds of events."""
EVERYWHERE, NOWHERE = 0.95, 0.05
"""Shares of records from and up to which a field counts as belonging to a kind, and as foreign to it."""

When = dict[str, tuple[str | int | bool, ...]]


class Kind(Struct, frozen=True):
    """Records of a topic that one rule is for."""

    when: When
    word: str
    """What tells them, as it stands in the record; empty: nothing does."""
    records: list[dict[str, Any]]
    paths: tuple[Steps, ...] = ()
    """Of ``when``."""


class Meaning(Struct, frozen=True):
    """What a kind of records may be in the contract."""

    event: str
    constants: Mapping[str, str]
    why: str
    certain: bool = True


def propose(topic: str, records: Sequence[dict[str, Any]]) -> ProposedTopic:
    """A proposal for one topic from records of it."""
    kinds = split(records)
    if len(kinds) == 1 and not kinds[0].when:
        kinds = [Kind({}, topic, kinds[0].records)]
    kinds.sort(key=lambda kind: -len(kind.records))
    meanings = _meanings(kinds)
    rules, unused = [], []
    for kind, meaning in zip(kinds, meanings, strict=True):
        if meaning.event == IGNORE:
            unused.append((kind, meaning))
        else:
            rules.append(_rule(kind, meaning))
    rules += _ignoring(unused)
    covered = sum(len(kind.records) for kind in kinds)
    remarks = (
        [f"{len(records) - covered:,} have nothing that tells their kind"] if covered < len(records) else []
    )
    return ProposedTopic(topic, len(records), tuple(rules), tuple(remarks))


def split(
    records: Sequence[dict[str, Any]], when: When | None = None, paths: tuple[Steps, ...] = ()
) -> list[Kind]:
    """Records by kind: by the field that tells it and, where its word is a wrapper's, by a second one."""
    when = when or {}
    path = _kind_path(Shape(records), paths)
    if path is None:
        return [Kind(when, "", list(records), paths)]
    get = getter(path)
    groups: dict[Any, list[dict[str, Any]]] = {}
    for record in records:
        value = get(record)
        if type(value) in (str, int, bool) and value != "":
            groups.setdefault((type(value), value), []).append(record)
    kinds = []
    for (_, value), group in groups.items():
        told = {**when, render(path): (value,)}
        kind = Kind(told, str(value), group, (*paths, path))
        if _known(kind.word) or when:
            kinds.append(kind)
            continue
        finer = split(group, told, kind.paths)
        kinds += finer if any(_known(each.word) for each in finer) else [kind]
    return kinds


def _kind_path(shape: Shape, taken: tuple[Steps, ...]) -> Steps | None:
    """The path whose values tell kinds apart: that with the most known words, then the best name."""
    best: tuple[float, int, int, str] | None = None
    found_steps = None
    for steps, found in shape.paths.items():
        ranks = [EVENT_NAMES.index(name) for name in names_of(steps) if name in EVENT_NAMES]
        if not ranks or steps in taken or found.distinct > MAX_KINDS:
            continue
        words = found.words
        known = sum(count for word, count in words.items() if _known(str(word)))
        share = shape.share(steps)
        if not known and (taken or share < EVERYWHERE or EVENT_NAMES[min(ranks)] in ("kind", "name")):
            continue
        score = -known * share / max(1, len(found.values)), min(ranks), len(steps), render(steps)
        if best is None or score < best:
            best, found_steps = score, steps
    return found_steps


def _known(word: str) -> bool:
    return _meaning_of(word) is not None


def _meaning_of(word: str) -> Meaning | None:
    """What a word means in the schemas that are known."""
    name = name_of(word)
    why = f"`{word}` is a word for it"
    if name in VIEWS:
        return Meaning("view", {"page": VIEWS[name]}, why)
    if name in CLICKS:
        return Meaning("click", {"kind": CLICKS[name]}, why)
    if name in PURCHASES:
        return Meaning("purchase", {}, why)
    if name in REFUNDS:
        return Meaning("refund", {}, why)
    if name in EXPOSURES:
        return Meaning("exposure", {}, why)
    if name in WITHOUT_USE:
        return Meaning(IGNORE, {}, "the contract has nothing for it")
    return None


def _meanings(kinds: Sequence[Kind]) -> list[Meaning]:
    """What each kind may be; where the word says nothing, by what its records have that others have not."""
    meanings = [_meaning_of(kind.word) or _meaning_of(kind.word.removesuffix("s")) for kind in kinds]
    has_view = any(meaning is not None and meaning.event == "view" for meaning in meanings)
    orders = [_share_of(kind, "order_id") for kind in kinds]
    made = []
    for place, (kind, meaning) in enumerate(zip(kinds, meanings, strict=True)):
        if meaning is not None:
            made.append(meaning)
            continue
        shown = f"`{kind.word}`"
        if orders[place] >= EVERYWHERE and all(
            share <= NOWHERE for other, share in enumerate(orders) if other != place
        ):
            made.append(Meaning("purchase", {}, f"{shown} has an order's id, and nothing else has"))
        elif not has_view and place == 0:
            made.append(Meaning("view", {"page": "item"}, f"{shown} is the most frequent", certain=False))
        elif _share_of(kind, "item_id") >= EVERYWHERE and not has_view:
            why = f"{shown} names an item, and is neither the most frequent nor an order"
            made.append(Meaning("click", {"kind": "add_to_cart"}, why, certain=False))
        else:
            made.append(Meaning(IGNORE, {}, f"{shown} is not known", certain=False))
    return made


def _share_of(kind: Kind, field: str) -> float:
    shape = Shape(kind.records)
    wanted = FIELD_NAMES[field]
    return max(
        (shape.share(steps) for steps in shape.paths if set(names_of(steps)) & set(wanted)), default=0.0
    )


def _rule(kind: Kind, meaning: Meaning) -> ProposedRule:
    fields = Fields(EVENTS[meaning.event], kind.records, kind.paths)
    found, lines, missing = fields.propose(meaning.constants, meaning.why)
    if not meaning.certain:
        missing = (f"whether it is a `{meaning.event}`: {meaning.why}", *missing)
    return ProposedRule(meaning.event, kind.when, len(kind.records), meaning.why, found, lines, missing)


def _ignoring(unused: Sequence[tuple[Kind, Meaning]]) -> list[ProposedRule]:
    """One rule for all that is certain to be of no use, and one to be decided for each that is not."""
    made: dict[tuple[bool, tuple[str, ...]], list[Kind]] = {}
    for kind, meaning in unused:
        made.setdefault((meaning.certain, tuple(kind.when)), []).append(kind)
    rules = []
    for (certain, paths), kinds in made.items():
        first = {path: kinds[0].when[path] for path in paths[:-1]}
        # A rule has one list of words a path: kinds that differ before the last path have rules of their own.
        together = [kind for kind in kinds if all(kind.when[path] == first[path] for path in first)]
        for group in ([together] if together else []) + [[kind] for kind in kinds if kind not in together]:
            if not paths:
                continue
            when = {**{path: group[0].when[path] for path in paths[:-1]}}
            when[paths[-1]] = tuple(kind.when[paths[-1]][0] for kind in group)
            count = sum(len(kind.records) for kind in group)
            why = "the contract has nothing for it" if certain else "not known"
            decide = (
                ()
                if certain
                else ("whether it is of use: as long as no rule is for it, it is a dead letter",)
            )
            rules.append(ProposedRule(IGNORE, when, count, why, to_decide=decide))
    return rules
