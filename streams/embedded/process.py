"""A child process that Headrace owns: waited for until ready, stopped for certain, never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.embedded import launch

PROBE_INTERVAL_S = 0.02
TAIL_LINES = 15
TAIL_BYTES = 8192


class ProcessError(RuntimeError):
    """A child process did not start, or ended before its time."""


class MissingPackageError(ProcessError):
    """The program is in an optional package that is not installed."""


class Process:
    """A child in a session of its own, so that Ctrl-C in the terminal reaches it only through us.

    As a context manager it starts on entry and stops on exit. On Linux the kernel kills it when the
    thread that started it ends, so start it from the main thread; elsewhere a parent that is killed
    outright leaves it behind.

    Args:
        name: What messages call it.
        command: Program and arguments.
        log_path: Takes its stdout and stderr; made anew at each start, kept after the stop.
        ready: Asked every 20 ms whether the child serves; must return within a second or so.
        environment: The child's whole environment; ours by default.
        start_timeout_s: How long ``ready`` may stay false.
        stop_timeout_s: Between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_path: Path,
        ready: Callable[[], bool] = lambda: True,
        environment: Mapping[str, str] | None = None,
        start_timeout_s: float = 30.0,
        stop_timeout_s: float = 10.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log_path = log_path
        self.ready = ready
        self.environment = environment
        self.start_timeout_s = start_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's process id, which is also that of its session and group; 0 where none runs."""
        return self._child.pid if self._child else 0

    def start(self) -> None:
        """Start the child and wait until it is ready.

        Raises:
            ProcessError: It ended, or was not ready in time; it is stopped then. The message has the
                end of its log.
        """
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """Start the child and do not wait: for one that is not ready before others are."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            self._child = subprocess.Popen(
                dies_with_us(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """The second half of ``start``, with the same errors."""
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child and all of its group. Without a child, nothing."""
        if self._child is not None:
            _signal_group(self._child.pid, number)

    def pause(self) -> None:
        """Freeze the child (SIGSTOP): its connections stay open and nobody answers on them."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused child go on."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """End the child and all of its group as a power cut would, paused or not."""
        self.send(signal.SIGKILL)
        child, self._child = self._child, None
        if child is not None:
            child.wait()

    def check(self) -> None:
        """Raise ``ProcessError`` with the end of its log if the child has ended."""
        status = self._child.poll() if self._child else None
        if status is not None:
            raise ProcessError(f"{self.name} {_ended(status)}; the end of its log:\n{self.log_tail()}")

    def stop(self) -> None:
        """End the child and all of its group: SIGTERM, then SIGKILL. Without a child, nothing."""
        if self._child is None:
            return
        try:
            self.send(signal.SIGTERM)
            self.resume()  # a paused child would hear nothing
            self._child.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def log_tail(self) -> str:
        """The last lines that the child wrote."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:]) or "(empty)"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        while True:
            self.check()
            if self.ready():
                # Another program may have answered on the port that our child failed to get.
                self.check()
                return
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.name} was not ready within {self.start_timeout_s:g} s; "
                    f"the end of its log {self.log_path}:\n{self.log_tail()}"
                )
            time.sleep(PROBE_INTERVAL_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def dies_with_us(command: Sequence[str]) -> list[str]:
    """The command under a launcher that, on Linux, has the kernel kill it when our thread ends."""
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _ended(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _signal_group(group_id: int, number: signal.Signals) -> None:
    try:
        os.killpg(group_id, number)
    except ProcessLookupError:
        return
