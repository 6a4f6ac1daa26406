"""A worker that reads to the ends and decides nothing but one placement; run as a program.

``python worker_double.py [--crash]``; settings come from the environment, as for the real worker.
"""

import sys
import time

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, INPUTS, MODEL, OUTCOMES, Topic
from streams.admin import open_admin
from streams.settings import Kafka, load

PAUSE_S = 0.2  # between two looks for more events

ROLES = {
    "process": INPUTS,
    "learn": (EXAMPLES,),
    "sink": (DECISIONS, OUTCOMES, DEAD_LETTERS, MODEL),
}


def commit_ends(kafka: Kafka, role: str, topics: tuple[Topic, ...]) -> None:
    """Commit, as the role's group, that all there is has been read."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=f"{kafka.group_id}-{role}",
        enable_auto_commit=False,
    )
    with open_admin(kafka) as admin:
        partitions = [
            TopicPartition(topic["name"], partition["partition_index"])
            for topic in admin.describe_topics([topic.name for topic in topics])
            for partition in topic["partitions"]
        ]
    consumer.assign(partitions)
    consumer.seek_to_end()
    for partition in partitions:
        consumer.position(partition)
    consumer.commit()
    consumer.close()


def main() -> None:
    """Decide, commit, and stay."""
    kafka = load().kafka
    if "--crash" in sys.argv:
        sys.exit("the wheel broke")
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    for _ in range(2):  # the second copy is one that a crash made again
        record = orjson.dumps({"decision_id": "views-0-0-0"})
        producer.send(DECISIONS.name, record, partition=0).get(10)
    producer.close()
    while True:
        for role, topics in ROLES.items():
            commit_ends(kafka, role, topics)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
