"""Infers where the fields of one kind of events may come from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from schemas.events import Line, Page, Purchase, Refund
from streams.adoption.conversions import CONVERT, Conversion, conversions_of
from streams.adoption.mapping import Source, required, type_of
from streams.adoption.paths import Steps, getter, parse, render
from streams.adoption.proposal import ProposedField, ProposedParts
from streams.adoption.shapes import Found, Shape
from streams.adoption.vocabulary import BATCH_NAMES, FIELD_NAMES, PAGE_NAMES, REFUND_NAMES, name_of, names_of

VALID = 0.99
"""Share of the values found that the contract must take for a source to be certain."""
PRESENT = 0.9
"""Share of the records in which a required field must be for its source to be certain."""
UNIQUE = 0.98
"""Share of the records that an identity must tell apart."""
GIVEN = frozenset({"segments", "slots", "lines", "page", "kind", "consent"})
"""Fields that are not looked for by name."""
PAGES = frozenset(getattr(Page, "__args__", ()))


class Candidate(Struct, frozen=True):
    """A path that a field may come from."""

    steps: Steps
    conversion: Conversion | None
    share: float
    """Of the records that have it."""
    valid: float
    """Share of its values that the contract takes."""
    doubt: str = ""
    """What cannot be told from the sample."""

    @property
    def path(self) -> str:
        return render(self.steps)


class Fields:
    """The records of one kind, and what is looked for in them."""

    def __init__(
        self, struct: type[Struct], records: Sequence[dict[str, Any]], kind_paths: tuple[Steps, ...] = ()
    ) -> None:
        self._struct = struct
        self._records = records
        self._shape = Shape(records)
        self._kind_paths = kind_paths

    def propose(
        self, constants: Mapping[str, str], why: str
    ) -> tuple[tuple[ProposedField, ...], tuple[ProposedParts, ...], tuple[str, ...]]:
        """Fields, lines, and what has to be decided before there can be an event."""
        found: dict[str, ProposedField] = {}
        for name in self._struct.__struct_fields__:
            if name not in GIVEN and name != "event_id" and (field := self._by_name(name)):
                found[name] = field
        user = found.get("user_id")
        if user is not None and "anonymous_id" in found and found["anonymous_id"].source == user.source:
            del found["anonymous_id"]  # the user is the anonymous one
        for name, constant in constants.items():
            found[name] = (
                self._page(constant, why, found) if name == "page" else _constant(name, constant, why)
            )
        lines: tuple[ProposedParts, ...] = ()
        missing: list[str] = []
        if self._struct is Purchase:
            lines, missing = self._lines()
            if "amount_micros" not in found:
                found["amount_micros"] = _unknown_money("amount_micros")
            self._part_orders(found, lines)
        if self._struct is not Refund and self._struct is not Purchase:
            self._check_shown(found, missing)
        found["event_id"] = self._event_id(found)
        names = [name for name in self._struct.__struct_fields__ if name in found]
        for name in required(self._struct):
            if name not in ("lines", *GIVEN) and (name not in found or not found[name].certain):
                seen = found[name].why if name in found else "no path has its name and its kind of values"
                missing.append(f"`{name}`, which is required: {seen}")
        return tuple(found[name] for name in names), lines, tuple(missing)

    def _by_name(self, name: str) -> ProposedField | None:
        names = REFUND_NAMES if self._struct is Refund and name in REFUND_NAMES else FIELD_NAMES
        candidates = _candidates(self._shape, self._struct, name, names.get(name, ()))
        if not candidates:
            return None
        needed = name in required(self._struct)
        best = candidates[0]
        others = [each.path for each in candidates[1:] if each.valid >= VALID][:2]
        certain = best.valid >= VALID and not best.doubt and (best.share >= PRESENT or not needed)
        return ProposedField(
            name, Source(path=best.path, as_=best.conversion), _reason(best, needed, others), certain
        )

    def _page(self, constant: str, why: str, found: Mapping[str, ProposedField]) -> ProposedField:
        """The kind of page, from the record where it says it, else by what tells the kind of event."""
        for steps, values in self._shape.paths.items():
            words = values.words
            known = {word: name_of(str(word)) for word in words if name_of(str(word)) in PAGES}
            if (
                set(names_of(steps)) & set(PAGE_NAMES)
                and sum(words[word] for word in known) >= sum(words.values()) / 2
            ):
                renamed = {
                    str(word): page for word, page in sorted(known.items(), key=str) if str(word) != page
                }
                others = {str(word): "other" for word in sorted(words, key=str) if word not in known}
                source = Source(path=render(steps), words={**renamed, **others}, default="other")
                return ProposedField("page", source, "says it; what is not known is `other`")
        if constant == "item" and "item_id" not in found:
            return _constant("page", "other", f"{why}, but it names no item")
        return _constant("page", constant, why)

    def _event_id(self, found: Mapping[str, ProposedField]) -> ProposedField:
        """An identity that the record has, else one of several parts, else the record's place."""
        for candidate in _candidates(self._shape, self._struct, "event_id", FIELD_NAMES["event_id"]):
            told = self._shape.paths[candidate.steps].distinct / max(1, self._shape.records)
            if candidate.valid >= VALID and told >= UNIQUE:
                why = f"{told:.1%} of the records differ in it"
                return ProposedField("event_id", Source(path=candidate.path, as_=candidate.conversion), why)
        paths = [found[name].source.path for name in ("user_id", "ts_ms") if name in found]
        batch = [
            render(steps)
            for steps in self._shape.paths
            if names_of(steps)[0] in BATCH_NAMES and self._shape.share(steps) >= PRESENT
        ]
        kind = [render(steps) for steps in self._kind_paths]
        named = found.get("item_id")
        item = [named.source.path] if named is not None and named.certain else []
        if not item and self._struct is Purchase and "order_id" in found:
            order = found["order_id"].source
            item = [*order.join, order.path] if order.join else [order.path]
        join = [str(path) for path in (*paths, *kind, *batch, *item) if path]
        told = self._told_apart(tuple(dict.fromkeys(join)))
        if len(paths) == 2 and told >= UNIQUE:
            why = (
                f"no field is an id; {told:.1%} of the records differ in these: two that are equal count once"
            )
            return ProposedField("event_id", Source(join=tuple(dict.fromkeys(join)), as_="digest"), why)
        why = "nothing tells two records apart but their place: one that is sent twice counts twice"
        return ProposedField("event_id", Source(place=True, as_="digest"), why)

    def _told_apart(self, paths: Sequence[str]) -> float:
        """Share of the records that differ in some of these paths, where all can be a part of an id."""
        getters = [getter(parse(path)) for path in paths]
        seen = set()
        for record in self._records:
            values = tuple(get(record) for get in getters)
            if all(type(value) in (str, int, float) for value in values):
                seen.add(values)
        return len(seen) / max(1, len(self._records))

    def _lines(self) -> tuple[tuple[ProposedParts, ...], list[str]]:
        """The lines of orders: a list in the record that has items, or else the record's own item."""
        best: tuple[ProposedParts, list[str]] | None = None
        for steps, elements in sorted(self._shape.lists.items(), key=lambda entry: render(entry[0])):
            filled = self._shape.filled[steps] / max(1, self._shape.records)
            if any(isinstance(step, int) for step in steps) or filled < PRESENT:
                continue
            fields, missing = _line_fields(Shape(elements), steps)
            if not any(field.name == "item_id" for field in fields):
                continue
            parts = ProposedParts(render(steps), fields, f"a list with items in {filled:.1%} of the records")
            if best is None or len(fields) > len(best[0].fields):
                best = parts, missing
        if best is not None:
            return (best[0],), best[1]
        fields, missing = _line_fields(self._shape)
        if not any(field.name == "item_id" for field in fields):
            return (), ["`lines`: no list of the record has items, and the record itself names none"]
        return (ProposedParts("", fields, "no list has items: the record is an order's one line"),), missing

    def _part_orders(self, found: dict[str, ProposedField], lines: Sequence[ProposedParts]) -> None:
        """Where an order comes as several records, make each of them an order of its own."""
        order = found.get("order_id")
        if (
            order is None
            or not order.certain
            or not lines
            or lines[0].each
            or not isinstance(order.source.path, str)
        ):
            return
        item = next(field for field in lines[0].fields if field.name == "item_id").source.path
        orders = self._told_apart([order.source.path])
        if orders >= 1.0 or not isinstance(item, str):
            return
        why = (
            f"{orders:.1%} distinct: an order comes as one record for each of its items, and of several "
            "records with one order's id the first would count: each becomes an order of its own"
        )
        found["order_id"] = ProposedField("order_id", Source(join=(order.source.path, item)), why)

    def _check_shown(self, found: Mapping[str, ProposedField], missing: list[str]) -> None:
        """An exposure names what was shown, and our decision or the other system's propensity."""
        if self._struct.__struct_config__.tag != "exposure":
            return
        if not found.keys() & {"ad_id", "promotion_id"}:
            missing.append("`ad_id` or `promotion_id`, of which an exposure needs one: no path has its name")
        if not found.keys() & {"propensity", "decision_id"}:
            missing.append("`propensity`, which another system's exposure needs: no path has its name")


