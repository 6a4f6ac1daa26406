"""Clients that are not ours produce events and read decisions, with nothing of ours but the topics' names."""

import os
import shutil
import subprocess
from typing import Any

import orjson
import pytest
from delivery.bed import TIMEOUT_S, Bed
from kafka import KafkaConsumer, KafkaProducer

VIEW = {
    "type": "view", "event_id": "e1", "user_id": "u1", "ts_ms": 1_748_851_200_000, "page": "home",
    "slots": [{"slot_id": "home-top", "kind": "ad", "position": 1}],
}  # fmt: skip


@pytest.fixture
def kcat_program() -> str:
    """kcat; where it is missing its test is skipped, or fails in continuous integration."""
    program = shutil.which("kcat")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("kcat is not installed")
    return program


def assert_answers(decision: dict[str, Any], event: dict[str, Any]) -> None:
    """It is the answer to this event."""
    assert (event["event_id"], event["user_id"], "home-top") == (
        decision["event_id"],
        decision["user_id"],
        decision["slot_id"],
    )
    assert 0 < decision["propensity"] <= 1


def test_kafka_python(shop: Bed) -> None:
    """An event by its own partitioner, and the decision on it, named by where the event lies."""
    worker = shop.start()
    producer = KafkaProducer(bootstrap_servers=shop.settings.kafka.bootstrap_servers)
    sent = producer.send("views", key=b"u1", value=orjson.dumps(VIEW)).get(10)
    producer.close()
    consumer = KafkaConsumer(
        "decisions",
        bootstrap_servers=shop.settings.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=TIMEOUT_S * 1000,
    )
    decision = orjson.loads(next(consumer).value)
    consumer.close()
    assert f"views-{sent.partition}-{sent.offset}-0" == decision["decision_id"]
    assert_answers(decision, VIEW)
    worker.terminate()


@pytest.mark.parametrize("broker_fixture", [pytest.param("fresh_broker", marks=pytest.mark.broker)])
def test_kcat(shop: Bed, kcat_program: str) -> None:
    """librdkafka, told to partition as other clients do: one user's events, and the decisions on them."""
    worker = shop.start()
    events = [VIEW | {"event_id": f"e{number}", "user_id": "u2"} for number in range(3)]
    kcat(
        kcat_program, shop, "-P", "-t", "views", "-k", "u2", "-X", "topic.partitioner=murmur2_random",
        stdin=b"\n".join(map(orjson.dumps, events)),
    )  # fmt: skip
    said = kcat(
        kcat_program, shop, "-C", "-t", "decisions", "-o", "beginning", "-c", str(len(events)),
        "-f", "%k\\t%p\\t%s\\n", "-X", "isolation.level=read_committed",
    )  # fmt: skip
    lines = [line.split(b"\t", 2) for line in said.splitlines()]
    assert {b"u2"} == {key for key, _, _ in lines}
    assert 1 == len({partition for _, partition, _ in lines})
    for (_, _, decision), event in zip(lines, events, strict=True):
        assert_answers(orjson.loads(decision), event)
    worker.terminate()


def kcat(program: str, shop: Bed, *arguments: str, stdin: bytes = b"") -> bytes:
    """What kcat prints."""
    command = [program, "-q", "-b", shop.settings.kafka.bootstrap_servers, *arguments]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S).stdout
