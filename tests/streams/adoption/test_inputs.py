"""Foreign topics as inputs of the process role."""

import pytest
from traffic import T0_MS

from schemas.topics import DECISIONS, INPUTS, TOPICS
from streams.adoption.inputs import CONTRACT, expected_topics, inputs_of, open_inputs, shadow_topics
from streams.adoption.mapping import MappingError, loads
from streams.settings import Adoption

IDS = (
    'fields.event_id = { place = true }\nfields.user_id = { path = "$.u" }\nfields.ts_ms = { path = "$.t" }\n'
)
RULE = '[[topics.rules]]\nevent = "%s"\nwhen = { "$.e" = ["%s"] }\n'
VIEW = RULE % ("view", "view") + IDS + 'fields.page = { value = "home" }\n'
CLICK = RULE % ("click", "add") + IDS + 'fields.kind = { value = "item" }\n'
REFUND = (
    f'[[topics.rules]]\nevent = "refund"\nwhen = {{ "$.e" = ["refund"] }}\n{IDS}'
    'fields.order_id = { path = "$.o" }\nfields.amount_micros = { value = 1 }\n'
)
PING = '[[topics.rules]]\nevent = "ignore"\nwhen = { "$.e" = ["ping"] }\n'
AHEAD_MS = 10_000
AHEAD = "Expected `int` <= the broker's time"


def topic(name, *rules):
    """A topic of a mapping."""
    return f'[[topics]]\nname = "{name}"\n{"".join(rules)}'


def inputs(*topics, **adoption):
    """Inputs of a mapping."""
    return inputs_of(loads("".join(topics)), Adoption(**adoption))


def test_without_a_mapping_the_contract_is_read():
    """Nothing is different from before, and nobody works in shadow."""
    assert CONTRACT is open_inputs(Adoption())
    assert (INPUTS, DECISIONS.name, 0) == (CONTRACT.read, CONTRACT.decisions, CONTRACT.identity)
    assert TOPICS == expected_topics(CONTRACT)


@pytest.mark.parametrize("turned", [False, True])
def test_a_topic_has_the_place_of_what_it_feeds(turned):
    """However the mapping orders its topics, offsets of the state keep their meaning."""
    topics = [topic("orders", REFUND), topic("web", VIEW, CLICK, PING)]
    made = inputs(*(reversed(topics) if turned else topics))
    assert {"web": 0, "orders": 2} == made.numbers
    assert made.identity == inputs(*topics).identity != 0
    assert made.ignores


def test_other_topics_have_another_identity():
    """The state of one cannot be taken for that of the other."""
    assert inputs(topic("a", VIEW)).identity != inputs(topic("b", VIEW)).identity
    assert inputs(topic("a", VIEW)).identity != inputs(topic("a", CLICK)).identity


@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        ([topic("a", VIEW), topic("b", CLICK, VIEW)], "Expected one source of `views`, got `a` and `b`"),
        ([topic("views", VIEW)], "got `views`, which Headrace makes"),
        ([topic("a", PING)], "Expected a rule of `a` for an event"),
    ],
)
def test_what_a_worker_cannot_read_is_refused(topics, reason):
    """The sentence says what was expected."""
    with pytest.raises(MappingError) as raised:
        inputs(*topics)
    assert reason in str(raised.value)


def test_shadow_is_on_until_it_is_turned_off():
    """Decisions have a topic of their own, which is made as that of the contract is."""
    shadow, live = inputs(topic("a", VIEW)), inputs(topic("a", VIEW), shadow=False)
    assert ("decisions-shadow", "decisions") == (shadow.decisions, live.decisions)
    assert [("decisions-shadow", "input")] == [(each.name, each.partitions) for each in shadow_topics(shadow)]
    assert () == shadow_topics(live)
    names = [each.name for each in expected_topics(shadow)]
    assert "a" in names
    assert "views" not in names


@pytest.mark.parametrize(
    ("raw", "ts_ms", "found"),
    [
        (b'{"e":"view","u":1,"t":%d}' % T0_MS, T0_MS, ("View", "")),
        (b'{"e":"ping"}', T0_MS, ("NoneType", "")),
        (None, T0_MS, ("NoneType", "Input data was truncated")),
        (b'{"e":"view","u":1,"t":%d}' % T0_MS, T0_MS - AHEAD_MS - 1, ("NoneType", AHEAD)),
    ],
)  # fmt: skip
def test_a_record_is_decoded_as_those_of_the_contract_are(raw, ts_ms, found):
    """An event, a reason, or neither where it is to be ignored; and the letter names the foreign topic."""
    arrival = inputs(topic("web", VIEW, PING)).decode(0, 3, 7, ts_ms, raw, AHEAD_MS)
    kind, reason = found
    assert kind == type(arrival.event).__name__
    assert arrival.reason.startswith(reason)
    assert bool(reason) == bool(arrival.reason)
    assert ("web", 3, 7) == (arrival.dead_letter("why").topic, arrival.partition, arrival.offset)
