"""Anonymous users among the events of the fault bench."""

import pytest

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import CLICKS, INPUTS, PURCHASES
from streams.bench.faults.logins import EVENTS_A_USER, RECLAIM_AFTER_S, SHARE, with_logins
from streams.bench.faults.oracle import exchange, in_event_time
from streams.bench.mix import Mix, generate
from streams.processor.arrival import decode
from streams.processor.processor import Processor
from streams.routing import partition_of
from streams.settings import Identity, Settings
from streams.state.lookup import user_key

EVENTS, PARTITIONS = 4000, 3
USERS = int(SHARE * EVENTS) // EVENTS_A_USER
SETTINGS = Settings(identity=Identity(RECLAIM_AFTER_S))


@pytest.fixture(scope="module")
def mix() -> Mix:
    """The standard mix."""
    return generate(EVENTS, 1, PARTITIONS)


@pytest.fixture(scope="module")
def linked(mix: Mix) -> Mix:
    """The same with logins."""
    return with_logins(mix, 1, PARTITIONS)


def test_the_mix_is_all_there_and_what_is_added_lies_by_its_key(mix: Mix, linked: Mix) -> None:
    """One event of a hundred is of a user who logs in; views, whose offsets name decisions, are as before."""
    added = 0
    for (topic, partition), rows in linked.records.items():
        before = mix.records.get((topic, partition), [])
        new = [row for row in rows if row not in before]
        assert before == [row for row in rows if row not in new]
        assert all(partition == partition_of(key, PARTITIONS) for key, _, _ in new)
        assert topic in (CLICKS.name, PURCHASES.name) or not new
        assert rows == sorted(rows, key=lambda row: row[2])
        added += len(new)
    assert USERS * EVENTS_A_USER == added


def test_the_oracle_makes_one_profile_of_two(linked: Mix) -> None:
    """All that partitions have to say to each other is handed over; nobody is anonymous in the end."""
    processors = {}
    for partition in range(PARTITIONS):
        processor = processors[partition] = Processor(
            partition,
            SETTINGS,
            Catalog(SETTINGS.learning.bits),
            ServingWeights("ctr", SETTINGS.learning.bits),
        )
        processor.state.partitions = PARTITIONS
        processor.process(
            in_event_time(
                [
                    decode(number, partition, offset, ts_ms, value, 10**9)
                    for offset, (_, value, ts_ms) in enumerate(
                        linked.records.get((topic.name, partition), [])
                    )
                ]
                for number, topic in enumerate(INPUTS)
            )
        )
    exchange(processors)
    found = {
        int(row["key"]): (row["clicks"], row["purchases"])
        for processor in processors.values()
        for row in processor.state.profiles
    }
    keys = [(user_key("main", f"known-{n}"), user_key("main", f"anonymous-{n}")) for n in range(USERS)]
    assert [(EVENTS_A_USER - 1, 1)] * USERS == [found[known] for known, _ in keys]
    assert [] == [anonymous for _, anonymous in keys if anonymous in found]
    claims = sum(processor.state.counters["claims"] for processor in processors.values())
    assert 2 * USERS == claims
