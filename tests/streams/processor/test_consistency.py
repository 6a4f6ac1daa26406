"""What kernels keep beside the rows: indexes, chains and timers, which must say what the rows say."""

from collections import defaultdict
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from partitions import Partitions
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor, purchase, refund, view

from schemas.outcomes import decode_outcome
from streams.routing import partition_of
from streams.settings import Identity, State, Validity
from streams.state.books import CLICKS, CLICKS_OF, COUNT, EVICTED, REPEATS, REPEATS_OF
from streams.state.chains import newest, older, oldest
from streams.state.index import ABSENT
from streams.state.lookup import user_key
from streams.state.rows import NO_OFFSET, NOBODY, encode_key

COUNT_OF_PARTITIONS = 2
LINKED = {"a1": "u1", "a2": "u2", "a3": "u1"}
USERS = [*LINKED, "u1", "u2"]
ROOMY, NARROW = State(), State(max_clicks=3, max_repeats=2, max_exposures=4, max_profiles=3, max_links=2)


def settings_of(caps):
    """Judging by rate, with ids and logins that are soon forgotten."""
    return replace(
        SETTINGS,
        state=caps,
        processing=replace(SETTINGS.processing, duplicate_horizon_s=5),
        validity=Validity(min_click_delay_ms=0, max_clicks=2, window_s=4),
        identity=Identity(reclaim_after_s=1),
    )


def walked(state, chains, pool, owner):
    """Slots of an owner, newest first; not for ever."""
    books, found = state.books, []
    slot = newest(books[chains], owner)
    assert oldest(books[chains], books[pool], owner) == ABSENT or slot != ABSENT
    while slot != ABSENT:
        found.append(slot)
        assert len(found) <= len(state.clicks) + len(state.repeats), "a chain without an end"
        slot = older(books[chains], books[pool], owner, slot)
    return found


def assert_chained(state, chains, pool, rows, owner_field, line):
    """Each owner's rows, newest first, and nobody else's."""
    slots_of = defaultdict(list)
    for row in sorted(rows, key=lambda row: (int(row["ts_ms"]), int(row["key"])), reverse=True):
        slots_of[int(row[owner_field])].append(pool.find(int(row["key"])))
    assert slots_of == {owner: walked(state, chains, line, owner) for owner in slots_of}
    assert len(slots_of) == state.books[chains, COUNT]


def assert_consistent(state):
    """Every row is found by its key, and every chain is of its owner's rows."""
    for pool in state.pools:
        keys = [int(row["key"]) for row in pool]
        assert len(pool) == len(keys) == len(set(keys)) <= pool.capacity
        assert keys == [int(pool[key]["key"]) for key in keys]
    assert 0 == state.books[CLICKS, EVICTED] == state.books[REPEATS, EVICTED]
    joined = [row for row in state.clicks if row["exposure_offset"] != NO_OFFSET and row["user"] != NOBODY]
    assert_chained(state, CLICKS_OF, state.clicks, joined, "user", CLICKS)
    assert_chained(state, REPEATS_OF, state.repeats, list(state.repeats), "click", REPEATS)


names = st.sampled_from(["x1", "x2", "x3"])
users = st.sampled_from(USERS)
kinds = st.sampled_from(["clicked"] * 3 + ["exposure", "click", "order"] + ["login"] * 2)


@st.composite
def histories(draw):
    """Exposures and clicks of few names, some of which come again, orders, and logins."""
    made, ts_ms = [], T0_MS
    for number in range(draw(st.integers(1, 40))):
        ts_ms += draw(st.sampled_from([0, 10, 500, 6000, 20_000]))
        user, name = draw(users), draw(names)
        match draw(kinds):
            case "clicked":
                made += [
                    exposure(ts_ms, user, event_id=f"{name}-{user}", propensity=0.5),
                    click(ts_ms + 1, user, exposure_id=f"{name}-{user}"),
                ]
            case "exposure":
                made.append(exposure(ts_ms, user, event_id=f"{name}-{user}", propensity=0.5))
            case "click":
                made.append(click(ts_ms, user, exposure_id=f"{name}-{user}"))
            case "order":
                made.append(purchase(ts_ms, user, order_id=f"o{number}"))
                made.append(refund(ts_ms + 2, user, order_id=f"o{number}"))
            case "login":
                anonymous = draw(st.sampled_from(list(LINKED)))
                made.append(view(ts_ms, LINKED[anonymous], anonymous_id=anonymous))
    return [*made, view(ts_ms + 10**6, "u1"), view(ts_ms + 10**6, "u2")]


@pytest.mark.parametrize("caps", [ROOMY, NARROW], ids=["roomy", "narrow"])
@settings(max_examples=40, deadline=None)
@given(events=histories())
def test_indexes_and_chains_say_what_the_rows_say(caps, events):
    """After each event, each transfer of clicks and a restart, also where rows make room for others."""
    partitions = Partitions(COUNT_OF_PARTITIONS, settings_of(caps))
    for event in events:
        partitions.send([event])
        moving = True
        while moving:
            moving = False
            for number, partition in enumerate(partitions.all):
                moving |= partition.step()
                assert_consistent(partition.processor.state)
                partitions.checkpoint(number)
    for partition in partitions.all:
        partition.crash()
        assert_consistent(partition.processor.state)


