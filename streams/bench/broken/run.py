"""Broken records and invalid traffic among good events: none is lost, and nothing else changes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from random import Random
from typing import Any, NamedTuple

import orjson
from msgspec import Struct

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.dead_letters import decode_dead_letter
from schemas.topics import INPUTS
from streams.bench.broken.forgeries import counted, forgeries, with_forgeries
from streams.bench.broken.kinds import TEMPLATES, Kind, kinds
from streams.bench.mix import Mix, generate
from streams.processor.arrival import Arrival, decode
from streams.processor.processor import Processor
from streams.settings import Processing, Settings
from streams.state.lookup import user_key

STRIDE = 1 << 24
"""Between the offsets of two good events: room for what is put between them."""
CHUNK = 1000
END_MS = 3_600_000
"""After the last event, when everything is settled."""
MAX_CHANGES = 4
"""Of one fuzzed record."""
INTERESTING = (*(bytes([each]) for each in b'"{}[],:\\-\x00\xff'), b"", b"1e999", b"null", b"9" * 20)

SETTINGS = Settings(processing=Processing(click_window_s=50.0, lateness_s=10.0))
"""Windows that close within the few minutes that the events span."""


class Report(Struct, frozen=True):
    """What became of the broken records and of the good events beside them."""

    kinds: int
    fuzzed: int
    dead_letters: int
    still_events: int
    """Fuzzed records that are events all the same, of a stranger."""
    lost: int
    """Neither of both, or a dead letter that does not hold the record's bytes."""
    forgeries: int
    """Kinds of invalid traffic, each a few events that keep the contract."""
    by_rule: dict[str, int]
    """What the processor counted of them, by counter."""
    miscounted: int
    """How far that is from what they are, summed up over the counters."""
    good_events: int
    decision_mismatches: int
    outcome_mismatches: int
    example_mismatches: int
    profile_mismatches: int
    """Of the good events' users; as the three above beside the run with good events alone."""
    records_per_s: float

    @property
    def passed(self) -> bool:
        return not (
            self.lost
            or self.miscounted
            or self.decision_mismatches
            or self.outcome_mismatches
            or self.example_mismatches
            or self.profile_mismatches
        )


class Left(NamedTuple):
    """What good events have led to."""

    decisions: list[tuple[bytes | None, bytes]]
    outcomes: list[tuple[bytes | None, bytes]]
    examples: list[bytes]
    profiles: dict[int, bytes]
    counters: dict[str, int]
    """Of all events."""


def run(fuzzed: int, seed: int, events: int, advance: Callable[[int], None]) -> Report:
    """Process good events alone, with every broken kind and ``fuzzed`` records, and with every forgery.

    ``advance`` is told how many records have been processed. Whatever the processor raises is raised.
    """
    mix = generate(events, seed, partitions=1)
    good = list(good_arrivals(mix))
    broken = list(kinds())
    tally = Tally(advance)
    alone = processed(mix, good, Tally(advance))
    began_s = time.monotonic()
    mixed = processed(mix, among(good, [*broken, *fuzz(fuzzed, seed)], Random(seed)), tally)
    seconds = time.monotonic() - began_s
    forged = forgeries(SETTINGS.validity)
    deceived = processed(mix, with_forgeries(good, forged, Random(seed)), Tally(advance))
    by_rule = {
        name: count - alone.counters[name]
        for name, count in deceived.counters.items()
        if name.startswith("invalid_") or name == "duplicates"
    }
    right = counted(forged)
    return Report(
        kinds=len(broken),
        fuzzed=fuzzed,
        dead_letters=tally.dead_letters,
        still_events=tally.still_events,
        lost=len(broken) + fuzzed - tally.dead_letters - tally.still_events + tally.altered,
        forgeries=len(forged),
        by_rule=by_rule,
        miscounted=sum(abs(count - right.get(name, 0)) for name, count in by_rule.items()),
        good_events=len(good),
        decision_mismatches=sum(_apart(alone.decisions, each.decisions) for each in (mixed, deceived)),
        outcome_mismatches=sum(_apart(alone.outcomes, each.outcomes) for each in (mixed, deceived)),
        example_mismatches=sum(_apart(alone.examples, each.examples) for each in (mixed, deceived)),
        profile_mismatches=sum(
            row != each.profiles[key] for each in (mixed, deceived) for key, row in alone.profiles.items()
        ),
        records_per_s=round((len(good) + len(broken) + fuzzed) / seconds, 1),
    )


