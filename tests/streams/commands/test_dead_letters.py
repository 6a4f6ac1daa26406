"""``headrace dead-letters``."""

import base64
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from msgspec.json import encode
from traffic import click as click_event
from traffic import purchase, view

from schemas.topics import CLICKS, DEAD_LETTERS, INPUTS, PURCHASES, VIEWS
from streams.admin import open_admin
from streams.cli import main
from streams.delivery.clients import confirm
from streams.embedded.process import free_port
from streams.routing import partition_of
from streams.settings import Kafka
from streams.topics import create_topics

TS_MS = 1_748_851_200_000
NO_RATE = "Expected a currency with a rate - at `$.currency`"
BROKEN = "JSON is malformed: invalid character (byte 0)"
ORDER = encode(purchase(TS_MS, "user-of-the-test", event_id="p1", currency="EUR"))
CLICK = encode(click_event(TS_MS, "user-of-the-test", event_id="c1", decision_id="views-0-1-0"))
VIEW = encode(view(TS_MS, "other-user", event_id="v1"))

USABLE = {
    topic.name: [(partition_of(user, 2), user, event)]
    for topic, user, event in [
        (VIEWS, b"other-user", VIEW),
        (CLICKS, b"user-of-the-test", CLICK),
        (PURCHASES, b"user-of-the-test", ORDER),
    ]
}
"""Partition, key and value of what a worker accepts of them, by topic."""
NOTHING: dict[str, list[Any]] = {topic.name: [] for topic in INPUTS}


def dead_letters(servers: str, *arguments: str) -> Result:
    """Run the command against a broker of two partitions."""
    options = ["--set", f"kafka.bootstrap_servers={servers}", "--set", "kafka.partitions=2"]
    return CliRunner().invoke(main, [*options, "dead-letters", *arguments])


def letter(topic: str, offset: int, reason: str, raw: bytes) -> bytes:
    """A dead letter as a worker writes it; the later its offset, the newer."""
    fields = {"topic": topic, "partition": 1, "offset": offset, "ts_ms": TS_MS + offset, "reason": reason}
    return orjson.dumps(fields | {"raw": base64.b64encode(raw).decode()})


def sent(servers: str) -> dict[str, list[tuple[int, bytes, bytes]]]:
    """What lies on the input topics: partition, key and value by topic."""
    reader = KafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")
    found = {}
    for topic in INPUTS:
        places = [TopicPartition(topic.name, partition) for partition in (0, 1)]
        reader.assign(places)
        reader.seek_to_beginning()
        end, records = reader.end_offsets(places), []
        while any(reader.position(place) < end[place] for place in places):
            records += [each for polled in reader.poll(500).values() for each in polled]
        found[topic.name] = [(each.partition, each.key, each.value) for each in records]
    reader.close()
    return found


def refuse(servers: str) -> None:
    """Make the topics and five letters: an order twice, a click, a view, and one that is no JSON."""
    kafka = Kafka(bootstrap_servers=servers, partitions=2)
    with open_admin(kafka) as admin:
        create_topics(admin, kafka)
    producer = KafkaProducer(bootstrap_servers=servers)
    for partition, value in [
        (0, letter("purchases", 1, NO_RATE, ORDER)),
        (0, letter("purchases", 4, NO_RATE, ORDER)),
        (1, letter("clicks", 2, "Expected something of an older release", CLICK)),
        (1, letter("views", 3, "Expected something of an older release", VIEW)),
        (1, letter("views", 5, BROKEN, b"?")),
    ]:
        producer.send(DEAD_LETTERS.name, value, partition=partition)
    producer.close()


@pytest.fixture
def refused(fresh_broker: str) -> str:
    """A broker with those five letters."""
    refuse(fresh_broker)
    return fresh_broker


def test_they_are_counted_by_topic_and_reason(refused: str) -> None:
    """Newest first, with the place of the newest on the topic itself."""
    kinds = orjson.loads(dead_letters(refused, "list", "--json").stdout)["kinds"]
    assert {
        "topic": "purchases", "reason": NO_RATE, "events": 2, "newest_ms": TS_MS + 4,
        "newest_partition": 0, "newest_offset": 1,
    } == kinds[1]  # fmt: skip
    assert [("views", 1), ("purchases", 2), ("views", 1), ("clicks", 1)] == [
        (kind["topic"], kind["events"]) for kind in kinds
    ]


def test_the_list_can_be_read_and_filtered(refused: str) -> None:
    """A line a kind; the filters are those of the replay; no event is shown."""
    lines = dead_letters(refused, "list", "--topic", "views", "--reason", "older").stdout.splitlines()
    assert ["events", "topic", "newest"] == lines[0].split()[:3]
    assert ["1", "views", "2025-06-02"] == lines[1].split()[:3]
    assert 2 == len(lines)
    assert "other-user" not in dead_letters(refused, "list").output


def test_an_empty_list_says_so(refused: str) -> None:
    """Not a header alone."""
    assert "There are no such dead letters\n" == dead_letters(refused, "list", "--reason", "nothing").stdout


