"""Workers under a supervisor, as systemd or Kubernetes is one: whoever ends is started again."""

import sys
import time
from pathlib import Path

from msgspec import Struct

from streams.embedded.process import Process
from streams.settings import Settings, child_environment

WORKER = ("-m", "streams", "worker", "--roles", "process,learn")
RESTART_AFTER_S = 0.5
"""As Kubernetes, systemd and the like: not at once."""
STOP_TIMEOUT_S = 15.0
"""A worker that is told to stop has 10 s for its last checkpoint."""


class Ended(Struct, frozen=True):
    """A worker that ended by itself."""

    at_s: float
    status: int
    reason: str
    """The last line that it wrote."""


class Worker(Process):
    """A worker process."""

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._child.poll() if self._child is not None else 0


class Crew:
    """Keeps a number of workers running; as a context manager it kills them on exit."""

    def __init__(self, settings: Settings, directory: Path, size: int) -> None:
        self.ended: list[Ended] = []
        """Who ended without having been told to."""
        self.started = 0
        self._environment = child_environment(settings)
        self._directory = directory
        self._workers: list[Worker | None] = [None] * size
        self._due_s = [0.0] * size
        self._began_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._workers)

    def supervise(self) -> None:
        """Start whoever is missing; call it often."""
        for place, worker in enumerate(self._workers):
            if worker is not None and (status := worker.status) is not None:
                now_s = time.monotonic()
                reason = worker.log_tail().splitlines()[-1]
                self.ended.append(Ended(round(now_s - self._began_s, 1), status, reason))
                self._workers[place], self._due_s[place] = None, now_s + RESTART_AFTER_S
            elif worker is None and time.monotonic() >= self._due_s[place]:
                self._workers[place] = self._start()

    def take(self, victim: int) -> Worker | None:
        """Take a worker out; the next ``supervise`` puts a new one into its place. None if it is away."""
        place = victim % len(self._workers)
        worker, self._workers[place] = self._workers[place], None
        return worker

    def worker(self, victim: int) -> Worker | None:
        """A worker; None if it is away."""
        return self._workers[victim % len(self._workers)]

    def stop(self) -> None:
        """End all in order, at once."""
        for worker in self._workers:
            if worker is not None:
                worker.stop()

    def _start(self) -> Worker:
        name = f"worker-{self.started}"
        self.started += 1
        worker = Worker(
            name,
            [sys.executable, *WORKER],
            self._directory / f"{name}.log",
            environment=self._environment,
            stop_timeout_s=STOP_TIMEOUT_S,
        )
        worker.start()
        return worker

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.kill()
