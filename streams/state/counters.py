"""The exactly-once counters of all partitions, read from the changelog by whoever asks."""

from collections import Counter

from kafka import KafkaConsumer, TopicPartition

from schemas.topics import STATE
from streams.settings import Settings
from streams.state.rows import COUNTERS, decode_rows, encode_key

POLL_MS = 200


def read(settings: Settings) -> dict[str, int]:
    """Sums of ``COUNTERS`` over all partitions, as of their last checkpoints.

    Raises what kafka-python raises where the broker or the topic is not there.
    """
    totals: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    try:
        partitions = [
            TopicPartition(STATE.name, number)
            for number in sorted(consumer.partitions_for_topic(STATE.name) or ())
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        newest: dict[int, bytes] = {}
        meta_key = encode_key(b"M", 0)
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for tp, records in consumer.poll(POLL_MS).items():
                for record in records:
                    if record.key == meta_key:
                        newest[tp.partition] = record.value
    finally:
        consumer.close()
    for row in decode_rows(b"M", newest.values()):
        totals.update(dict(zip(COUNTERS, row["counters"].tolist(), strict=True)))
    return dict(totals)
