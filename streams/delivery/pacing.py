"""The shortest time that a fetch without records takes."""

import asyncio
import time
from typing import Any

from aiokafka.consumer import consumer, fetcher

EMPTY_FETCH_S = 0.01
"""What an idle consumer may cost, and how long late records may wait."""


class PacedFetcher(fetcher.Fetcher):
    """aiokafka's fetcher, for a broker that never lets a fetch wait; one that does wait is not slowed."""

    async def _proc_fetch_request(self, *args: Any) -> Any:
        started_s = time.monotonic()
        brought_records = await super()._proc_fetch_request(*args)
        if not brought_records:
            try:
                await asyncio.sleep(EMPTY_FETCH_S - (time.monotonic() - started_s))
            except asyncio.CancelledError:
                return False  # as aiokafka's own does: closing cancels the request and awaits it
        return brought_records


def pace() -> None:
    """Spare the embedded broker and whoever reads from it; for programs without our own delivery."""
    consumer.Fetcher = PacedFetcher
