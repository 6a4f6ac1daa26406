"""The child processes that Headrace owns."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streams.embedded.process import Process, ProcessError, free_port

SLEEPER = [sys.executable, "-c", "import time; print('asleep', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True); time.sleep(600)",
]
FORKER = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True); time.sleep(600)",
]
PARENT = """
import sys, time
from pathlib import Path
from streams.embedded.process import Process
child = Process("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Poll a condition; fail the test when it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def said(log_path: Path, word: str) -> Callable[[], bool]:
    """A probe that holds once the child has printed a word."""
    return lambda: word in log_path.read_text()


def test_no_process_is_left_after_stop(tmp_path: Path) -> None:
    """Leaving the context ends the child."""
    log_path = tmp_path / "log"
    with Process("sleeper", SLEEPER, log_path, ready=said(log_path, "asleep")) as process:
        pid = process.pid
        assert alive(pid)
    assert not alive(pid)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """SIGKILL follows where SIGTERM does not help."""
    log_path = tmp_path / "log"
    process = Process("deaf", STUBBORN, log_path, ready=said(log_path, "deaf"), stop_timeout_s=0.1)
    process.start()
    pid = process.pid
    process.stop()
    assert not alive(pid)


def test_children_of_the_child_are_ended_too(tmp_path: Path) -> None:
    """Stop reaches the whole process group."""
    log_path = tmp_path / "log"
    with Process("forker", FORKER, log_path, ready=said(log_path, "\n")):
        grandchild = int(log_path.read_text())
        assert alive(grandchild)
    wait_until(lambda: not alive(grandchild))


def test_a_child_that_is_never_ready_is_an_error_and_is_ended(tmp_path: Path) -> None:
    """The deadline passes: the error shows the log's end, and nothing keeps running."""
    pids = []
    log_path = tmp_path / "log"

    def never() -> bool:
        pids.append(process.pid)
        return False

    process = Process("sleeper", SLEEPER, log_path, ready=never, start_timeout_s=0.5)
    with pytest.raises(ProcessError, match=r"sleeper was not ready within 0\.5 s"):
        process.start()
    assert not alive(pids[0])


def test_a_child_that_dies_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    """The message has the exit status and the end of the log."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such volume')"]
    process = Process("mount", command, tmp_path / "log", ready=lambda: False)
    with pytest.raises(ProcessError) as caught:
        process.start()
    assert "mount ended with status 1; the end of its log:\nno such volume" == str(caught.value)


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    """A command that cannot be run is reported like a child that dies at once."""
    process = Process("ghost", ["headrace-no-such-program"], tmp_path / "log", ready=lambda: False)
    with pytest.raises(ProcessError, match="No such file or directory"):
        process.start()


def test_check_tells_how_a_child_ended(tmp_path: Path) -> None:
    """A child that is killed later shows in the next check."""
    log_path = tmp_path / "log"
    with Process("sleeper", SLEEPER, log_path, ready=said(log_path, "asleep")) as process:
        process.check()
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not alive(process.pid))
        with pytest.raises(ProcessError, match="sleeper was ended by SIGKILL"):
            process.check()


def test_an_interrupt_while_waiting_ends_the_child(tmp_path: Path) -> None:
    """Ctrl-C during the start leaves no process behind."""
    pids = []

    def interrupted() -> bool:
        pids.append(process.pid)
        raise KeyboardInterrupt

    process = Process("sleeper", SLEEPER, tmp_path / "log", ready=interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.start()
    assert not alive(pids[0])


def test_the_child_has_a_session_of_its_own(tmp_path: Path) -> None:
    """The terminal's Ctrl-C goes to our session only."""
    log_path = tmp_path / "log"
    with Process("sleeper", SLEEPER, log_path, ready=said(log_path, "asleep")) as process:
        assert process.pid == os.getsid(process.pid)


def test_a_killed_child_can_be_started_again(tmp_path: Path) -> None:
    """Kill ends it at once; the same object starts another."""
    log_path = tmp_path / "log"
    with Process("sleeper", SLEEPER, log_path, ready=said(log_path, "asleep")) as process:
        pid = process.pid
        process.kill()
        assert (False, 0) == (alive(pid), process.pid)
        process.start()
        assert alive(process.pid)


def test_a_paused_child_stands_still_and_can_be_stopped(tmp_path: Path) -> None:
    """It is frozen until it is resumed; stop does not wait for what a frozen child cannot do."""
    log_path = tmp_path / "log"
    process = Process("sleeper", SLEEPER, log_path, ready=said(log_path, "asleep"), stop_timeout_s=600.0)
    process.start()
    pid = process.pid
    process.pause()
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    process.resume()
    wait_until(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)
    process.pause()
    process.stop()
    assert not alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """kill -9 of the parent leaves no child behind."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    wait_until(lambda: not alive(pid))


def test_the_tail_is_the_end_of_a_long_log(tmp_path: Path) -> None:
    """Fifteen lines are shown, however much was written."""
    process = Process("talker", SLEEPER, tmp_path / "log")
    process.log_path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert [f"line {number}" for number in range(99_985, 100_000)] == process.log_tail().splitlines()


def test_a_free_port_can_be_listened_on() -> None:
    """The port is there to be taken."""
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        assert port == server.getsockname()[1]
