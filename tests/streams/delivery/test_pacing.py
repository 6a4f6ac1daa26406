import asyncio

import pytest
from aiokafka.consumer import fetcher

from streams.delivery import pacing
from streams.delivery.pacing import LONGEST_S, SHORTEST_S, PacedFetcher


class ScriptedTime:
    """A clock that only sleeping and fetching move."""

    def __init__(self):
        self.now_s = 1000.0

    def monotonic(self):
        return self.now_s

    async def sleep(self, delay_s):
        self.now_s += max(0.0, delay_s)


@pytest.fixture
def clock(monkeypatch):
    clock = ScriptedTime()
    monkeypatch.setattr(pacing.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(pacing.asyncio, "sleep", clock.sleep)
    return clock


def durations_s(monkeypatch, clock, fetches):
    """How long each fetch takes, of a broker that answers so late and with records or without."""

    async def answer(self, answer_s, brought):
        clock.now_s += answer_s
        return brought

    monkeypatch.setattr(fetcher.Fetcher, "_proc_fetch_request", answer)

    async def all_of_them():
        paced, taken_s = PacedFetcher.__new__(PacedFetcher), []
        for answer_s, brought in fetches:
            started_s = clock.now_s
            assert brought == await paced._proc_fetch_request(answer_s, brought)
            taken_s.append(clock.now_s - started_s)
        return taken_s

    return asyncio.run(all_of_them())


def test_a_fetch_without_records_takes_as_long_as_none_have_come(monkeypatch, clock):
    """Within bounds: often where a stream flows, seldom where it stands still."""
    taken_s = durations_s(monkeypatch, clock, [(0.001, True)] + [(0.0, False)] * 6)
    assert pytest.approx([0.001, SHORTEST_S, SHORTEST_S, 0.02, 0.04, LONGEST_S, LONGEST_S]) == taken_s


def test_records_make_the_next_fetch_quick_again(monkeypatch, clock):
    """However long nothing had come."""
    taken_s = durations_s(monkeypatch, clock, [(0.0, False), (0.001, True), (0.0, False)])
    assert pytest.approx([LONGEST_S, 0.001, SHORTEST_S]) == taken_s


def test_a_broker_that_waits_is_not_slowed(monkeypatch, clock):
    """A fetch that came back later than it had to is over at once."""
    assert pytest.approx([0.25, 0.25]) == durations_s(monkeypatch, clock, [(0.25, False), (0.25, True)])
