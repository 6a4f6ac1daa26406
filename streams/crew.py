"""The workers of a demo, and what may be done to them while they work."""

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from streams.embedded.process import Process
from streams.settings import Settings, child_environment

Fault = Literal["kill", "leave"]
"""``kill``: the first worker is killed outright and started again; ``leave``: it ends by SIGTERM for good."""

STOP_TIMEOUT_S = 20.0


class Crew:
    """Worker processes over one broker; as a context manager they are stopped on exit.

    Raises:
        ProcessError: A worker did not start.
    """

    def __init__(self, settings: Settings, command: Sequence[str], log_dir: Path, size: int) -> None:
        self._workers = [
            Process(
                f"worker {number}",
                command,
                log_dir / f"worker-{number}.log",
                environment=child_environment(settings),
                stop_timeout_s=STOP_TIMEOUT_S,
            )
            for number in range(size)
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for worker in self._workers:
                stack.enter_context(worker)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self) -> None:
        """Raise ``ProcessError`` if a worker that should run has ended."""
        for worker in self._workers:
            worker.check()

    def suffer(self, fault: Fault) -> None:
        """Let a fault happen to the first worker."""
        victim = self._workers[0]
        if fault == "kill":
            os.kill(victim.pid, signal.SIGKILL)
            victim.stop()
            victim.start()
        else:
            victim.stop()
            self._workers.remove(victim)
