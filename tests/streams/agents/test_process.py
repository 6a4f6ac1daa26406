import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from msgspec.json import encode
from traffic import CATALOG, SETTINGS, T0_MS, exposure

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import INPUTS, VIEWS
from streams.adoption.inputs import CONTRACT, inputs_of
from streams.adoption.mapping import loads
from streams.agents import process
from streams.agents.process import ProcessJob
from streams.delivery.fetching import Row
from streams.delivery.transport import Mark
from streams.settings import Adoption
from streams.state.changelog import RefusedStateError, check_inputs
from streams.state.partition import PartitionState

CHUNK, LIMIT, EVENTS = 10, 50, 200
TURNS = 1000
"""Of the event loop, in which a job that may go on would long be through."""


class BlockedTransactions:
    """A broker whose commits stay under way until it is told to go on."""

    def __init__(self):
        self.go_on = asyncio.Event()

    async def commit(self, messages, offsets):
        await self.go_on.wait()


def new_job(inputs=CONTRACT):
    catalog = Catalog(SETTINGS.learning.bits)
    catalog.extend(CATALOG)
    weights = ServingWeights("ctr", SETTINGS.learning.bits)
    return ProcessJob(0, SETTINGS, "group", catalog, weights, SimpleNamespace(), inputs)


def rows():
    events = [exposure(T0_MS + n, f"u{n}", propensity=0.5) for n in range(EVENTS)]
    return [Row(offset, event.ts_ms, None, encode(event)) for offset, event in enumerate(events)]


def test_processing_waits_for_a_slow_broker(monkeypatch):
    """With too much waiting for a transaction nothing is processed until the one under way is through."""
    monkeypatch.setattr(process, "CHUNK", CHUNK)
    monkeypatch.setattr(process, "MAX_UNCOMMITTED", LIMIT)

    async def scenario():
        job = new_job()
        job._transactions = BlockedTransactions()
        job._start_commit()
        marks = {TP(topic.name, 0): Mark(0, 0) for topic in INPUTS}
        taking = asyncio.create_task(job.take({TP(VIEWS.name, 0): rows()}, marks, 1))
        for _ in range(TURNS):
            await asyncio.sleep(0)
        before = job.processor.state.counters["exposures"]
        job._transactions.go_on.set()
        await taking
        return before, job.processor.state.counters["exposures"]

    assert (LIMIT + CHUNK, EVENTS) == asyncio.run(scenario())


MAPPING = """
[[topics]]
name = "web"
[[topics.rules]]
event = "exposure"
when = { "$.e" = ["shown"] }
fields.event_id = { place = true }
fields.user_id = { path = "$.u" }
fields.ts_ms = { path = "$.t" }
fields.ad_id = { path = "$.ad" }
fields.propensity = { value = 0.5 }
[[topics.rules]]
event = "ignore"
when = { "$.e" = ["ping"] }
"""


def test_foreign_records_are_processed_and_ignored_ones_are_read():
    """Of another system's topic some have an effect, some are refused; the offset is behind all of them."""
    inputs = inputs_of(loads(MAPPING), Adoption())
    shown = b'{"e":"shown","u":"u1","ad":"a","t":%d}' % T0_MS
    values = [shown, b'{"e":"ping"}', b"?", shown, b'{"e":"ping"}']

    async def scenario():
        job = new_job(inputs)
        await job.take(
            {TP("web", 0): [Row(number, T0_MS, None, value) for number, value in enumerate(values)]},
            {TP("web", 0): Mark(5, 5)},
            1,
        )
        return job

    job = asyncio.run(scenario())
    state = job.processor.state
    assert (2, 1) == (state.counters["exposures"], state.counters["dead_letters"])
    assert ({TP("web", 0): 5}, []) == (job._offsets(), job.full())


def test_a_state_of_other_topics_is_refused():
    """Its offsets would be those of records that are not there."""
    inputs = inputs_of(loads(MAPPING), Adoption())
    state = PartitionState(SETTINGS.state, SETTINGS.processing)
    check_inputs(state, inputs.identity, inputs.read)
    restored = PartitionState(SETTINGS.state, SETTINGS.processing)
    restored.restore(state.drain())
    check_inputs(restored, inputs.identity, inputs.read)
    with pytest.raises(RefusedStateError, match="made from other topics than `views`, `clicks`, `purchases`"):
        check_inputs(restored, CONTRACT.identity, CONTRACT.read)
