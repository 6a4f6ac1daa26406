"""The bridge, and the check that says when it is needed."""

import asyncio
from collections import Counter
from uuid import uuid4

import msgspec
import orjson
import pytest
from aiokafka.errors import ProducerFenced
from foreign_by_hand import BY_HAND
from msgspec.structs import replace

from schemas.dead_letters import decode_dead_letter
from schemas.events import Event
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.admin import NoBrokerError, open_admin
from streams.adoption import bridge as bridging
from streams.adoption.bridge import bridge
from streams.adoption.keying import KeyingError, check_keys
from streams.adoption.mapping import MappingError, loads
from streams.bench.foreign import generate
from streams.delivery.clients import confirm, new_producer, send
from streams.delivery.restore import read_all
from streams.embedded.process import free_port
from streams.routing import partition_of
from streams.settings import Adoption, Kafka, Settings
from streams.topics import create_topics

RECORDS, PARTITIONS, FOREIGN_PARTITIONS = 300, 2, 3
MAPPING = (bridging.__file__).replace("bridge.py", "mappings/retailrocket.toml")


def shop(broker, keyed):
    """Settings of a broker with the contract's topics and a foreign one, keyed by the user or by nothing."""
    settings = Settings(kafka=Kafka(bootstrap_servers=broker, partitions=PARTITIONS, group_id=f"g-{uuid4()}"))
    topic = f"retailrocket-{uuid4()}"
    with open_admin(settings.kafka) as admin:
        create_topics(admin, settings.kafka)
        admin.create_topics({topic: {"num_partitions": FOREIGN_PARTITIONS, "replication_factor": 1}})
    records = list(generate("retailrocket", RECORDS, seed=2))

    async def load():
        producer = new_producer(settings.kafka)
        await producer.start()
        for number in range(FOREIGN_PARTITIONS):
            mine = [
                record
                for place, record in enumerate(records)
                if number
                == (partition_of(record[0], FOREIGN_PARTITIONS) if keyed else place % FOREIGN_PARTITIONS)
            ]
            await confirm(await send(producer, topic, number, mine), 10)
        await confirm(await send(producer, topic, 0, [(None, b"?")]), 10)
        await producer.stop()

    asyncio.run(load())
    return settings, topic, [value for _, value in records]


def mapping_of(topic, directory=None):
    """The mapping that ships, for another topic; a file in a directory."""
    with open(MAPPING) as file:
        text = file.read().replace('name = "retailrocket"', f'name = "{topic}"')
    if directory is None:
        return loads(text)
    path = directory / "mapping.toml"
    path.write_text(text)
    return Adoption(mapping=str(path))


def run(settings, mapping):
    """Carry over what there is."""
    return asyncio.run(bridge(settings, mapping, asyncio.Event(), lambda records: None, once=True))


def left(settings, topic, partitions=PARTITIONS):
    """Partition, key and value of all that is committed on a topic."""

    async def read():
        return [
            (number, key, value)
            for number in range(partitions)
            async for key, value in read_all(settings.kafka, topic, number)
        ]

    return asyncio.run(read())


def test_every_record_is_carried_over_once(fresh_broker):
    """By its user's key, in the contract's shape, or as a dead letter; a second time there is nothing."""
    settings, topic, values = shop(fresh_broker, keyed=False)
    report, again = run(settings, mapping_of(topic)), run(settings, mapping_of(topic))
    assert (RECORDS + 1, 0, 1, 0) == (report.records, report.ignored, report.dead_letters, again.records)
    found = [record for each in INPUTS for record in left(settings, each.name)]
    expected = Counter(map(repr, (BY_HAND["retailrocket"](orjson.loads(value)) for value in values)))
    events = [msgspec.json.decode(value, type=Event) for _, _, value in found]
    assert expected == Counter(map(repr, events))
    assert all(
        (event.user_id.encode(), partition_of(key, PARTITIONS)) == (key, number)
        for event, (number, key, _) in zip(events, found, strict=True)
    )
    [(_, _, letter)] = left(settings, DEAD_LETTERS.name)
    assert (topic, b"?") == (decode_dead_letter(letter).topic, decode_dead_letter(letter).raw)


def test_partitions_come_in_the_order_of_event_time(fresh_broker):
    """However the records lie on foreign partitions, a user's events arrive in their order."""
    settings, topic, _ = shop(fresh_broker, keyed=False)
    run(settings, mapping_of(topic))
    for number in range(PARTITIONS):
        times = [orjson.loads(value)["ts_ms"] for at, _, value in left(settings, "views") if at == number]
        assert sorted(times) == times
        assert times


def test_a_bridge_that_fails_before_its_commit_has_carried_nothing(fresh_broker, monkeypatch):
    """The next one finds all records where they were, and none twice."""
    settings, topic, _ = shop(fresh_broker, keyed=True)
    confirmed = bridging.confirm

    async def failing(futures, timeout_s):
        await confirmed(futures, timeout_s)
        raise ConnectionResetError("the wire broke")

    monkeypatch.setattr(bridging, "confirm", failing)
    with pytest.raises(ConnectionResetError):
        run(settings, mapping_of(topic))
    monkeypatch.undo()
    assert RECORDS + 1 == run(settings, mapping_of(topic)).records
    assert RECORDS == sum(len(left(settings, each.name)) for each in INPUTS)


def test_a_second_bridge_fences_the_first(fresh_broker, monkeypatch):
    """The first one's transaction fails, and nothing of it is seen."""
    settings, topic, _ = shop(fresh_broker, keyed=True)
    confirmed, mapping = bridging.confirm, mapping_of(topic)

    async def overtaken(futures, timeout_s):
        await confirmed(futures, timeout_s)
        monkeypatch.undo()
        await bridge(settings, mapping, asyncio.Event(), lambda records: None, once=True)

    monkeypatch.setattr(bridging, "confirm", overtaken)
    with pytest.raises(ProducerFenced):
        run(settings, mapping)
    assert RECORDS == sum(len(left(settings, each.name)) for each in INPUTS)


def test_keys_are_looked_at_before_a_worker_starts(fresh_broker, tmp_path):
    """A topic that is keyed by the user may be read; of another one the sentence says the way out."""
    settings, topic, _ = shop(fresh_broker, keyed=True)
    check_keys(replace(settings, adoption=mapping_of(topic, tmp_path)))
    settings, topic, _ = shop(fresh_broker, keyed=False)
    with pytest.raises(KeyingError, match=r"users of a sample of .* in several: .*`headrace adopt bridge`"):
        check_keys(replace(settings, adoption=mapping_of(topic, tmp_path)))
    with pytest.raises(KeyingError, match=r"has no topic `nowhere`; adoption\.mapping names it"):
        check_keys(replace(settings, adoption=mapping_of("nowhere", tmp_path)))


def test_a_worker_without_a_broker_or_a_mapping_is_told_so(tmp_path):
    """Each has its sentence."""
    kafka = Kafka(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(NoBrokerError):
        check_keys(Settings(kafka=kafka, adoption=mapping_of("t", tmp_path)))
    with pytest.raises(MappingError):
        check_keys(Settings(kafka=kafka, adoption=Adoption(mapping=str(tmp_path / "none.toml"))))
