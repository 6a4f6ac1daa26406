"""The agent that learns."""

import logging

import pytest

from schemas.model import Change
from streams.agents.learn import alert


def test_a_change_is_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    """What the learner noticed is a warning that says where, why, and how far from the usual."""
    change = Change(
        "ctr", 7, 0, 1, "ctr-0-9-1", "gate_closed", "own", "missing_field", "device", 0.75, 0.0125
    )
    with caplog.at_level(logging.WARNING):
        alert(change)
    assert [
        "ctr, gate_closed: own missing_field device: 0.75 where 0.0125 is usual, at example ctr-0-9-1"
    ] == (caplog.messages)
