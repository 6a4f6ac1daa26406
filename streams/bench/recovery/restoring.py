"""Restores all partitions as a worker does and prints how long it took; run as a program.

Settings come from the environment, as for the real worker.
"""

import asyncio
import gc
import time
from typing import Any

import msgspec
import orjson
import psutil
from msgspec import Struct

from models.catalog import Catalog
from models.serving import ServingWeights
from streams import memory
from streams.agents.process import ProcessJob
from streams.delivery.ownership import OPENED_AT_ONCE
from streams.settings import Settings, load


class Restored(Struct, frozen=True):
    """What was restored."""

    rows: int
    seconds: float
    cpu_s: float
    """Of all threads of the process, meanwhile."""
    rss_bytes: int
    """Of the process."""


async def restore_all(settings: Settings) -> Restored:
    """Open the jobs of all partitions at once, as after a rebalance that gives one worker everything."""
    weights, catalog = ServingWeights("ctr", settings.learning.bits), Catalog(settings.learning.bits)
    unused: Any = None  # no decision is made here
    jobs = [
        ProcessJob(partition, settings, "restoring", catalog, weights, unused)
        for partition in range(settings.kafka.partitions)
    ]
    at_once = asyncio.Semaphore(OPENED_AT_ONCE)

    async def open_one(job: ProcessJob) -> None:
        async with at_once:
            await job.open()

    started_s, started_cpu_s = time.monotonic(), time.process_time()
    await asyncio.gather(*map(open_one, jobs))
    seconds, cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
    gc.collect()
    rss_bytes = psutil.Process().memory_info().rss
    await asyncio.gather(*(job.close() for job in jobs))
    return Restored(sum(len(job.processor.state.profiles) for job in jobs), seconds, cpu_s, rss_bytes)


if __name__ == "__main__":
    memory.tune()
    print(orjson.dumps(msgspec.to_builtins(asyncio.run(restore_all(load())))).decode())