def _candidates(shape: Shape, struct: type[Struct], name: str, names: Sequence[str]) -> list[Candidate]:
    """Paths that have a field's name and at least half of the time its kind of values, the best first."""
    found = []
    for steps, values in shape.paths.items():
        own, owned = names_of(steps)
        unit = next((unit for unit in ("micros", "cents") if own.endswith(unit)), "")
        if unit and name.endswith("_micros"):
            own, owned = own.removesuffix(unit), owned.removesuffix(unit)
        rank = min((names.index(each) for each in (own, owned) if each in names), default=None)
        claimed = [field for field, theirs in FIELD_NAMES.items() if owned in theirs and owned != own]
        if rank is None or (claimed and name not in claimed):
            continue
        if own == "id" and owned not in names and len(steps) > 1:
            continue  # the id of something else
        conversion, valid, doubt = _convertible(name, type_of(struct, name), values, unit)
        if valid < 0.5:
            continue
        if not doubt and shape.is_one_of_several(steps):
            doubt = "that of the first of several"
        candidate = Candidate(steps, conversion, shape.share(steps), valid, doubt)
        nested = any(isinstance(step, int) for step in steps)
        found.append(
            ((candidate.share < PRESENT, bool(doubt), rank, nested, len(steps), candidate.path), candidate)
        )
    return [candidate for _, candidate in sorted(found, key=lambda pair: pair[0])]


