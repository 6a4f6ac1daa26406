"""What a run must come to, whatever befalls it: the pure processor over the input topics, read whole."""

from collections.abc import Iterable, Mapping
from heapq import merge

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.catalog import decode_entry
from schemas.topics import CATALOG, INPUTS
from streams.bench.faults.log import records_of
from streams.bench.faults.results import Results, Values, of_states
from streams.processor.arrival import Arrival, decode, decode_identity
from streams.processor.processor import Processor
from streams.settings import Settings


def expected_results(settings: Settings, stream_ms: Mapping[int, int]) -> Results:
    """Results of the events that the input topics hold, in event-time order, without any weights.

    ``stream_ms`` has, by partition, how far the run's ticks had carried the stream time when it stopped:
    wall time decides that, so the oracle is told. What lies before it is fully determined.
    """
    catalog = Catalog(settings.learning.bits)
    for records in records_of(settings.kafka, CATALOG).values():
        catalog.extend(decode_entry(record.value) for record in records)
    inputs = [records_of(settings.kafka, topic) for topic in INPUTS]
    max_ahead_ms = int(settings.processing.max_ahead_s * 1000)
    processors = {}
    for partition in range(settings.kafka.partitions):
        weights = ServingWeights("ctr", settings.learning.bits)
        processor = processors[partition] = Processor(partition, settings, catalog, weights)
        processor.state.partitions = settings.kafka.partitions
        processor.process(
            in_event_time(
                [
                    decode(topic, partition, record.offset, record.timestamp, record.value, max_ahead_ms)
                    for record in records[partition]
                ]
                for topic, records in enumerate(inputs)
            )
        )
        processor.advance(stream_ms.get(partition, 0))
    exchange(processors)
    outputs = [processor.output for processor in processors.values()]
    return of_states(
        {partition: processor.state for partition, processor in processors.items()},
        Values(
            decisions=[value for output in outputs for _, value in output.decisions],
            outcomes=[value for output in outputs for _, value in output.outcomes],
            examples=[value for output in outputs for _, value in output.examples],
            dead_letters=[value for output in outputs for _, value in output.dead_letters],
        ),
    )


def exchange(processors: Mapping[int, Processor]) -> None:
    """Hand over what partitions have to say to each other, until none has anything more to say."""
    said = True
    while said:
        said = False
        for processor in processors.values():
            for target, messages in processor.output.take_identities().items():
                said = True
                processors[target].process(
                    decode_identity(offset, value) for offset, (_, value) in enumerate(messages)
                )


def in_event_time(topics: Iterable[Iterable[Arrival]]) -> Iterable[Arrival]:
    """The earliest head of all topics first, of equal ones that of the first topic; offsets keep their order.

    ``heapq.merge`` compares heads only, so it is the rule of ``streams.delivery.merge`` in other words.
    """
    return merge(*topics, key=lambda arrival: arrival.event.ts_ms if arrival.event else 0)