def test_one_is_shown_without_its_event(refused: str) -> None:
    """Where it came from and why it was refused, but nothing that may be personal."""
    result = dead_letters(refused, "show", "0", "1")
    assert ["reason", *NO_RATE.split()] == result.stdout.splitlines()[4].split()
    assert "user-of-the-test" not in result.output
    report = orjson.loads(dead_letters(refused, "show", "0", "1", "--json").stdout)
    expected = {"topic": "purchases", "partition": 1, "offset": 4, "ts_ms": TS_MS + 4, "reason": NO_RATE}
    assert expected | {"bytes": len(ORDER)} == report


def test_the_event_is_shown_on_request(refused: str) -> None:
    """As the bytes it is; base64 in JSON."""
    result = dead_letters(refused, "show", "0", "1", "--raw")
    assert ORDER == result.stdout_bytes.splitlines()[-1]
    report = orjson.loads(dead_letters(refused, "show", "0", "1", "--raw", "--json").stdout)
    assert ORDER == base64.b64decode(report["raw"])


@pytest.mark.parametrize("place", [("0", "99"), ("7", "0")])
def test_a_place_without_a_letter(refused: str, place: tuple[str, str]) -> None:
    """Exit status 1, and where to find one."""
    result = dead_letters(refused, "show", *place)
    assert 1 == result.exit_code
    assert (
        f"no letter at partition {place[0]}, offset {place[1]}: `headrace dead-letters list`" in result.stderr
    )


def test_replay_sends_what_can_be_used_now(refused: str) -> None:
    """The very bytes under the user's key, an event once, and the rest counted with its reason."""
    report = orjson.loads(dead_letters(refused, "replay", "--json").stdout)
    assert {
        "selected": 5, "sent": {"purchases": 1, "clicks": 1, "views": 1}, "repeated": 1,
        "still_refused": {BROKEN: 1}, "dry_run": False,
    } == report  # fmt: skip
    assert USABLE == sent(refused)


def test_replay_on_apache_kafka(fresh_kafka: str) -> None:
    """The same events, under a transaction of the real broker."""
    refuse(fresh_kafka)
    assert 0 == dead_letters(fresh_kafka, "replay").exit_code
    assert USABLE == sent(fresh_kafka)


def test_a_replay_that_fails_has_sent_nothing(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1; the transaction is aborted, and the next replay sends it all."""

    async def confirm_late(futures: list[Any], timeout_s: float) -> None:
        await confirm(futures, timeout_s)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("streams.dead_letters.confirm", confirm_late)
        result = dead_letters(refused, "replay")
    assert 1 == result.exit_code
    assert "failed: TimeoutError()" in result.stderr
    assert NOTHING == sent(refused)
    assert 0 == dead_letters(refused, "replay").exit_code
    assert USABLE == sent(refused)


@pytest.mark.parametrize(
    ("arguments", "topics"),
    [(["--topic", "clicks"], {"clicks": 1}), (["--reason", "currency"], {"purchases": 1})],
)
def test_replay_of_some(refused: str, arguments: list[str], topics: dict[str, int]) -> None:
    """Only what the filter takes is sent."""
    assert topics == orjson.loads(dead_letters(refused, "replay", "--json", *arguments).stdout)["sent"]
    assert topics == {topic: len(records) for topic, records in sent(refused).items() if records}


def test_a_dry_run_sends_nothing(refused: str) -> None:
    """It says the same as the replay would."""
    dry: dict[str, Any] = orjson.loads(dead_letters(refused, "replay", "--dry-run", "--json").stdout)
    assert NOTHING == sent(refused)
    assert dry | {"dry_run": False} == orjson.loads(dead_letters(refused, "replay", "--json").stdout)


def test_replay_can_be_read(refused: str) -> None:
    """What was sent, and what was not and why."""
    lines = dead_letters(refused, "replay", "--dry-run").stdout.splitlines()
    assert [
        "Would send of 5 dead letters: 1 to clicks, 1 to purchases, 1 to views",
        "Not sent, the same event again: 1",
        f"Not sent, refused as before: 1: {BROKEN}",
    ] == lines


@pytest.mark.parametrize("arguments", [["list"], ["show", "0", "0"], ["replay"]])
def test_an_absent_broker_fails_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Exit status 1, the address and what to set."""
    monkeypatch.setattr("streams.admin.BOOTSTRAP_TIMEOUT_S", 0.2)
    servers = f"127.0.0.1:{free_port()}"
    result = dead_letters(servers, *arguments)
    assert (1, "") == (result.exit_code, result.stdout)
    assert f"Error: No Kafka broker answered at {servers} within " in result.stderr


def test_topics_that_are_missing(fresh_broker: str) -> None:
    """Exit status 1, and the command that makes them."""
    result = dead_letters(fresh_broker, "list")
    assert 1 == result.exit_code
    assert result.stderr.endswith("Error: topic `dead-letters` is not there: run `headrace init` first\n")
