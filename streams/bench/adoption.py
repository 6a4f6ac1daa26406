"""What a mapping costs: the decode step and the processor over foreign records, beside the contract's own.

Both sides see the same events: those that the foreign records become, encoded as the contract has them. A
repetition measures one after the other, so that a machine that is busy is busy for both.
"""

import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from statistics import median

import msgspec
import orjson
from msgspec import Struct

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import INPUTS
from streams.adoption.applying import TopicRules
from streams.adoption.inputs import CONTRACT, decoder
from streams.adoption.mapping import TOPIC_OF, Mapping, loads
from streams.bench.foreign import SHAPES, generate
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor
from streams.settings import Settings

MAX_AHEAD_MS = 600_000
WARM_UP = 2_000
"""Events before the clock runs: kernels are compiled, pools have their first rows."""


class Plan(Struct, frozen=True):
    """What is measured."""

    shapes: tuple[str, ...] = tuple(SHAPES)
    events: int = 20_000
    """Foreign records of a shape."""
    repetitions: int = 5
    seed: int = 1


class Cost(Struct, frozen=True):
    """One side of a shape; CPU time of the process, medians of the repetitions."""

    bytes_per_event: float
    decode_us_per_event: float
    decode_and_process_us_per_event: float
    events_per_s: float
    """Decoded and processed, one core."""


class ShapeReport(Struct, frozen=True):
    """A foreign shape beside the same events in the contract's."""

    records: int
    mapped: int
    ignored: int
    with_mapping: Cost
    without: Cost
    mapping_us_per_event: float
    """What the decode step takes longer."""
    throughput_ratio: float
    """Events/s with the mapping by those without."""


def shipped(shape: str) -> Mapping:
    """The reviewed mapping of a shape that comes with Headrace."""
    return loads((files("streams.adoption") / "mappings" / f"{shape}.toml").read_bytes())


def measure(plan: Plan, progress: Callable[[], None]) -> dict[str, ShapeReport]:
    """Measure every shape; ``progress`` is called after each repetition."""
    return {shape: _shape(shape, plan, progress) for shape in plan.shapes}


def _shape(shape: str, plan: Plan, progress: Callable[[], None]) -> ShapeReport:
    rules = TopicRules(shipped(shape).topics[0])
    foreign: list[tuple[int, bytes]] = []
    own: list[tuple[int, bytes]] = []
    numbers = {topic.name: number for number, topic in enumerate(INPUTS)}
    values = [value for _, value in generate(shape, plan.events, plan.seed)]
    for offset, value in enumerate(values):
        event = rules.event(value, 0, offset)
        if event is not None:
            foreign.append((0, value))
            encoded = orjson.dumps(event, default=msgspec.to_builtins)
            own.append((numbers[TOPIC_OF[str(event.__struct_config__.tag)].name], encoded))
    mapped, plain = _Side(decoder([rules]), foreign), _Side(CONTRACT.decode, own)
    for _ in range(plan.repetitions):
        for side in (mapped, plain):
            side.measure()
        progress()
    with_mapping, without = mapped.cost(), plain.cost()
    return ShapeReport(
        records=len(values),
        mapped=len(own),
        ignored=len(values) - len(own),
        with_mapping=with_mapping,
        without=without,
        mapping_us_per_event=with_mapping.decode_us_per_event - without.decode_us_per_event,
        throughput_ratio=with_mapping.events_per_s / without.events_per_s,
    )


class _Side:
    """One way to decode the events, and what it took."""

    def __init__(self, decode: Callable[..., Arrival], records: Sequence[tuple[int, bytes]]) -> None:
        self._decode = decode
        self._records = records
        self._decode_us: list[float] = []
        self._whole_us: list[float] = []

    def measure(self) -> None:
        settings = Settings()
        catalog, weights = Catalog(settings.learning.bits), ServingWeights("ctr", settings.learning.bits)
        processor = Processor(0, settings, catalog, weights)
        processor.process(self._arrivals(self._records[:WARM_UP]))
        records = self._records[WARM_UP:]
        started_s = time.process_time()
        arrivals = self._arrivals(records)
        decoded_s = time.process_time()
        processor.process(arrivals)
        ended_s = time.process_time()
        self._decode_us.append(1e6 * (decoded_s - started_s) / len(records))
        self._whole_us.append(1e6 * (ended_s - started_s) / len(records))

    def cost(self) -> Cost:
        whole_us = median(self._whole_us)
        return Cost(
            bytes_per_event=sum(len(value) for _, value in self._records) / len(self._records),
            decode_us_per_event=median(self._decode_us),
            decode_and_process_us_per_event=whole_us,
            events_per_s=1e6 / whole_us,
        )

    def _arrivals(self, records: Sequence[tuple[int, bytes]]) -> list[Arrival]:
        decode = self._decode
        return [
            decode(topic, 0, offset, -1, value, MAX_AHEAD_MS) for offset, (topic, value) in enumerate(records)
        ]
