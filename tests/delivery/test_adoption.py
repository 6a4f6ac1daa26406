"""A worker over another system's topic, in shadow."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from delivery.bed import TIMEOUT_S, Worker, bed
from delivery.conftest import SETTINGS, own_group
from delivery.results import assert_same
from msgspec.structs import replace

from models.catalog import Catalog
from models.serving import ServingWeights
from streams.adoption.inputs import Inputs, open_inputs, shadow_topics
from streams.bench.faults.log import records_of
from streams.bench.faults.results import Results, Values, left_results, of_states
from streams.bench.foreign import generate
from streams.delivery.clients import Message, confirm, new_producer, send
from streams.lag import wait_until_read
from streams.processor.processor import Processor
from streams.routing import partition_of
from streams.settings import Adoption, Settings
from streams.topics import create_topics

TOPIC, RECORDS, PARTITIONS = "retailrocket", 2_000, 2
SLOTS = '[[topics.rules.slots]]\nfields.slot_id = { value = "item-side" }\n\n'
PINGS = '[[topics.rules]]\nevent = "ignore"\nwhen = { "$.event" = ["ping"] }\n'


def mapping_in(directory: Path) -> Path:
    """The mapping that ships, which asks for a decision at every view and ignores pings."""
    text = (files("streams.adoption") / "mappings" / "retailrocket.toml").read_text()
    views, click, others = text.partition('[[topics.rules]]\nevent = "click"')
    path = directory / "mapping.toml"
    path.write_text(views + SLOTS + click + others + PINGS)
    return path


def stream(partitions: int) -> list[list[Message]]:
    """By partition a shop's records, and after every tenth one that is ignored, or is broken."""
    made: list[list[Message]] = [[] for _ in range(partitions)]
    for number, (key, value) in enumerate(generate(TOPIC, RECORDS, seed=4)):
        mine = made[partition_of(key, partitions)]
        mine.append((key, value))
        if number % 10 == 9:
            mine.append((key, b'{"event":"ping"}' if number % 20 == 9 else b'{"event":"view"}'))
    return made


async def lay(settings: Settings, records: list[list[Message]]) -> None:
    """On the foreign topic."""
    producer = new_producer(settings.kafka)
    await producer.start()
    for number, messages in enumerate(records):
        await confirm(await send(producer, TOPIC, number, messages), TIMEOUT_S)
    await producer.stop()


def checked(worker: Worker) -> Callable[[int, int], None]:
    """Progress that raises if the worker has ended."""
    return lambda done, total: worker.check()


def test_a_foreign_topic_is_processed_once_and_serves_nobody(fresh_broker: str, tmp_path: Path) -> None:
    """Through kills all that is left is what the pure processor makes; decisions are in the shadow alone."""
    kafka = own_group(replace(SETTINGS.kafka, bootstrap_servers=fresh_broker, partitions=PARTITIONS))
    settings = replace(SETTINGS, kafka=kafka, adoption=Adoption(mapping=str(mapping_in(tmp_path))))
    inputs, records = open_inputs(settings.adoption), stream(kafka.partitions)
    halves = [each[: len(each) // 2] for each in records], [each[len(each) // 2 :] for each in records]
    with bed(settings, tmp_path, expires_sessions=False) as shop:
        shop.ask(lambda admin: create_topics(admin, kafka, shadow_topics(inputs)))
        shop.ask(lambda admin: create_topics(admin, kafka))
        replicas = {"num_partitions": kafka.partitions, "replication_factor": 1}
        shop.ask(lambda admin: admin.create_topics({TOPIC: replicas}))
        for half in halves:
            asyncio.run(lay(settings, half))
            worker = shop.start()
            wait_until_read(kafka, shop.groups[0], inputs.read, TIMEOUT_S, checked(worker))
            worker.kill()

    left = left_results(settings)
    stream_ms = {partition: progress["stream_ms"] for partition, progress in left.progress.items()}
    assert {} == left.decisions
    [shadow] = shadow_topics(inputs)
    found = [record.value for each in records_of(kafka, shadow).values() for record in each]
    expected = processed(settings, inputs, stream_ms)
    assert_same(expected, left._replace(decisions=of_states({}, Values(found, [], [], [])).decisions))
    assert len(expected.decisions) > RECORDS / 2
    assert RECORDS // 20 == len(expected.dead_letters)
    assert {TOPIC} == {topic for topic, _, _ in left.dead_letters}


def processed(settings: Settings, inputs: Inputs, stream_ms: dict[int, int]) -> Results:
    """What the pure processor makes of the foreign records."""
    states, values = {}, Values([], [], [], [])
    for partition, records in records_of(settings.kafka, inputs.read[0]).items():
        processor = Processor(partition, settings, Catalog(settings.learning.bits), ServingWeights("ctr", 18))
        arrivals = [
            inputs.decode(0, partition, each.offset, each.timestamp, each.value, 0) for each in records
        ]
        processor.state.partitions, processor.state.inputs = PARTITIONS, inputs.identity
        processor.process(each for each in arrivals if each.event or each.reason)
        processor.state.offsets[0] = records[-1].offset + 1
        processor.advance(stream_ms[partition])
        made = processor.output.take_decisions(), *processor.output.take_committed()
        for into, those in zip(values, made, strict=True):
            into += [value for _, value in those]
        states[partition] = processor.state
    return of_states(states, values)
