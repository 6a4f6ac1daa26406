import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from msgspec.json import encode
from msgspec.structs import replace
from traffic import CATALOG, SETTINGS, T0_MS, exposure, view

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import IDENTITIES, INPUTS, OUTCOMES, STATE, VIEWS
from streams.adoption.inputs import CONTRACT, inputs_of
from streams.adoption.mapping import loads
from streams.agents import process
from streams.agents.process import ProcessJob, WaitingJob
from streams.delivery.fetching import Row
from streams.delivery.transport import Mark
from streams.processor.arrival import decode_identity
from streams.processor.identities import Claim, encode_identity
from streams.routing import partition_hash, partition_of
from streams.settings import Adoption, State
from streams.state.changelog import RefusedStateError, check_inputs
from streams.state.lookup import user_key
from streams.state.partition import PartitionState
from streams.state.rows import decode_rows

CHUNK, LIMIT, EVENTS = 10, 50, 200
TURNS = 1000
"""Of the event loop, in which a job that may go on would long be through."""


class BlockedTransactions:
    """A broker whose commits stay under way until it is told to go on."""

    def __init__(self):
        self.go_on = asyncio.Event()

    async def commit(self, messages, offsets):
        await self.go_on.wait()


class RecordingTransactions:
    """A broker that takes everything at once, and remembers what."""

    def __init__(self):
        self.messages, self.offsets = {}, {}

    async def commit(self, messages, offsets):
        for place, batch in messages.items():
            self.messages.setdefault(place, []).extend(batch)
        self.offsets |= offsets


def new_job(inputs=CONTRACT, settings=SETTINGS):
    catalog = Catalog(settings.learning.bits)
    catalog.extend(CATALOG)
    weights = ServingWeights("ctr", settings.learning.bits)
    return ProcessJob(0, settings, "group", catalog, weights, SimpleNamespace(), inputs)


def rows():
    events = [exposure(T0_MS + n, f"u{n}", propensity=0.5) for n in range(EVENTS)]
    return [Row(offset, event.ts_ms, None, encode(event)) for offset, event in enumerate(events)]


def test_processing_waits_for_a_slow_broker(monkeypatch):
    """With too much waiting for a transaction nothing is processed until the one under way is through."""
    monkeypatch.setattr(process, "CHUNK", CHUNK)
    settings = replace(SETTINGS, processing=replace(SETTINGS.processing, max_uncommitted=LIMIT))

    async def scenario():
        job = new_job(settings=settings)
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


def test_a_full_partition_begins_its_transaction_at_once(monkeypatch):
    """What may wait is a bound, not a pause: it does not last until the next checkpoint is due."""
    monkeypatch.setattr(process, "CHUNK", CHUNK)
    processing = replace(SETTINGS.processing, max_uncommitted=LIMIT, checkpoint_interval_s=1e6)

    async def scenario():
        job = new_job(settings=replace(SETTINGS, processing=processing))
        job._transactions = RecordingTransactions()
        marks = {TP(topic.name, 0): Mark(0, 0) for topic in INPUTS}
        await job.take({TP(VIEWS.name, 0): rows()}, marks, 1)
        await job._await_commit()
        return len(job._transactions.messages[OUTCOMES.name, 0]), job.processor.output.uncommitted

    committed, waiting = asyncio.run(scenario())
    assert EVENTS == committed + waiting
    assert waiting <= LIMIT + CHUNK


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


PARTITIONS = 2
LOGIN = view(T0_MS + 10, "known", anonymous_id="anonymous")
CLAIM = Claim(1, 7, user_key("main", "anonymous"), T0_MS + 10)
IDENTITY_TP = TP(IDENTITIES.name, 0)


def poll(rows, behind=False, identity_position=0):
    """Values by topic, and how far reading has come."""
    found = {
        TP(topic, 0): [Row(offset, T0_MS, None, value) for offset, value in enumerate(values)]
        for topic, values in rows.items()
    }
    marks = {TP(topic.name, 0): Mark(0, 1 if behind else 0) for topic in INPUTS}
    return found, marks | {IDENTITY_TP: Mark(identity_position, 99)}


