"""The last resort: a worker that makes no progress ends itself, so that another takes over."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import mode

CHECK_S = 1.0
EXIT_BLOCKED = 70
"""``EX_SOFTWARE`` of sysexits.h: the event loop itself no longer turns."""


class StalledError(RuntimeError):
    """There was work, and none was done for too long."""


class Watchdog(mode.Service):
    """Crashes the worker when its jobs stall, and kills the process when its event loop does.

    The first is a task on the loop; the second a thread that watches the first, since a blocked loop
    cannot watch itself.
    """

    def __init__(self, stalled_s: Callable[[], float], timeout_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stalled_s = stalled_s
        self._timeout_s = timeout_s
        self._turned_at_s = time.monotonic()

    async def on_start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @mode.Service.task
    async def _check(self) -> None:
        while not self.should_stop:
            self._turned_at_s = time.monotonic()
            stalled_s = self._stalled_s()
            if stalled_s > self._timeout_s:
                raise StalledError(
                    f"expected progress within {self._timeout_s:g} s (processing.stall_timeout_s), "
                    f"got none for {stalled_s:.0f} s while there was work"
                )
            await self.sleep(CHECK_S)

    def _watch(self) -> None:
        while True:
            time.sleep(CHECK_S)
            if time.monotonic() - self._turned_at_s > self._timeout_s:
                print(f"headrace: the event loop has not turned for {self._timeout_s:g} s", file=sys.stderr)
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(EXIT_BLOCKED)
