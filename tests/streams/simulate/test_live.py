"""The closed loop over a broker, with a worker that decides."""

import asyncio
import sys
import threading
import time
from pathlib import Path

from delivery.bed import WORKER, bed
from msgspec.structs import replace

from streams.admin import open_admin
from streams.settings import Kafka, Settings
from streams.simulate.closed_loop import ClosedLoop
from streams.simulate.configuration import load
from streams.simulate.live import live
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, Truth
from streams.topics import create_topics

def test_try(fresh_broker: str, tmp_path: Path) -> None:
    settings = Settings(kafka=Kafka(bootstrap_servers=fresh_broker, partitions=2))
    with open_admin(settings.kafka) as admin:
        create_topics(admin, settings.kafka)
    with bed(settings, tmp_path, False) as made:
        t=time.time()
        worker = made.start_joined()
        print("ZZ","joined", time.time()-t)
        t=time.time()
        truths: list[Truth] = []
        conf = load("other")
        conf = replace(conf, shop=replace(conf.shop, sessions_per_day=86400/60*5))
        shop = Shop(conf, 1, int(time.time()*1000) - 60*10*1000)
        loop = ClosedLoop(shop, 60_000, tell=truths.append)
        report = asyncio.run(live(shop, loop, settings, 60.0, 10.0))
        print("ZZ",report, time.time()-t)
        made.wait_until_read(worker)
        print("ZZ","read", time.time()-t)
        print("ZZ",len(truths), sum(isinstance(t, ExposureTruth) for t in truths))
        expected, left = made.results(); print("ZZ","ZZ", left.counters, time.time()-t)