def good_arrivals(mix: Mix) -> Iterator[Arrival]:
    """The events of a mix in event-time order, with room between their offsets."""
    rows = [
        (ts_ms, number, place, value)
        for number, topic in enumerate(INPUTS)
        for place, (_, value, ts_ms) in enumerate(mix.records.get((topic.name, 0), []))
    ]
    for ts_ms, number, place, value in sorted(rows):
        yield decode(number, 0, place * STRIDE, ts_ms, value, 0)


def fuzz(count: int, seed: int) -> Iterator[Kind]:
    """Events of a stranger with up to four changes: bytes cut out, put in, overwritten or swapped."""
    random = Random(seed)
    templates = [(topic, orjson.dumps(template)) for topic, template in TEMPLATES.values()]
    for topic, template in islice(cycle(templates), count):
        value = bytearray(template)
        for _ in range(random.randint(1, MAX_CHANGES)):
            at = random.randrange(len(value) + 1)
            piece = random.choice(INTERESTING) if random.random() < 0.5 else random.randbytes(1)
            value[at : at + random.choice((0, 1, 1, 2, 8, 64))] = piece
        yield Kind("fuzzed", topic, bytes(value))


def among(good: Sequence[Arrival], broken: Sequence[Kind], random: Random) -> Iterator[Arrival]:
    """Good events with the broken records at random places between them, in the broker's order."""
    places = sorted(random.randrange(len(good)) for _ in broken)
    next_broken, kind_of = 0, iter(broken)
    ends = [1] * len(INPUTS)
    for index, arrival in enumerate(good):
        yield arrival
        ends[arrival.topic] = arrival.offset + 1
        while next_broken < len(places) and places[next_broken] == index:
            next_broken += 1
            kind = next(kind_of)
            # The broker's time is that of the good events: what claims to be later is refused.
            yield decode(kind.topic, 0, ends[kind.topic], arrival.ts_ms, kind.value, 0)
            ends[kind.topic] += 1


class Tally:
    """Counts what becomes of the records that are no good events."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance
        self.dead_letters = 0
        self.still_events = 0
        self.altered = 0

    def count(self, arrivals: Sequence[Arrival], letters: Iterable[bytes]) -> None:
        """A chunk that was processed, and the dead letters that it left."""
        refused = Counter(
            (INPUTS[each.topic].name, each.offset, each.raw) for each in arrivals if each.event is None
        )
        written = Counter(
            (letter.topic, letter.offset, letter.raw)
            for letter in map(decode_dead_letter, letters)
            if letter.reason
        )
        self.dead_letters += written.total()
        self.altered += (written - refused).total()
        self.still_events += sum(each.event is not None and not is_good(each.offset) for each in arrivals)
        self.advance(len(arrivals))


def is_good(offset: int) -> bool:
    """Whether the event at an offset is one of the good ones."""
    return offset % STRIDE == 0


def processed(mix: Mix, arrivals: Iterable[Arrival], tally: Tally) -> Left:
    """What a processor leaves of the good events among these."""
    users = {row[0] for rows in mix.records.values() for row in rows}
    catalog = Catalog(SETTINGS.learning.bits)
    catalog.extend(mix.catalog)
    processor = Processor(0, SETTINGS, catalog, ServingWeights("ctr", SETTINGS.learning.bits))
    left = Left([], [], [], {}, processor.state.counters)
    waiting, is_over = iter(arrivals), False
    while not is_over:
        chunk = list(islice(waiting, CHUNK))
        processor.process(chunk)
        if is_over := not chunk:
            processor.advance(processor.state.stream_ms + END_MS)
        outcomes, examples, letters = processor.output.take_committed()
        left.decisions.extend(each for each in processor.output.take_decisions() if each[0] in users)
        left.outcomes.extend(each for each in outcomes if each[0] in users)
        left.examples.extend(value for _, value in examples if is_good(_offset(value)))
        tally.count(chunk, (value for _, value in letters))
    profiles = processor.state.profiles
    for user in users:
        key = user_key("main", user.decode())
        left.profiles[key] = profiles[key].tobytes()
    return left


def _offset(example: bytes) -> int:
    """Of the event that an example is named after."""
    return int(orjson.loads(example)["example_id"].split("-")[2])


def _apart(expected: Sequence[Any], actual: Sequence[Any]) -> int:
    """How many differ, whatever their order."""
    one, other = Counter(expected), Counter(actual)
    return (one - other).total() + (other - one).total()
