"""Reading a partition of a topic from its beginning to its committed end."""

from collections.abc import AsyncIterator

from aiokafka.structs import TopicPartition

from streams.delivery.clients import new_reader
from streams.settings import Kafka

POLL_MS = 200


async def read_all(kafka: Kafka, topic: str, partition: int) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """Keys and values of all committed records, oldest first, up to the end as it is at the call.

    Whoever fenced the writer before sees all that was ever committed: no transaction is open then.
    """
    reader = new_reader(kafka)
    await reader.start()
    try:
        tp = TopicPartition(topic, partition)
        reader.assign([tp])
        end = (await reader.end_offsets([tp]))[tp]
        await reader.seek_to_beginning(tp)
        while await reader.position(tp) < end:
            for records in (await reader.getmany(tp, timeout_ms=POLL_MS)).values():
                for record in records:
                    if record.offset < end:
                        yield record.key, record.value
    finally:
        await reader.stop()
