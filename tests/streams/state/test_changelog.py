import asyncio

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewPartitions
from traffic import T0_MS, arrivals, new_processor, view

from schemas.topics import VIEWS
from streams.admin import open_admin
from streams.settings import Processing, State
from streams.state.changelog import RefusedStateError, newest_positions, restore
from streams.state.partition import PartitionState
from streams.state.rows import NEWEST_VERSION, encode_key


def restored(log, partition):
    state = PartitionState(State(), Processing())
    asyncio.run(restore(log.kafka, partition, state))
    return state


def checkpoint(partitions, users=1):
    """A checkpoint of some users' views in an installation of so many partitions."""
    processor = new_processor()
    processor.state.partitions = partitions
    processor.process(arrivals(view(T0_MS + i, f"u{i}") for i in range(users)))
    return processor.state.drain()


def test_a_state_comes_back_with_the_number_of_its_partitions(log):
    """What was committed is there, and the next checkpoint will say for how many partitions it holds."""
    log.write(0, checkpoint(partitions=2))
    state = restored(log, 0)
    assert (1, 2, True) == (len(state.profiles), state.partitions, state.restored)


def test_a_changelog_that_never_said_its_partitions_is_taken(log):
    """The first release did not write the number: it is believed once, and written from then on."""
    log.write(0, checkpoint(partitions=0))
    assert 2 == restored(log, 0).partitions


def test_a_new_installation_starts_empty(log):
    """Without a changelog anywhere a partition is new."""
    state = restored(log, 0)
    assert (0, 2, False) == (len(state.profiles), state.partitions, state.restored)


def test_a_partition_beside_others_of_the_same_number_may_be_new(log):
    """A partition to which no event has come yet starts empty."""
    log.write(0, checkpoint(partitions=2))
    assert not restored(log, 1).restored


def test_another_number_of_partitions_is_refused(log):
    """Users would be parted from their state: the error names both numbers and the way out."""
    log.write(0, checkpoint(partitions=1))
    expected = (
        r"laid out for 1 partitions, but the input topics have 2.*`headrace repartition --partitions 2`"
    )
    with pytest.raises(RefusedStateError, match=expected):
        restored(log, 0)


def test_a_partition_that_somebody_added_is_refused(log):
    """The new partition has no state, but its users have one elsewhere."""
    log.write(0, checkpoint(partitions=1))
    with pytest.raises(RefusedStateError, match="laid out for 1 partitions"):
        restored(log, 1)


def test_topics_of_different_numbers_are_refused(log):
    """A user's views and clicks would lie in different partitions."""
    with open_admin(log.kafka) as admin:
        add_partitions(admin, VIEWS.name, 3)
    with pytest.raises(RefusedStateError, match=r"views 3, clicks 2.*`headrace repartition --partitions 3`"):
        restored(log, 0)


def test_a_damaged_record_is_named_by_its_offset(log):
    """The operator hears which partition, which record and which kind of row."""
    records = checkpoint(partitions=2)
    place = next(i for i, (key, _) in enumerate(records) if key[:1] == b"P")
    key, value = records[place]
    records[place] = key, value[:20] + b"\xff" + value[21:]
    log.write(1, records)
    with pytest.raises(
        RefusedStateError,
        match=rf"headrace-state\[1\], offset {place}: profiles: the checksum does not match",
    ):
        restored(log, 1)


def test_a_newer_record_is_named_with_the_way_back(log):
    """A release that was rolled back says which version it found and how to get rid of it."""
    log.write(0, [(encode_key(b"P", 1), bytes([NEWEST_VERSION + 1]) + b"?")])
    expected = rf"\[0\], offset 0: .*got {NEWEST_VERSION + 1} .*state\.write_version={NEWEST_VERSION} "
    with pytest.raises(RefusedStateError, match=expected):
        restored(log, 0)


@pytest.mark.parametrize("users", [0, 1, 50])
def test_the_newest_positions_are_found_from_the_end(log, users):
    """However much was written after them, the last ones count."""
    log.write(0, checkpoint(partitions=2))
    log.write(0, checkpoint(partitions=2, users=3))
    log.write(0, [(key, value) for key, value in checkpoint(2, users) if key[:1] == b"P"])

    async def newest():
        return [await newest_positions(log.kafka, partition) for partition in range(2)]

    row, nothing = asyncio.run(newest())
    assert 3 == row["offsets"][0]
    assert nothing is None


def add_partitions(admin: KafkaAdminClient, topic: str, count: int) -> None:
    admin.create_partitions({topic: NewPartitions(count)})
