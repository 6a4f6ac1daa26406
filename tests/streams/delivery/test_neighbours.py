"""Dead members of the consumer groups."""

import os
import subprocess
import sys

from streams.delivery.neighbours import client_id, is_dead


def test_a_living_process_is_not_dead() -> None:
    """Our own client id names a process that lives."""
    assert not is_dead(client_id("process"))


def test_a_process_that_has_ended_is_dead() -> None:
    """The client id of a process of this host that has ended says so."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    its_id = client_id("process").removesuffix(str(os.getpid())) + str(child.pid)
    assert not is_dead(its_id)  # not reaped yet: the process id still stands for it
    child.wait()
    assert is_dead(its_id)


def test_what_is_not_ours_is_left_alone() -> None:
    """Members of other hosts and of other programs are never taken for dead."""
    assert [False] * 4 == [
        is_dead(each) for each in ("", "rdkafka", "headrace-sink@elsewhere:999999", "headrace-sink@:x")
    ]
