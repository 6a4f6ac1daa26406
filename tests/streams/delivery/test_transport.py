"""What one poll of the transport brings."""

import asyncio
from types import SimpleNamespace

from faust.types import TP

from streams.delivery.transport import Fetched, Mark, _Thread

DECISIONS_0 = TP("decisions", 0)


def test_a_poll_comes_while_every_partition_is_held() -> None:
    """Jobs whose buffers are full get their turns, in which alone they can empty them."""
    thread = _Thread.__new__(_Thread)
    thread.app = SimpleNamespace(held={DECISIONS_0})
    state = SimpleNamespace(has_valid_position=True, position=5, highwater=9)
    assignment = SimpleNamespace(tps=[DECISIONS_0], state_value=lambda tp: state)
    consumer = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)),
        _coordinator=SimpleNamespace(generation=3),
    )
    polled = asyncio.run(thread._fetch_records(consumer, {DECISIONS_0}, timeout=0.01))
    assert Fetched({}, {DECISIONS_0: Mark(5, 9)}, 3) == polled
