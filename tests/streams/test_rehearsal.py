import logging
import subprocess
import sys
from pathlib import Path

import pytest

from streams.rehearsal import rehearse
from streams.settings import Role, Settings

FIRST_EVENTS = (sys.executable, str(Path(__file__).with_name("first_events.py")))


def kernels_called_first(*arguments: str) -> list[str]:
    """Those that a process of its own has not held ready for its first events."""
    done = subprocess.run([*FIRST_EVENTS, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def test_rehearsed_worker_compiles_nothing_for_its_first_events() -> None:
    """After a rehearsal no kernel is left to be compiled or loaded by what a shop sends."""
    assert [] == kernels_called_first()
    assert len(kernels_called_first("--unrehearsed")) > 10


@pytest.mark.parametrize("role", ["process", "learn"])
def test_says_what_a_start_waits_for(caplog: pytest.LogCaptureFixture, role: Role) -> None:
    """Each role that needs kernels can be rehearsed by itself; the log says so before and after."""
    with caplog.at_level(logging.INFO):
        rehearse(Settings(), [role])

    assert ["preparing kernels", "kernels are ready"] == [each.message[:17] for each in caplog.records]


def test_says_nothing_where_nothing_is_needed(caplog: pytest.LogCaptureFixture) -> None:
    """A worker that only stores has no kernels to wait for."""
    with caplog.at_level(logging.INFO):
        rehearse(Settings(), ["sink"])

    assert [] == caplog.records
