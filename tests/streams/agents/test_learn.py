"""The agent that learns."""

import logging

import pytest

from models.gate import LIMITS
from schemas.model import Change
from streams.agents.learn import alert, learner_of
from streams.settings import Gate, Settings


def test_the_gate_has_the_limits_that_are_set() -> None:
    """Of both tasks; what is not set is as the gate has it by itself."""
    learner = learner_of(Settings(gate=Gate(missing_share=0.9, patience_s=60.0)))
    expected = LIMITS._replace(missing_share=0.9, patience_ms=60_000.0)
    assert {expected} == {task.watch.gate.limits for task in learner.tasks.values()}


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
