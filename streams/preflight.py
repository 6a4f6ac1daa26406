"""What a worker looks for before it starts: what is not there is one sentence then, not a crash later."""

import asyncio
from collections.abc import Collection
from contextlib import closing

from kafka import KafkaAdminClient

from streams.admin import ask, open_admin
from streams.adoption.inputs import Inputs, expected_topics, open_inputs
from streams.delivery.restore import open_reader, partition_counts
from streams.settings import ClickHouse, Kafka, Role, Settings
from streams.sinks.store import NOT_MADE_SO_FAR, NOT_MADE_YET, RefusedError, UncertainError, open_store
from streams.state.changelog import count_input_partitions


class NotReadyError(RuntimeError):
    """Something that a worker needs is not there, or not as it must be."""


def preflight(settings: Settings, roles: Collection[Role]) -> list[str]:
    """What a worker with these roles lacks for now and can start without, one sentence each.

    Raises:
        NoBrokerError: Nobody answered, or not to us.
        MissingTopicError, RefusedStateError: A topic is not there, or differs in its number of partitions.
        MappingError: The mapping of another system's topics cannot be used.
        NotReadyError: ClickHouse is not there, knows us not, or lacks its tables.
        kafka.errors.KafkaError, aiokafka.errors.KafkaError: The broker failed.
    """
    inputs = open_inputs(settings.adoption)
    with open_admin(settings.kafka):  # waits for a broker that is not there no longer than it must
        pass
    group_id = f"{settings.kafka.group_id}-sink"
    asyncio.run(_check_topics(settings.kafka, inputs))
    if "sink" not in roles:
        return []
    return _check_store(settings.clickhouse, ask(settings.kafka, lambda admin: _has_stored(admin, group_id)))


def _has_stored(admin: KafkaAdminClient, group_id: str) -> bool:
    """Whether a sink has ever had a block stored: only then an offset beyond the first is committed."""
    offsets = admin.list_group_offsets({group_id: None})[group_id]
    return any(each.offset > 0 for each in offsets.values())


async def _check_topics(kafka: Kafka, inputs: Inputs) -> None:
    async with open_reader(kafka) as reader:
        await partition_counts(reader, [topic.name for topic in expected_topics(inputs)])
        await count_input_partitions(reader, inputs.read)


def _check_store(clickhouse: ClickHouse, has_stored: bool) -> list[str]:
    try:
        with closing(open_store(clickhouse)) as store:
            store.query("SELECT invalid FROM outcomes LIMIT 0")  # the newest column
    except RefusedError as error:
        if error.code in NOT_MADE_YET:
            raise NotReadyError(
                f"ClickHouse has no tables in {clickhouse.database} yet: run `headrace init` first"
            ) from None
        if error.code in NOT_MADE_SO_FAR:
            raise NotReadyError(
                f"ClickHouse's tables in {clickhouse.database} are those of an older release: "
                "run `headrace init`"
            ) from None
        raise NotReadyError(f"{error}: see clickhouse.user, clickhouse.password and its rights") from None
    except UncertainError as error:
        if not has_stored:
            raise NotReadyError(
                f"{error}: start it, or set clickhouse.host and clickhouse.port; without clickhouse.host "
                "nothing is stored"
            ) from None
        # It was there once. That it is away must not keep a worker from deciding.
        return [f"{error}; it has stored before, so what is to be stored waits in Kafka"]
    return []
