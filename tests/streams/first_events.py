"""A shop's first events, processed and learned after a rehearsal; run as a program.

It prints kernels and types that had to be compiled, or loaded from the cache, in spite of the rehearsal, a
line each. ``--unrehearsed`` leaves the rehearsal out.
"""

import gc
import sys

from numba.core.dispatcher import Dispatcher

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.examples import decode_example
from schemas.model import decode_model_record
from schemas.topics import INPUTS
from streams.agents.learn import learner_of
from streams.bench.mix import generate
from streams.delivery.merge import EventTimeMerge
from streams.processor.arrival import Arrival, decode
from streams.processor.processor import Processor
from streams.rehearsal import rehearse
from streams.settings import Settings

EVENTS, RUN = 8_000, 500
AFTER_MS = 10**10  # all windows have closed


def kernels() -> set[str]:
    """What this process holds ready."""
    return {
        f"{each.py_func.__module__}.{each.py_func.__name__}{signature}"
        for each in gc.get_objects()
        if isinstance(each, Dispatcher)
        for signature in each.signatures
    }


def work(settings: Settings) -> None:
    """What a worker does with the standard mix, and again after a restart."""
    mix = generate(EVENTS, seed=1, partitions=1)
    catalog, weights = Catalog(settings.learning.bits), ServingWeights("ctr", settings.learning.bits)
    catalog.extend(mix.catalog)
    processor, learner = Processor(0, settings, catalog, weights), learner_of(settings)
    events = EventTimeMerge[Arrival]()
    for place, topic in enumerate(INPUTS):
        records = enumerate(mix.records[topic.name, 0])
        events.add(
            place, [decode(place, 0, offset, ts_ms, value, 0) for offset, (_, value, ts_ms) in records]
        )
        events.mark(place, behind=False)
    changes, learned = [], 0
    while ready := events.ready(RUN):
        processor.process(ready)
        _, examples, _ = processor.output.take_committed()
        learned += len(examples)
        learner.learn([decode_example(value) for _, value in examples], learned)
        for _, value in learner.publish():
            if value is not None:
                weights.apply(decode_model_record(value))
        changes += processor.state.drain()
    processor.advance(processor.state.stream_ms + AFTER_MS)
    restarted = Processor(0, settings, catalog, weights)
    restarted.state.restore(changes)
    restarted.restored()


if __name__ == "__main__":
    settings = Settings()
    if "--unrehearsed" not in sys.argv:
        rehearse(settings, ("process", "learn"))
    before = kernels()
    work(settings)
    for kernel in sorted(kernels() - before):
        print(kernel)
