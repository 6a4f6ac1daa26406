"""Logins whose two users are in different partitions, while workers die: one profile, of all events."""

import asyncio
from collections import defaultdict

import numpy as np
from delivery.bed import TIMEOUT_S, Bed, Worker
from msgspec.json import encode
from msgspec.structs import replace
from traffic import click, purchase, view

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.events import Click, Event, Purchase, View
from schemas.topics import CLICKS, IDENTITIES, PURCHASES, VIEWS
from streams.bench.faults.comparison import DECAYED_TOLERANCE
from streams.bench.faults.log import records_of
from streams.bench.faults.results import left_results
from streams.bench.load import load
from streams.bench.mix import Mix
from streams.lag import wait_until_read
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor
from streams.routing import partition_of
from streams.settings import Identity

USERS, EVENTS_A_USER, STEP_MS = 1000, 8, 15
T0_MS = 1_748_851_200_000
RECLAIM_S = 30.0
"""A tenth of what the events span: most logins ask."""
BY_ARRIVAL = (
    "session_start_ms", "dwell_s", "session_views", "session_items", "session_searches", "session_carts",
    "session_checkouts",
)  # fmt: skip


def events() -> list[Event]:
    """Of each user some anonymous, some known, logins in between and a last one behind everything."""
    made: list[Event] = []
    for number in range(USERS * EVENTS_A_USER):
        user, turn = number % USERS, number // USERS
        ts_ms = T0_MS + number * STEP_MS
        anonymous, known = f"anonymous-{user}", f"known-{user}"
        if turn % 4 == 3:
            made.append(view(ts_ms, known, anonymous_id=anonymous, page="checkout", category=f"c{turn}"))
        elif turn % 4 == 2:
            made.append(purchase(ts_ms, known, order_id=f"o-{number}"))
        elif turn % 4 == 1:
            made.append(click(ts_ms, anonymous, kind="item", category=f"c{user % 7}", price_micros=9_000_000))
        else:
            made.append(view(ts_ms, anonymous, page="item", category=f"c{user % 5}"))
    end_ms = made[-1].ts_ms + int(RECLAIM_S * 1000)
    return made + [
        view(end_ms + user, f"known-{user}", anonymous_id=f"anonymous-{user}") for user in range(USERS)
    ]


TOPIC_OF = {View: VIEWS.name, Click: CLICKS.name, Purchase: PURCHASES.name}


def stream(sent: list[Event], partitions: int) -> Mix:
    """The events where Kafka's partitioner puts them."""
    records = defaultdict(list)
    for event in sent:
        key = event.user_id.encode()
        records[TOPIC_OF[type(event)], partition_of(key, partitions)].append(
            (key, encode(event), event.ts_ms)
        )
    return Mix([], dict(records))


def expected_profiles(bed: Bed, sent: list[Event]) -> Processor:
    """What one partition makes of them if nobody had ever been anonymous."""
    processor = Processor(
        0,
        bed.settings,
        Catalog(bed.settings.learning.bits),
        ServingWeights("ctr", bed.settings.learning.bits),
    )
    places = {VIEWS.name: 0, CLICKS.name: 1, PURCHASES.name: 2}
    processor.process(
        Arrival(
            places[TOPIC_OF[type(event)]], 0, number, event.ts_ms, b"",
            replace(event, user_id=event.user_id.replace("anonymous", "known"), anonymous_id=""),
        )
        for number, event in enumerate(sent)
    )  # fmt: skip
    return processor


def wait_until_linked(bed: Bed, worker: Worker) -> None:
    """Events first, then the claims that come of them, then what is sent in answer."""
    bed.wait_until_read(worker)
    for _ in ("claims", "transfers"):
        wait_until_read(
            bed.settings.kafka, bed.groups[0], (IDENTITIES,), TIMEOUT_S, lambda *_: worker.check()
        )


def test_kills_while_profiles_are_on_their_way(empty: Bed) -> None:
    """Of two workers one is killed, then the other: no profile is lost, and none is counted twice."""
    empty.settings = replace(empty.settings, identity=Identity(reclaim_after_s=RECLAIM_S))
    sent = events()
    asyncio.run(load(empty.settings.kafka, Mix([], {})))
    first, second = empty.start_joined(), empty.start_joined()
    loading = stream(sent, empty.settings.kafka.partitions)
    empty.wait_for_share(0.2, first, second, loading=loading)
    first.kill()
    third = empty.start()
    empty.wait_for_share(0.5, second, third)
    second.kill()
    wait_until_linked(empty, third)
    third.terminate()
    left = left_results(empty.settings)
    expected = {int(row["key"]): row for row in expected_profiles(empty, sent).state.profiles}
    found = {key: row for (_, kind, key), row in left.rows.items() if kind == b"P"}
    assert (USERS, expected.keys()) == (len(found), found.keys())
    names = [name for name in found[next(iter(found))] if name not in (*BY_ARRIVAL, "spare")]
    assert [] == [
        (key, name) for key, row in found.items() for name in names if row[name] != expected[key][name]
    ]
    sums = {key: value for (_, key), value in left.decayed.items()}
    np.testing.assert_allclose(
        [sums[key] for key in expected],
        [
            np.concatenate([row[name].ravel() for name in ("decayed", "affinity", "price_band")])
            for row in expected.values()
        ],
        rtol=DECAYED_TOLERANCE,
    )
    claims, transfers, merges = (
        sum(each[name] for each in left.progress.values()) for name in ("claims", "transfers", "merges")
    )
    records = sum(map(len, records_of(empty.settings.kafka, IDENTITIES).values()))
    assert (claims + transfers, transfers) == (records, merges)
    assert min(claims - USERS, transfers) >= USERS
