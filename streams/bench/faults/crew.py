"""Workers under a supervisor, as systemd or Kubernetes is one: whoever ends is started again."""

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from streams.embedded.process import Process
from streams.settings import Settings, child_environment

WORKER = ("-m", "streams", "worker", "--roles")
PROCESS = "process,learn"
SINK = "sink"
"""Roles, as the command takes them."""

LOOKED_THROUGH_BYTES, SHOWN_CHARACTERS = 65_536, 200
_ERROR = re.compile(r"[\w.]+(Error|Exception|Fenced)\b")

RESTART_AFTER_S = 0.5
"""As Kubernetes, systemd and the like: not at once."""
POLL_S = 0.02
STOP_TIMEOUT_S = 30.0
"""What Kubernetes grants by default; without a broker a worker takes some 20 s to give up."""


class Ended(Struct, frozen=True):
    """A worker that ended by itself, or badly."""

    at_s: float
    status: int | None
    """None: it had to be killed."""
    reason: str
    """The last error that it wrote."""


class Worker(Process):
    """A worker process."""

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._child.poll() if self._child is not None else 0

    def last_error(self) -> str:
        """The last line of its log that names an exception; else the last line."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOOKED_THROUGH_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        named = [line for line in lines if _ERROR.match(line)]
        return (named or lines or ["(empty)"])[-1][:SHOWN_CHARACTERS]


class Crew:
    """Keeps workers running; as a context manager it kills them on exit.

    Args:
        roles: Of each of them.
    """

    def __init__(self, settings: Settings, directory: Path, roles: Sequence[str]) -> None:
        self.ended: list[Ended] = []
        """Who ended without having been told to, or not in order."""
        self.started = 0
        self._environment = child_environment(settings)
        self._directory = directory
        self._roles = roles
        self._workers: list[Worker | None] = [None] * len(roles)
        self._due_s = [0.0] * len(roles)
        self._leaving: list[tuple[Worker, float]] = []
        self._closed: set[int] = set()
        """Places that stay empty."""
        self._began_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._workers)

    def supervise(self) -> None:
        """Start whoever is missing; call it often."""
        self._see_off()
        for place, worker in enumerate(self._workers):
            if worker is not None and worker.status is not None:
                self._note(worker)
                self._workers[place], self._due_s[place] = None, time.monotonic() + RESTART_AFTER_S
            elif worker is None and place not in self._closed and time.monotonic() >= self._due_s[place]:
                self._workers[place] = self._start(self._roles[place])

    def take(self, place: int) -> Worker | None:
        """Take a worker out; the next ``supervise`` puts a new one into its place. None if it is away."""
        worker, self._workers[place] = self._workers[place], None
        return worker

    def worker(self, place: int) -> Worker | None:
        """A worker; None if it is away."""
        return self._workers[place]

    def place_of(self, roles: str, victim: int) -> int:
        """Where a worker with these roles is; ``victim`` is taken modulo the number of them."""
        places = [place for place, each in enumerate(self._roles) if each == roles]
        return places[victim % len(places)]

    def dismiss(self, worker: Worker) -> None:
        """Tell a worker that was taken out to end; it is noted if it does not do so in time and in order."""
        worker.send(signal.SIGTERM)
        worker.resume()  # a frozen one would hear nothing
        self._leaving.append((worker, time.monotonic() + STOP_TIMEOUT_S))

    def stop(self, roles: str) -> None:
        """Let all with these roles end in order; nobody takes their places."""
        for place in (place for place, each in enumerate(self._roles) if each == roles):
            self._closed.add(place)
            worker = self.take(place)
            if worker is not None:
                self.dismiss(worker)
        while self._leaving:
            self._see_off()
            time.sleep(POLL_S)

    def _see_off(self) -> None:
        leaving, self._leaving = self._leaving, []
        for worker, until_s in leaving:
            if worker.status is None and time.monotonic() < until_s:
                self._leaving.append((worker, until_s))
            elif worker.status not in (0, -signal.SIGTERM):  # the latter: not yet at work
                self._note(worker)
                worker.kill()

    def _note(self, worker: Worker) -> None:
        at_s = round(time.monotonic() - self._began_s, 1)
        self.ended.append(Ended(at_s, worker.status, worker.last_error()))

    def _start(self, roles: str) -> Worker:
        name = f"worker-{self.started}"
        self.started += 1
        worker = Worker(
            name,
            [sys.executable, *WORKER, roles],
            self._directory / f"{name}.log",
            environment=self._environment,
            stop_timeout_s=STOP_TIMEOUT_S,
        )
        worker.start()
        return worker

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (*self._workers, *(worker for worker, _ in self._leaving)):
            if worker is not None:
                worker.kill()