def _convertible(name: str, kind: Any, found: Found, unit: str) -> tuple[Conversion | None, float, str]:
    """The conversion that fits most of the values, for which share of them, and what stays in doubt."""
    doubt = ""
    allowed = conversions_of(name)
    if name.endswith("_micros"):
        allowed = (unit or "units",)  # type: ignore[assignment]
        if not unit and not any(type(value) is float or "." in str(value) for value in found.values):
            doubt = "whole numbers throughout: units of the currency, or cents?"
    elif name in ("event_id", "user_id", "anonymous_id"):
        allowed = ("text", "digest")
    elif name == "currency":
        allowed = ("text", "upper")
    elif allowed[0] == "text":
        allowed = ("text",)
    share = [(sum(_valid(CONVERT[each], kind, value) for value in found.values), each) for each in allowed]
    best = max(count for count, _ in share)
    conversion = next(each for count, each in share if count == best)
    default = conversions_of(name)[0]
    return None if conversion == default else conversion, best / max(1, len(found.values)), doubt


def _valid(convert: Callable[[Any], Any], kind: Any, value: Any) -> bool:
    try:
        msgspec.convert(convert(value), kind)
    except (ValueError, ArithmeticError):
        return False
    return True


def _line_fields(shape: Shape, each: Steps = ()) -> tuple[tuple[ProposedField, ...], list[str]]:
    found, missing = [], []
    for name in Line.__struct_fields__:
        # Elements of a list of products are products: their `id` and `name` are theirs.
        own = ("id",) if name == "item_id" and each else ()
        candidates = _candidates(shape, Line, name, (*FIELD_NAMES[name], *own))
        needed = name in required(Line)
        if candidates:
            best = candidates[0]
            certain = (
                best.valid >= VALID
                and not best.doubt
                and (best.share >= PRESENT or not needed or name == "quantity")
            )
            default = 1 if name == "quantity" and best.share < 1 else None
            source = Source(path=best.path, as_=best.conversion, default=default)
            found.append(ProposedField(name, source, _reason(best, needed, ()), certain))
        elif name == "quantity":
            found.append(ProposedField(name, Source(value=1), "no path has its name: one each?", False))
        elif name == "unit_price_micros":
            found.append(_unknown_money(name))
        if needed and (not candidates or not found[-1].certain):
            seen = found[-1].why if found and found[-1].name == name else "no path has its name"
            missing.append(f"`{name}` of a line, which is required: {seen}")
    return tuple(found), missing


def _constant(name: str, value: str, why: str) -> ProposedField:
    return ProposedField(name, Source(value=value), why)


def _unknown_money(name: str) -> ProposedField:
    return ProposedField(name, Source(value=0), "no path has its name: 0, which is unknown?", False)


def _reason(best: Candidate, needed: bool, others: Sequence[str]) -> str:
    parts = ["its name"]
    parts.append("in all records" if best.share == 1 else f"in {best.share:.1%} of the records")
    if best.valid < 1:
        parts.append(f"{best.valid:.1%} of the values fit")
    if needed and best.share < 1:
        parts.append("the others are dead letters")
    if best.doubt:
        parts.append(best.doubt)
    if others:
        parts.append("or " + ", ".join(others))
    return "; ".join(parts)
