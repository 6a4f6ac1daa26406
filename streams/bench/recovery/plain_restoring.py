"""The peer's recovery: an ordinary Faust app with one table; prints how long it took; run as a program."""

import logging
import os
import sys
import tempfile
import time

import faust
import orjson

from schemas.topics import VIEWS
from streams.delivery.pacing import pace
from streams.settings import Settings, load

APP_ID, TABLE = "plain-faust", "profiles"
CHANGELOG = f"{APP_ID}-{TABLE}-changelog"


def build_app(settings: Settings, data_dir: str) -> faust.App:
    """An agent and a table; once the table is recovered the program prints its figures and ends."""
    app = faust.App(
        APP_ID,
        broker=f"kafka://{settings.kafka.bootstrap_servers}",
        datadir=data_dir,
        topic_partitions=settings.kafka.partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
    )
    table = app.Table(TABLE)
    started_s = time.monotonic()

    @app.agent(app.topic(VIEWS.name, key_serializer="raw", value_serializer="raw"))
    async def work(stream: faust.Stream) -> None:
        async for _ in stream:
            pass

    @app.on_partitions_assigned.connect
    async def assigned(app: faust.App, assigned: object, **_: object) -> None:
        nonlocal started_s
        started_s = time.monotonic()

    @table.on_recover
    async def recovered() -> None:
        seconds = time.monotonic() - started_s
        print(orjson.dumps({"rows": len(table.data), "seconds": seconds}).decode(), flush=True)
        os._exit(0)

    return app


if __name__ == "__main__":
    pace()  # the peer, too, is spared the embedded broker's empty fetches
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        worker = faust.Worker(
            build_app(load(), scratch), override_logging=False, quiet=True, redirect_stdouts=False
        )
        worker.spinner = None
        worker.execute_from_commandline()
