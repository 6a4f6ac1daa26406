"""What users see when their shop gets more partitions: nothing."""

import asyncio
import re
from collections import Counter, defaultdict

import numpy as np
import orjson
from delivery.bed import Bed

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.topics import INPUTS, VIEWS
from streams.bench.faults.results import BY_WEIGHTS, Results, Values, left_results, of_states
from streams.bench.load import load
from streams.bench.mix import Mix, generate
from streams.delivery.clients import confirm, new_producer, send
from streams.processor.arrival import decode
from streams.processor.processor import Processor
from streams.repartition import repartition
from streams.routing import partition_of
from streams.settings import Settings

EVENTS, BEFORE, AFTER = 12_000, 4, 6
REPEATED = 100
CLOSED_AFTER_MS = 90 * 86_400_000
"""Longer than any window: whatever waits comes to its end."""
OFFSETS = 10_000_000
"""More than a partition has: the oracle's one partition holds them all, one after the other."""
TOPIC_NUMBERS = {topic.name: number for number, topic in enumerate(INPUTS)}

Log = dict[tuple[str, int], list[tuple[bytes, bytes, int]]]
"""Key, value and time of records by topic and partition."""


def test_more_partitions_change_nothing(empty: Bed) -> None:
    """Half of the events by 4 partitions and half by 6 come to what one processor makes of all of them."""
    stream = generate(EVENTS, seed=1, partitions=BEFORE)
    first, second = halves(stream)
    settings = empty.settings
    asyncio.run(load(settings.kafka, Mix(stream.catalog, first)))
    work(empty)
    report = repartition(settings, empty.groups[0], AFTER)
    assert min(report.moved_rows, report.rows - report.moved_rows) > 1000
    asyncio.run(produce(settings, second))
    work(empty)
    expected, actual = oracle(settings, stream, [first, second]), left_results(settings)
    assert [] == actual.repeated
    assert REPEATED == total(actual)["duplicates"]
    assert total(expected) == total(actual)
    assert expected.outcomes == actual.outcomes
    assert expected.examples == actual.examples
    assert decided(expected) == decided(actual)
    assert by_key(expected.rows) == by_key(actual.rows)
    assert {kind for _, kind, _ in actual.rows} == {b"P"}
    sums, expected_sums = by_key(actual.decayed), by_key(expected.decayed)
    np.testing.assert_allclose([sums[key] for key in expected_sums], list(expected_sums.values()), rtol=1e-6)
    crossing = [each for each in actual.outcomes.values() if each["exposure_id"] and crosses(each)]
    assert {"click", "purchase"} == {each["kind"] for each in crossing}
    assert {"exposure", "click", "purchase"} == {each["kind"] for each in actual.outcomes.values()}


def work(bed: Bed) -> None:
    worker = bed.start()
    bed.wait_until_read(worker)
    worker.terminate()


async def produce(settings: Settings, log: Log) -> None:
    producer = new_producer(settings.kafka)
    await producer.start()
    for (topic, partition), rows in log.items():
        messages = [(key, value) for key, value, _ in rows]
        await confirm(await send(producer, topic, partition, messages), 30.0)
    await producer.stop()


