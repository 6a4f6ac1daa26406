"""How long a fetch that brings nothing takes."""

import asyncio
import time
from typing import Any

from aiokafka.consumer import consumer, fetcher

SHORTEST_S, LONGEST_S = 0.01, 0.05
"""Within these bounds a fetch that brings nothing takes as long as nothing has come: a stream that flows is
asked often, one that stands still costs little, and the next record waits for no more than the last gap."""


class PacedFetcher(fetcher.Fetcher):
    """aiokafka's fetcher, for a broker that never lets a fetch wait; one that does wait is not slowed."""

    _brought_at_s = 0.0

    async def _proc_fetch_request(self, *args: Any) -> Any:
        started_s = time.monotonic()
        brought_records = await super()._proc_fetch_request(*args)
        now_s = time.monotonic()
        if brought_records:
            self._brought_at_s = now_s
            return brought_records
        takes_s = min(max(started_s - self._brought_at_s, SHORTEST_S), LONGEST_S)
        try:
            await asyncio.sleep(started_s + takes_s - now_s)
        except asyncio.CancelledError:
            return False  # as aiokafka's own does: closing cancels the request and awaits it
        return brought_records


def pace() -> None:
    """Spare the embedded broker and whoever reads from it; for programs without our own delivery."""
    consumer.Fetcher = PacedFetcher
