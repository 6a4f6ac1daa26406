"""The peer: the same job as an ordinary Faust app.

An agent takes event by event, its state is in tables with their changelogs, and results leave by
``topic.send``. Run as ``python -m streams.bench.plain_faust EVENTS SEED`` with Headrace's settings in the
environment; prints its progress.

Faust's settings are its defaults but for those that a short run on a fresh broker needs, and the linger,
which is in its favour. So is its guarantee, at least once: after a crash events count twice.
"""

import logging
import sys
import tempfile
from typing import Any

import faust
import orjson

from schemas.topics import DECISIONS, INPUTS, OUTCOMES
from streams.bench.mix import generate
from streams.bench.plain_deciding import Decider, Model, Shop
from streams.bench.plain_job import Job, Tables
from streams.bench.progress import report
from streams.delivery.pacing import pace
from streams.settings import Settings, load

REPORT_EVERY = 100
LINGER_S = 0.005
"""Faust's default is 0, a request a message; this is Kafka's own since 4.0 (KIP-1030)."""


def build_app(settings: Settings, events: int, seed: int, data_dir: str) -> faust.App:
    """One agent over the three input topics, which writes ``decisions``, ``outcomes`` and the changelogs."""
    app = faust.App(
        "plain-faust",
        broker=f"kafka://{settings.kafka.bootstrap_servers}",
        datadir=data_dir,
        consumer_auto_offset_reset="earliest",
        topic_partitions=settings.kafka.partitions,  # of the changelogs: those of the input topics
        topic_replication_factor=1,
        producer_linger=LINGER_S,
        topic_disable_leader=True,
        web_enabled=False,
    )
    source = app.topic(*(topic.name for topic in INPUTS), key_serializer="raw", value_serializer="raw")
    outputs = {
        topic.name: app.topic(topic.name, key_serializer="raw", value_serializer="raw")
        for topic in (DECISIONS, OUTCOMES)
    }
    tables = Tables(*(app.Table(name) for name in Tables._fields))
    decider = Decider(Shop(generate(0, seed).catalog), Model(), settings.deciding)
    jobs: dict[int, Job] = {}

    @app.on_partitions_revoked.connect
    async def forget(app: faust.App, revoked: set[Any], **_: Any) -> None:
        # Whoever gets a partition next goes on from its recovered tables.
        jobs.clear()

    @app.agent(source)
    async def work(stream: faust.Stream) -> None:
        done = 0
        async for record in stream.events():
            partition = record.message.partition
            job = jobs.get(partition)
            if job is None:
                job = jobs[partition] = Job(partition, tables, decider, settings.processing)
            for topic, result in job.handle(orjson.loads(record.value), record.message.offset):
                # The same key and count as the input: the same partition, without hashing anew.
                await outputs[topic].send(
                    key=result["user_id"].encode(), value=orjson.dumps(result), partition=partition
                )
            done += 1
            if done == events:
                await app.producer.flush()
            if done % REPORT_EVERY == 0 or done == events:
                report(done)

    return app


def main() -> None:
    """Run until stopped."""
    events, seed = map(int, sys.argv[1:])
    logging.basicConfig(level=logging.WARNING)
    # It warns whenever a hundred messages wait to be sent, which is always.
    logging.getLogger("faust.transport.producer").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as data_dir:
        worker = faust.Worker(
            build_app(load(), events, seed, data_dir),
            override_logging=False,
            quiet=True,
            redirect_stdouts=False,
        )
        worker.spinner = None
        worker.execute_from_commandline()


if __name__ == "__main__":
    pace()  # the peers, too, are spared the embedded broker's empty fetches
    main()
