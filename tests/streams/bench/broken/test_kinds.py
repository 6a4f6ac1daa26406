import orjson
import pytest

from streams.bench.broken.kinds import STRANGER, TEMPLATES, kinds
from streams.processor.arrival import decode

KINDS = list(kinds())


def test_there_are_many_kinds_and_each_has_a_name_of_its_own():
    """At least 200 ways to break an event."""
    assert len(KINDS) == len({kind.name for kind in KINDS}) > 200


@pytest.mark.parametrize("event", TEMPLATES)
def test_what_is_broken_was_in_order_before(event):
    """A kind is refused for what is broken in it: the event that it was made of is not."""
    topic, template = TEMPLATES[event]
    assert decode(topic, 0, 0, template["ts_ms"], orjson.dumps(template), 0).event is not None


def test_every_kind_is_refused_with_a_reason_that_names_nobody():
    """The decoder raises for none of them, and says what was expected without quoting the user."""
    for kind in KINDS:
        arrival = decode(kind.topic, 0, 7, -1, kind.value, 0)
        assert (None, kind.value, 7) == (arrival.event, arrival.raw, arrival.offset), kind.name
        assert arrival.reason, kind.name
        assert STRANGER not in arrival.reason, kind.name
