"""The closed loop over a broker, with a worker that decides."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from delivery.bed import bed
from msgspec.structs import replace

from schemas.decisions import decode_decision
from schemas.events import Exposure, View, decode_view
from schemas.topics import DECISIONS, OUTCOMES, VIEWS, Topic
from streams.admin import ask
from streams.bench.faults.log import records_of
from streams.delivery.restore import MissingTopicError
from streams.replay import ReplayError
from streams.settings import Kafka, Processing, Settings
from streams.simulate.closed_loop import ClosedLoop
from streams.simulate.configuration import load
from streams.simulate.live import LiveReport, live
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, Truth
from streams.topics import create_topics

SPEED = 60.0
LONGEST_S = 60.0
"""Far longer than it takes until enough has been shown."""
ENOUGH = 60
PATIENCE_MS = 1_800_000
"""As long as a worker takes exposures of a decision: its first decisions wait for its kernels."""


def simulated(settings: Settings, truths: list[Truth]) -> LiveReport:
    """Some minutes of a small shop in a few seconds, until enough decisions have been shown."""
    other = load("other")
    busy = replace(other, shop=replace(other.shop, sessions_per_day=20_000.0))
    shop = Shop(busy, 1, int(time.time() * 1000) - int(SPEED * LONGEST_S * 1000))
    loop = ClosedLoop(shop, PATIENCE_MS, tell=truths.append)

    def progress(passed_s: float) -> None:
        if loop.counts["shown"] > ENOUGH:
            os.kill(os.getpid(), signal.SIGTERM)

    return asyncio.run(live(shop, loop, settings, SPEED, LONGEST_S, progress))


def test_users_answer_to_a_workers_decisions(fresh_broker: str, tmp_path: Path) -> None:
    """Exposures echo decisions on the topic, each once, and the worker joins every one of them."""
    settings = Settings(
        kafka=Kafka(bootstrap_servers=fresh_broker, partitions=2),
        processing=Processing(checkpoint_interval_s=0.1),
    )
    ask(settings.kafka, lambda admin: create_topics(admin, settings.kafka))
    truths: list[Truth] = []
    with bed(settings, tmp_path, expires_sessions=False) as made:
        worker = made.start_joined()
        report = simulated(settings, truths)
        made.wait_until_read(worker)
    views = [decode_view(value) for value in values(settings, VIEWS)]
    decided = {each.decision_id: each for each in map(decode_decision, values(settings, DECISIONS))}
    exposures = [event for event in views if isinstance(event, Exposure) and event.decision_id]
    assert exposures
    assert {1} == set(Counter(event.decision_id for event in exposures).values())
    for event in exposures:
        assert decided[event.decision_id].chosen_id == (event.ad_id or event.promotion_id)
        assert decided[event.decision_id].user_id == event.user_id
    outcomes = b"".join(values(settings, OUTCOMES))
    assert all(f'"decision_id":"{event.decision_id}"'.encode() in outcomes for event in exposures)
    told = [truth for truth in truths if isinstance(truth, ExposureTruth) and truth.decision_id]
    assert all(decided[truth.decision_id].propensity == truth.propensity for truth in told)
    assert report.topics["views"] == len(views)
    assert report.requests["shown"] >= len(exposures)
    assert sum(len(event.slots) for event in views if isinstance(event, View)) >= len(decided) > 0
    assert report.answer_ms_median is not None


def test_a_broker_without_topics_is_named(fresh_broker: str) -> None:
    """The error says which topic is missing and what makes it."""
    with pytest.raises((ReplayError, MissingTopicError), match="headrace init"):
        simulated(Settings(kafka=Kafka(bootstrap_servers=fresh_broker)), [])


def test_a_signal_ends_it_with_its_report(fresh_broker: str) -> None:
    """Without a duration it runs until it is told to stop; nobody has answered meanwhile."""
    settings = Settings(kafka=Kafka(bootstrap_servers=fresh_broker, partitions=2))
    ask(settings.kafka, lambda admin: create_topics(admin, settings.kafka))
    shop = Shop(load("other"), 1)
    loop = ClosedLoop(shop, patience_ms=1, from_ms=shop.traffic.start_ms + 600_000)
    told: list[float] = []

    def progress(passed_s: float) -> None:
        if not told and loop.counts["unanswered"]:
            os.kill(os.getpid(), signal.SIGTERM)
            told.append(passed_s)

    report = asyncio.run(live(shop, loop, settings, SPEED, None, progress))
    assert told
    assert report.duration_s >= told[0]
    assert report.answer_ms_median is None
    assert {"unanswered"} == set(report.requests)
    assert report.topics["views"] == sum(
        len(records) for records in records_of(settings.kafka, VIEWS).values()
    )


def values(settings: Settings, topic: Topic) -> list[bytes]:
    """Values of all committed records of a topic."""
    partitions = records_of(settings.kafka, topic).values()
    return [record.value for records in partitions for record in records]
