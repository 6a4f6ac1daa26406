import asyncio
from types import SimpleNamespace

from faust.types import TP
from msgspec.json import encode
from traffic import CATALOG, SETTINGS, T0_MS, exposure

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import INPUTS, VIEWS
from streams.agents import process
from streams.agents.process import ProcessJob
from streams.delivery.fetching import Row
from streams.delivery.transport import Mark

CHUNK, LIMIT, EVENTS = 10, 50, 200
TURNS = 1000
"""Of the event loop, in which a job that may go on would long be through."""


class BlockedTransactions:
    """A broker whose commits stay under way until it is told to go on."""

    def __init__(self):
        self.go_on = asyncio.Event()

    async def commit(self, messages, offsets):
        await self.go_on.wait()


def new_job():
    catalog = Catalog(SETTINGS.learning.bits)
    catalog.extend(CATALOG)
    weights = ServingWeights("ctr", SETTINGS.learning.bits)
    return ProcessJob(0, SETTINGS, "group", catalog, weights, decisions=SimpleNamespace())


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
