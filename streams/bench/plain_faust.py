"""The peer: the same job as an ordinary Faust app, with per-event iteration and ``topic.send``.

Run as ``python -m streams.bench.plain_faust BOOTSTRAP_SERVERS EVENTS SEED CLICK_WINDOW_S``; prints its
progress. Faust's settings are its defaults but for those that a short run on a fresh broker needs.
"""

import logging
import sys
import tempfile

import faust
import orjson

from schemas.topics import DECISIONS, INPUTS
from streams.bench.mix import generate
from streams.bench.plain_job import Job, Model, Shop
from streams.bench.progress import report
from streams.settings import Deciding

REPORT_EVERY = 100


def build_app(
    bootstrap_servers: str, events: int, seed: int, click_window_s: float, data_dir: str
) -> faust.App:
    """One agent over the three input topics, which writes ``decisions``."""
    app = faust.App(
        "plain-faust",
        broker=f"kafka://{bootstrap_servers}",
        datadir=data_dir,
        consumer_auto_offset_reset="earliest",
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
    )
    source = app.topic(*(topic.name for topic in INPUTS), key_serializer="raw", value_serializer="raw")
    decisions = app.topic(DECISIONS.name, key_serializer="raw", value_serializer="raw")
    shop, model = Shop(generate(0, seed).catalog), Model()
    jobs: dict[int, Job] = {}

    @app.agent(source)
    async def decide(stream: faust.Stream) -> None:
        done = 0
        async for record in stream.events():
            partition, offset = record.message.partition, record.message.offset
            job = jobs.get(partition)
            if job is None:
                job = jobs[partition] = Job(shop, model, Deciding(), int(click_window_s * 1000))
            event = orjson.loads(record.value)
            for decision in job.handle(event, partition, offset):
                await decisions.send(key=record.key, value=orjson.dumps(decision))
            done += 1
            if done % REPORT_EVERY == 0 or done == events:
                report(done)

    return app


def main() -> None:
    """Run until stopped."""
    bootstrap_servers, events, seed, click_window_s = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as data_dir:
        app = build_app(bootstrap_servers, int(events), int(seed), float(click_window_s), data_dir)
        worker = faust.Worker(app, override_logging=False, quiet=True, redirect_stdouts=False)
        worker.spinner = None
        worker.execute_from_commandline()


if __name__ == "__main__":
    main()
