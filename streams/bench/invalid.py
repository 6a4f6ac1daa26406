"""How many bots' clicks the rules for invalid traffic find, and how many people's they take for bots'.

On the synthetic shop, where it is known who is no person (``streams.simulate``).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from msgspec import Struct

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.outcomes import Outcome, decode_outcome
from schemas.topics import INPUTS
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor
from streams.routing import EVENT_TOPICS
from streams.settings import Settings
from streams.simulate.configuration import changed, load
from streams.simulate.log import log
from streams.simulate.shop import Shop
from streams.simulate.visits import KINDS

CHUNK = 1000


class Found(Struct, frozen=True):
    """Clicks on ads and promotions of one kind of user."""

    clicks: int
    invalid: int
    """From the start, or credited later."""
    reasons: dict[str, int]

    @property
    def share(self) -> float:
        """Of the clicks that are invalid: of bots the recall, of people the false positives."""
        return self.invalid / self.clicks if self.clicks else 0.0


class Report(Struct, frozen=True):
    """What the rules found in one log."""

    configuration: str
    seed: int
    events: int
    bots_share: float
    """Of the sessions."""
    by_kind: dict[str, Found]
    """``person``, and the kinds of bots."""


def run(
    name: str, seed: int, events: int, bots_share: float, settings: Settings, advance: Callable[[int], object]
) -> Report:
    """Process the log of a shop with bots; ``advance`` is told how many events have been processed.

    Raises:
        ConfigurationError: There is no such configuration.
    """
    shop = Shop(changed(load(name), bots_share=bots_share), seed)
    catalog = Catalog(settings.learning.bits)
    catalog.extend(shop.catalog())
    processor = Processor(0, settings, catalog, ServingWeights("ctr", settings.learning.bits))
    outcomes = []
    arrivals = _arrivals(shop, events)
    while chunk := list(islice(arrivals, CHUNK)):
        processor.process(chunk)
        outcomes += _taken(processor)
        advance(len(chunk))
    windows = settings.processing
    waits_s = windows.click_window_s + windows.lateness_s + settings.validity.window_s
    processor.advance(processor.state.stream_ms + int(waits_s * 1000) + 1)
    return Report(name, seed, events, bots_share, _by_kind(shop, [*outcomes, *_taken(processor)]))


def _arrivals(shop: Shop, events: int) -> Iterator[Arrival]:
    places = {topic.name: place for place, topic in enumerate(INPUTS)}
    ends = [0] * len(INPUTS)
    for entry in log(shop, events, with_truth=False):
        event = entry.event
        topic = places[EVENT_TOPICS[str(event.__struct_config__.tag)]]
        yield Arrival(topic, 0, ends[topic], event.ts_ms, b"", event)
        ends[topic] += 1


def _taken(processor: Processor) -> list[Outcome]:
    processor.output.take_decisions()
    return [decode_outcome(value) for _, value in processor.output.take_committed()[0]]


def _by_kind(shop: Shop, outcomes: Iterable[Outcome]) -> dict[str, Found]:
    people = shop.world.people
    bots = {
        user_id: KINDS[1 + number % (len(KINDS) - 1)]
        for number, user_id in enumerate(shop.world.user_ids[people:])
    }
    clicks: Counter[str] = Counter()
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        kind = bots.get(outcome.user_id, KINDS[0])
        clicks[kind] += outcome.kind == "click"
        if outcome.kind in ("click", "credit") and outcome.invalid:
            reasons[kind][outcome.invalid] += 1
    return {kind: Found(clicks[kind], reasons[kind].total(), dict(reasons[kind])) for kind in KINDS}
