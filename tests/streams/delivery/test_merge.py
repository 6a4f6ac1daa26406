from hypothesis import given
from hypothesis import strategies as st
from traffic import T0_MS, click, purchase, view

from streams.delivery.merge import MAX_BUFFERED, EventTimeMerge
from streams.processor.arrival import Arrival

BUILDERS = (view, click, purchase)

times = st.lists(st.one_of(st.none(), st.integers(0, 6)), max_size=12)
topics_of_times = st.tuples(times, times, times)
sorted_times = st.lists(st.integers(0, 6), max_size=12).map(sorted)


def arrival(topic, offset, second):
    """A record of an event at a second; one that could not be decoded where it is None."""
    event = None
    if second is not None:
        fields = {"decision_id": "d"} if topic == 1 else {}
        event = BUILDERS[topic](T0_MS + 1000 * second, event_id="e", **fields)
    return Arrival(topic, 0, offset, 0, b"", event)


def topics_of(seconds):
    return [
        [arrival(topic, offset, second) for offset, second in enumerate(of_topic)]
        for topic, of_topic in enumerate(seconds)
    ]


def names(arrivals):
    return [(arrival.topic, arrival.offset) for arrival in arrivals]


def by_heads(topics):
    """The plain rule: the earliest head of all is next, of equal ones that of the first topic."""
    queues, taken = [list(topic) for topic in topics], []
    while any(queues):
        heads = [
            (queue[0].event.ts_ms if queue[0].event else 0, topic)
            for topic, queue in enumerate(queues)
            if queue
        ]
        taken.append(queues[min(heads)[1]].pop(0))
    return taken


def in_polls(topics, data):
    """Feed the topics in polls of any size, as a broker would; yields after each what came out."""
    merge, remaining = EventTimeMerge(), [list(topic) for topic in topics]
    while any(remaining) or not merge.idle:
        for topic, rest in enumerate(remaining):
            size = data.draw(st.integers(0, len(rest)))
            merge.add(topic, rest[:size])
            del rest[:size]
            merge.mark(topic, behind=bool(rest))
        yield merge, remaining, merge.ready(data.draw(st.integers(1, 20)))


@given(topics_of_times, st.data())
def test_the_sequence_does_not_depend_on_the_polls(seconds, data):
    """However the records were cut into polls, and whatever could not be decoded, one sequence comes out."""
    topics = topics_of(seconds)
    sequence = [taken for _, _, ready in in_polls(topics, data) for taken in ready]
    assert names(by_heads(topics)) == names(sequence)


@given(st.tuples(sorted_times, sorted_times, sorted_times), st.data())
def test_topics_in_order_are_merged_as_sorting_would(seconds, data):
    """Where each topic is in event-time order, the result is all of them sorted by time."""
    topics = topics_of(seconds)
    sequence = [taken for _, _, ready in in_polls(topics, data) for taken in ready]
    expected = sorted(
        (one for topic in topics for one in topic), key=lambda one: (one.event.ts_ms, one.topic)
    )
    assert names(expected) == names(sequence)


@given(topics_of_times, st.data())
def test_nothing_overtakes_a_topic_that_is_behind(seconds, data):
    """No record comes out while an earlier one of another topic is still at the broker."""
    topics = topics_of(seconds)
    for _, remaining, ready in in_polls(topics, data):
        for taken in ready:
            earlier = by_heads(topics)[: names(by_heads(topics)).index((taken.topic, taken.offset))]
            at_the_broker = {name for rest in remaining for name in names(rest)}
            assert not at_the_broker & set(names(earlier))


@given(topics_of_times, st.data())
def test_offsets_of_a_topic_keep_their_order(seconds, data):
    """Inside a topic records come out by offset, whatever their times say, and none is lost."""
    topics = topics_of(seconds)
    sequence = [taken for _, _, ready in in_polls(topics, data) for taken in ready]
    for topic, records in enumerate(topics):
        assert list(range(len(records))) == [one.offset for one in sequence if one.topic == topic]


def test_a_topic_that_is_behind_holds_the_others_back():
    """With nothing of a topic that has more at the broker, nothing comes out until it has come."""
    merge = EventTimeMerge()
    merge.add(0, [arrival(0, 0, 1)])
    merge.mark(2, behind=False)
    assert [] == merge.ready(10)
    merge.mark(1, behind=False)
    assert [(0, 0)] == names(merge.ready(10))


def test_a_merge_is_idle_when_nothing_waits_and_nothing_is_known_to_come():
    """A new merge is not idle: what the broker holds is not known yet."""
    merge = EventTimeMerge()
    assert not merge.idle
    for topic in range(3):
        merge.mark(topic, behind=False)
    assert merge.idle
    merge.add(0, [arrival(0, 0, 1)])
    assert not merge.idle


def test_a_topic_with_many_waiting_records_is_full():
    """A topic that waits for another is not read without bound."""
    merge = EventTimeMerge()
    merge.add(1, [arrival(1, offset, 1) for offset in range(MAX_BUFFERED)])
    assert [1] == list(merge.full)