def seen_again(gap_ms):
    """An exposure of another system and its click; then the same exposure, once its id has been forgotten."""
    return [
        exposure(T0_MS, event_id="x", propensity=0.5),
        click(T0_MS + 1, exposure_id="x"),
        view(T0_MS + gap_ms - 1),
        view(T0_MS + gap_ms - 1),
        exposure(T0_MS + gap_ms, event_id="x", propensity=0.5),
    ]


@pytest.mark.parametrize("gap_ms", [6000, 31_000], ids=["inside the window", "after it"])
def test_an_exposure_that_comes_again_leaves_no_end_of_a_chain(gap_ms):
    """A click that was joined, and that the second exposure makes invalid, is nobody's any more."""
    processor = new_processor(settings_of(ROOMY))
    for arrival in arrivals(seen_again(gap_ms)):
        processor.process([arrival])
        processor.state.drain()
    assert_consistent(processor.state)
    assert ABSENT == newest(processor.state.books[CLICKS_OF], user_key("main", "u1"))


def moved(caps, clicks_of_x):
    """Two partitions: in the second, clicks of ``x``, and then those that a login brings for another user."""
    anonymous, x, known = user_in(0, "a"), user_in(1, "x"), user_in(1, "u")
    partitions = Partitions(2, replace(SETTINGS, state=caps))
    for user, start_ms, clicks in ((x, T0_MS, clicks_of_x), (anonymous, T0_MS + 1000, 2)):
        for number in range(clicks):
            ms = start_ms + 100 * number
            name = f"{user}-{number}"
            partitions.send([exposure(ms, user, event_id=name, propensity=0.5)])
            partitions.send([click(ms + 10, user, exposure_id=name)])
    partitions.settle()
    partitions.send([view(T0_MS + 2000, known, anonymous_id=anonymous)])
    partitions.settle()
    return partitions, x


def user_in(partition, prefix):
    """An id that Kafka's partitioner puts there."""
    ids = (f"{prefix}{number}" for number in count())
    return next(one for one in ids if partition_of(one.encode(), 2) == partition)


def test_clicks_that_make_room_for_those_of_a_login_earn_nothing():
    """They are gone: an order of their user has no click, and the changelog does not get them back."""
    partitions, x = moved(State(max_clicks=2), clicks_of_x=2)
    target = partitions.all[1]
    assert_consistent(target.processor.state)
    partitions.send([purchase(T0_MS + 3000, x)])
    partitions.settle()
    target.processor.advance(T0_MS + 50_000)
    partitions.checkpoint(1)
    assert [] == [o for o in map(decode_outcome, target.outcomes) if o.kind == "purchase"]
    assert_consistent(target.processor.state)
    logged = {key for key, value in dict(target.changelog).items() if value is not None}
    clicks = {encode_key(b"C", int(row["key"])) for row in target.processor.state.clicks}
    assert clicks == {key for key in logged if key[:1] == b"C"}


def test_logins_are_kept_while_their_pool_grows(monkeypatch):
    """Each row says its pair, its time and its user, also those that made the array larger."""
    monkeypatch.setattr("streams.state.pool.FIRST_SLOTS", 1)
    processor = new_processor()
    processor.process(arrivals([view(T0_MS + n, f"u{n}", anonymous_id=f"a{n}") for n in range(20)]))
    expected = sorted((T0_MS + n, user_key("main", f"u{n}")) for n in range(20))
    assert expected == sorted((int(row["ts_ms"]), int(row["user"])) for row in processor.state.links)
    assert_consistent(processor.state)


def test_which_login_makes_room_does_not_depend_on_where_a_run_ends():
    """One that has expired by then makes room by itself, and is not counted as having had to."""
    events = [
        view(T0_MS, "u1", anonymous_id="a1"),
        view(T0_MS + 1_000_000, "u2", anonymous_id="a2"),
        view(T0_MS + 1_800_001, "u9"),
        view(T0_MS + 1_800_002, "u3", anonymous_id="a3"),
    ]
    at_once, one_by_one = (new_processor(replace(SETTINGS, state=State(max_links=2))) for _ in range(2))
    at_once.process(arrivals(events))
    for arrival in arrivals(events):
        one_by_one.process([arrival])
    assert one_by_one.state.drain() == at_once.state.drain()
    assert 0 == at_once.state.counters["overflowed"]


def test_a_click_that_comes_twice_by_login_is_chained_once():
    """The anonymous user's second click on what was shown again has the key of the first, and its place."""
    anonymous, known = user_in(0, "a"), user_in(1, "u")
    partitions = Partitions(2, settings_of(ROOMY))
    for start_ms in (T0_MS, T0_MS + 20_000):
        for number in range(2):
            shown, name = start_ms + 1000 * number, ("again", f"x{start_ms}")[number]
            partitions.send([exposure(shown, anonymous, event_id=name, propensity=0.5)])
            partitions.send([click(shown + 1, anonymous, exposure_id=name)])
        partitions.settle()
        partitions.send([view(start_ms + 2000, known, anonymous_id=anonymous)])
        partitions.settle()
        partitions.send([view(start_ms + 16_000, anonymous)])
        partitions.settle()
    clicks = partitions.all[1].processor.state.clicks
    assert [1001, 20_001, 21_001] == sorted(int(row["ts_ms"]) - T0_MS for row in clicks)
    assert_consistent(partitions.all[1].processor.state)