def halves(stream: Mix) -> tuple[Log, Log]:
    """The stream by ``BEFORE`` partitions, and from the middle on by ``AFTER``; echoes name the new places.

    The second half begins with copies of the last events of the first, and ends long after them.
    """
    rows = sorted(
        (ts_ms, TOPIC_NUMBERS[topic], topic, partition, offset, key, value)
        for (topic, partition), records in stream.records.items()
        for offset, (key, value, ts_ms) in enumerate(records)
    )
    first: Log = defaultdict(list)
    second: Log = defaultdict(list)
    for ts_ms, _, topic, partition, _, key, value in rows[: EVENTS // 2]:
        first[topic, partition].append((key, value, ts_ms))
    place_of: dict[str, str] = {}
    copies = [(row, True) for row in rows[EVENTS // 2 - REPEATED : EVENTS // 2]]
    for (ts_ms, _, topic, partition, offset, key, value), copied in [
        *copies, *((row, False) for row in rows[EVENTS // 2 :]),
    ]:  # fmt: skip
        target = partition_of(key, AFTER)
        here = second[topic, target]
        if topic == VIEWS.name and not copied:
            place_of[f"views-{partition}-{offset}"] = (
                f"views-{target}-{len(first.get((topic, target), ())) + len(here)}"
            )
        here.append((key, renamed(value, place_of), ts_ms))
    users = {partition_of(key, AFTER): key for _, _, _, _, _, key, _ in rows}
    ts_ms = rows[-1][0] + CLOSED_AFTER_MS
    for partition, key in users.items():
        event = {
            "type": "view",
            "event_id": f"last-{partition}",
            "user_id": key.decode(),
            "ts_ms": ts_ms,
            "page": "home",
        }
        second[VIEWS.name, partition].append((key, orjson.dumps(event), ts_ms))
    assert AFTER == len(users)
    return dict(first), dict(second)


def renamed(value: bytes, place_of: dict[str, str]) -> bytes:
    event = orjson.loads(value)
    place, dash, slot = event.get("decision_id", "").rpartition("-")
    return (
        orjson.dumps(event | {"decision_id": place_of[place] + dash + slot}) if place in place_of else value
    )


def oracle(settings: Settings, stream: Mix, logs: list[Log]) -> Results:
    """Results of one processor that has all events; identities are those of the real partitions."""
    catalog = Catalog(settings.learning.bits)
    catalog.extend(stream.catalog)
    processor = Processor(0, settings, catalog, ServingWeights("ctr", settings.learning.bits))
    begin: Counter[tuple[str, int]] = Counter()
    for log in logs:
        arrivals = [
            decode(
                TOPIC_NUMBERS[topic], 0, partition * OFFSETS + begin[topic, partition] + offset, ts_ms,
                re.sub(rb"views-(\d+)-(\d+)", lambda match: b"views-0-%d" % joined(match), value), 0,
            )
            for (topic, partition), rows in log.items()
            for offset, (_, value, ts_ms) in enumerate(rows)
        ]  # fmt: skip
        processor.process(sorted(arrivals, key=lambda each: (each.ts_ms, each.topic, each.offset)))
        begin.update({place: len(rows) for place, rows in log.items()})
    output = processor.output
    values = Values(
        *(
            [restored(value) for _, value in part]
            for part in (output.decisions, output.outcomes, output.examples)
        ),
        [],
    )
    return of_states({0: processor.state}, values)


def joined(place: re.Match[bytes]) -> int:
    return int(place[1]) * OFFSETS + int(place[2])


def restored(value: bytes) -> bytes:
    """The record with the identities that the partitions have."""
    return re.sub(
        rb"(views|clicks|purchases|ctr|cvr)-0-(\d+)",
        lambda match: b"%s-%d-%d" % (match[1], *divmod(int(match[2]), OFFSETS)),
        value,
    )


def crosses(outcome: dict[str, str]) -> bool:
    """Whether the event came by other partitions than the exposure that it belongs to."""
    return outcome["outcome_id"].split("-")[2] != outcome["exposure_id"].split("-")[1]


def total(results: Results) -> Counter[str]:
    """The counters of all partitions."""
    counted: Counter[str] = Counter()
    for progress in results.progress.values():
        counted.update(
            {name: count for name, count in progress.items() if name not in ("stream_ms", "offsets")}
        )
    return counted


def decided(results: Results) -> dict[str, dict[str, object]]:
    """Decisions without what was drawn: the draw goes by the identity, which the oracle has changed."""
    return {
        identity: {name: value for name, value in decision.items() if name not in (*BY_WEIGHTS, "candidates")}
        for identity, decision in results.decisions.items()
    }


def by_key(rows: dict) -> dict:
    """Without the partition."""
    return {place[1:]: row for place, row in rows.items()}