def after_each(*polls, settings=SETTINGS, changelog=()):
    """A job that has taken polls and committed what came of each; with the offsets after each of them."""

    async def scenario():
        job = new_job(settings=settings)
        job._transactions = RecordingTransactions()
        job.processor.state.partitions = PARTITIONS
        job.processor.state.restore(changelog)
        offsets = []
        for rows, marks in polls:
            await job.take(rows, marks, 1)
            await job.finish()
            offsets.append(dict(job._transactions.offsets))
        return job, offsets

    return asyncio.run(scenario())


def test_a_claim_is_part_of_the_transaction():
    """It goes to the anonymous user's partition, together with the offset of the login."""
    job, (offsets,) = after_each(poll({VIEWS.name: [encode(LOGIN)]}))
    target = partition_of(b"anonymous", PARTITIONS)
    ((_, value),) = job._transactions.messages[IDENTITIES.name, target]
    expected = Claim(user_key("main", "known"), partition_hash("known"), CLAIM.anonymous, LOGIN.ts_ms)
    assert expected == decode_identity(0, value).event
    assert (1, False) == (offsets[TP(VIEWS.name, 0)], IDENTITY_TP in offsets)


def test_a_claim_takes_effect_behind_the_events_before_it():
    """What comes later is not part of it; stream time goes by events alone."""
    views = [encode(view(T0_MS + 20 * n, "anonymous")) for n in range(3)]
    job, (offsets,) = after_each(poll({VIEWS.name: views, IDENTITIES.name: [encode_identity(CLAIM)]}))
    ((_, value),) = job._transactions.messages[IDENTITIES.name, CLAIM.user_hash % PARTITIONS]
    (sent,) = decode_rows(b"P", [decode_identity(0, value).event.profile])
    (left,) = job.processor.state.profiles
    assert (1, 2, T0_MS + 40, 1) == (
        sent["views"], left["views"], job.processor.state.stream_ms, offsets[IDENTITY_TP],
    )  # fmt: skip


def test_a_claim_does_not_hold_up_the_clock():
    """An idle partition grows older although others ask it for profiles."""
    first = poll({VIEWS.name: [encode(view(T0_MS, "u1"))]})
    claimed = poll({IDENTITIES.name: [encode_identity(CLAIM)]})
    arrived = []

    async def scenario():
        job = new_job()
        job._transactions = RecordingTransactions()
        for rows, marks in (first, claimed):
            await job.take(rows, marks, 1)
            arrived.append((job._arrived_at_s, job._arrived_stream_ms))
        await job.finish()

    asyncio.run(scenario())
    assert arrived[0] == arrived[1]


def test_a_claim_waits_where_events_before_it_may_come():
    """While the broker is known to hold events that have not come, nothing is taken, nor its offset moved."""
    early = poll({IDENTITIES.name: [encode_identity(CLAIM)]}, behind=True, identity_position=1)
    _, (before, after) = after_each(early, poll({}, identity_position=1))
    assert ({}, 1) == (before, after[IDENTITY_TP])


def test_markers_are_passed():
    """A transaction's end takes an offset: once retention has removed it, nothing must seem to be missing."""
    claimed = poll({IDENTITIES.name: [encode_identity(CLAIM)]}, identity_position=2)
    job, (offsets,) = after_each(claimed)
    assert 2 == offsets[IDENTITY_TP]
    restored, _ = after_each(changelog=job._transactions.messages[STATE.name, 0])
    assert 2 == restored._offsets()[IDENTITY_TP]


def test_identities_are_left_where_they_are_while_an_older_release_may_take_over():
    """With an older ``state.write_version`` nothing is read of them, and no offset says so."""
    rows = {VIEWS.name: [encode(LOGIN)], IDENTITIES.name: [encode_identity(CLAIM)]}
    older = replace(SETTINGS, state=State(write_version=2))
    job, (offsets,) = after_each(poll(rows, identity_position=1), settings=older)
    assert (0, False) == (job.processor.state.identity_offset, IDENTITY_TP in offsets)
    assert {STATE.name} == {topic for topic, _ in job._transactions.messages}


def test_identities_alone_are_no_work():
    """While an older release has the events of a partition, its identities are read by nobody."""

    async def scenario():
        job = WaitingJob()
        opened = await job.open()
        await job.take(*poll({IDENTITIES.name: [b"not even looked at"]}), 1)
        await job.finish()
        await job.close()
        return opened, job.full()

    assert ({}, ()) == asyncio.run(scenario())
