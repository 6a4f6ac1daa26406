"""Profiles that are laid on changelogs for the measurement."""

import orjson
import pytest

from streams.bench.recovery.content import state_records, table_records, user_id
from streams.settings import Settings
from streams.state.partition import PartitionState


def test_a_worker_can_restore_them() -> None:
    """What is laid on a partition is what a worker restores: that many profiles, each seen once."""
    settings = Settings()
    state = PartitionState(settings.state, settings.processing)
    state.restore(record for records in state_records(settings, 1, 2500) for record in records)
    assert 2500 == len(state.profiles)
    assert {1} == {int(row["views"]) for row in state.profiles}


@pytest.mark.parametrize("partitions", [1, 8])
def test_the_peer_keeps_the_same_users(partitions: int) -> None:
    """Its table has a row for each user, on the partition that Faust's producer would choose."""
    keys = [(partition, key) for partition, records in table_records(2500, partitions) for key, _ in records]
    assert {orjson.dumps(user_id(number)) for number in range(2500)} == {key for _, key in keys}
    assert set(range(partitions)) == {partition for partition, _ in keys}
