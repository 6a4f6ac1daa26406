"""The ceiling: consume, decode, encode and produce in batches, with nothing between.

Run as ``python -m streams.bench.passthrough BOOTSTRAP_SERVERS EVENTS``; prints its progress.
"""

import asyncio
import sys

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from schemas.topics import DECISIONS, INPUTS
from streams.bench.progress import report
from streams.delivery.pacing import pace

FETCH_TIMEOUT_MS = 250
FETCH_MAX_RECORDS = 5000
BATCH_BYTES = 512 * 1024


async def pass_through(bootstrap_servers: str, events: int) -> None:
    """Read ``events`` events of the three input topics and write one small record for each."""
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in INPUTS),
        bootstrap_servers=bootstrap_servers,
        group_id="passthrough",
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_batch_size=BATCH_BYTES)
    async with consumer, producer:
        done, sent = 0, []
        while done < events:
            report(done)
            fetched = await consumer.getmany(timeout_ms=FETCH_TIMEOUT_MS, max_records=FETCH_MAX_RECORDS)
            for source, rows in fetched.items():
                sent += await _send(producer, source.partition, rows)
                done += len(rows)
        await asyncio.gather(*sent)
        report(done)


async def _send(
    producer: AIOKafkaProducer, partition: int, rows: list[ConsumerRecord]
) -> list[asyncio.Future[object]]:
    """Hand over the answers to one partition's rows; futures of their acknowledgements."""
    sent, batch = [], producer.create_batch()
    for row in rows:
        event = orjson.loads(row.value)
        value = orjson.dumps(
            {"event_id": event["event_id"], "user_id": event["user_id"], "ts_ms": event["ts_ms"]}
        )
        if batch.append(key=row.key, value=value, timestamp=None) is None:
            batch.close()
            sent.append(await producer.send_batch(batch, DECISIONS.name, partition=partition))
            batch = producer.create_batch()
            batch.append(key=row.key, value=value, timestamp=None)
    batch.close()
    sent.append(await producer.send_batch(batch, DECISIONS.name, partition=partition))
    return sent


if __name__ == "__main__":
    pace()  # the peers, too, are spared the embedded broker's empty fetches
    asyncio.run(pass_through(sys.argv[1], int(sys.argv[2])))
