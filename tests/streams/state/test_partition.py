import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profiles import DAY_MS
from streams.settings import Processing, State
from streams.state.index import ABSENT
from streams.state.partition import PartitionState
from streams.state.rows import COUNTERS, META_KEY, ChangelogError

CAPS = State(
    max_profiles=5,
    max_requests=4,
    max_exposures=4,
    max_clicks=4,
    max_purchases=4,
    max_refunds=4,
    max_event_ids=8,
)
POOLS = ("profiles", "requests", "exposures", "clicks", "purchases", "refunds")

writes = st.tuples(st.just("write"), st.sampled_from(POOLS), st.integers(0, 8), st.integers(1, 500))
removals = st.tuples(st.just("remove"), st.sampled_from(POOLS), st.integers(0, 8), st.just(0))
event_ids = st.tuples(st.just("event"), st.just(""), st.integers(0, 20), st.integers(1, 500))
checkpoints = st.lists(st.lists(st.one_of(writes, removals, event_ids), max_size=10), min_size=1, max_size=6)


def new_state():
    return PartitionState(CAPS, Processing(duplicate_horizon_s=0.1))


def apply(state, change):
    kind, name, key, ts_ms = change
    if kind == "event":
        if key not in state.event_ids.known:
            state.event_ids.add(key, ts_ms)
        state.stream_ms = max(state.stream_ms, ts_ms)
        state.offsets[key % 3] += 1
        state.counters["events"] += 1
        return
    pool = getattr(state, name)
    if kind == "remove":
        pool.remove(key)
    else:
        slot = pool.find(key)
        slot = pool.add(key) if slot == ABSENT else slot
        pool.rows["as_of_ms" if name == "profiles" else "ts_ms"][slot] = ts_ms
        pool.touch(key)


def columns(row):
    return {name: row[name].tobytes() for name in row.dtype.names}


def content(state):
    """All that a state holds."""
    return {
        **{name: {int(row["key"]): columns(row) for row in getattr(state, name)} for name in POOLS},
        "event_ids": {key for key in range(21) if key in state.event_ids.known},
        "stream_ms": state.stream_ms,
        "offsets": state.offsets,
        "counters": state.counters,
    }


@given(checkpoints)
def test_a_restored_state_is_the_state_at_its_last_checkpoint(checkpoints):
    """At each cut, the changelog so far gives back everything: rows, ids, time, offsets and counters."""
    state, changelog = new_state(), []
    for changes in checkpoints:
        for change in changes:
            apply(state, change)
        changelog += state.drain()
        restored = new_state()
        restored.restore(changelog)
        assert content(state) == content(restored)
        assert restored.restored


@given(checkpoints)
def test_a_compacted_changelog_gives_the_same_state(checkpoints):
    """Only the last record of a key counts, so that the broker may drop the earlier ones."""
    state, changelog = new_state(), []
    for changes in checkpoints:
        for change in changes:
            apply(state, change)
        changelog += state.drain()
    compacted = new_state()
    compacted.restore((key, value) for key, value in dict(changelog).items() if value is not None)
    assert content(state) == content(compacted)


def test_a_removed_row_leaves_a_tombstone():
    """A row that was written and removed is deleted from the changelog too."""
    state = new_state()
    apply(state, ("write", "clicks", 3, 10))
    (key, value), _ = state.drain()
    state.clicks.remove(3)
    (deleted, nothing), _ = state.drain()
    assert value is not None
    assert (key, None) == (deleted, nothing)


def profile(state, key, as_of_ms):
    slot = state.profiles.add(key)
    state.profiles.rows["as_of_ms"][slot] = as_of_ms


def test_profiles_go_at_midnight():
    """A profile is there until the first midnight of stream time at which it is older than allowed."""
    state = PartitionState(State(profile_ttl_s=2 * DAY_MS / 1000), Processing())
    state.advance(10 * DAY_MS + 5)
    for key, as_of_ms in enumerate((8 * DAY_MS - 1, 9 * DAY_MS - 1, 9 * DAY_MS, 10 * DAY_MS)):
        profile(state, key, as_of_ms)
    state.advance(11 * DAY_MS - 1)
    assert [0, 1, 2, 3] == sorted(state.profiles.keys())
    state.advance(11 * DAY_MS)
    assert [2, 3] == sorted(state.profiles.keys())
    state.advance(30 * DAY_MS)
    assert [] == sorted(state.profiles.keys())


def test_a_removed_profile_is_not_removed_again():
    """Its slot may be another user's by then."""
    state = PartitionState(State(profile_ttl_s=1), Processing())
    profile(state, 1, DAY_MS)
    state.advance(2 * DAY_MS)
    profile(state, 2, 2 * DAY_MS)
    state.profiles.remove(2)
    profile(state, 2, 3 * DAY_MS)
    state.advance(3 * DAY_MS)
    assert [2] == state.profiles.keys()


def test_profiles_may_be_kept_for_ever():
    """Without a limit only the cap makes room."""
    state = PartitionState(State(profile_ttl_s=0), Processing())
    profile(state, 1, 1)
    state.advance(10_000 * DAY_MS)
    assert [1] == state.profiles.keys()


@given(
    st.lists(st.integers(1, 20 * DAY_MS), min_size=1, max_size=12), st.lists(st.integers(0, 11), max_size=4)
)
def test_restarts_do_not_decide_which_profiles_there_are(times_ms, restarts):
    """Whenever the state is committed and restored on the way, the same profiles are left."""
    settings = State(profile_ttl_s=3 * DAY_MS / 1000), Processing()
    state, undisturbed, changelog = PartitionState(*settings), PartitionState(*settings), []
    for number, ts_ms in enumerate(sorted(times_ms)):
        for each in (state, undisturbed):
            each.advance(max(ts_ms, each.stream_ms))
            if each.profiles.get(number) is None:
                profile(each, number, ts_ms)
        if number in restarts:
            changelog += state.drain()
            state = PartitionState(*settings)
            state.restore(changelog)
    assert sorted(undisturbed.profiles.keys()) == sorted(state.profiles.keys())


def test_an_emptied_state_leaves_tombstones():
    """Once all rows and ids are gone the changelog has nothing for them; only the position is left."""
    state, changelog = new_state(), {}
    for name in POOLS:
        for key in range(3):
            apply(state, ("write", name, key, 10 + key))
    for key in range(5):
        apply(state, ("event", "", key, 10))
    changelog |= dict(state.drain())
    assert 3 * len(POOLS) + 2 == len(changelog)
    for name in POOLS:
        pool = getattr(state, name)
        for row in pool:
            pool.remove(int(row["key"]))
    state.advance(10_000)
    changelog |= dict(state.drain())
    assert {META_KEY} == {key for key, value in changelog.items() if value is not None}
    assert 3 * len(POOLS) + 2 == len(changelog)


def test_without_changes_only_the_position_is_written():
    """A second drain holds nothing but stream time, offsets and counters."""
    state = new_state()
    for name in POOLS:
        apply(state, ("write", name, 1, 10))
    assert len(POOLS) + 1 == len(state.drain())
    assert [b"M"] == [key[:1] for key, _ in state.drain()]


def test_an_empty_changelog_is_a_new_state():
    """A partition that was never committed starts empty and says so."""
    state = new_state()
    state.restore([])
    assert content(new_state()) == content(state)
    assert not state.restored


def test_what_overflows_is_counted_once():
    """Rows and ids that had to make room are summed into one counter, which survives a restart."""
    state = new_state()
    for key in range(CAPS.max_clicks + 2):
        apply(state, ("write", "clicks", key, 10 + key))
    for key in range(CAPS.max_event_ids + 1):
        apply(state, ("event", "", key, 10))
    changelog = [*state.drain(), *state.drain()]
    restored = new_state()
    restored.restore(changelog)
    assert 2 + CAPS.max_event_ids + 1 == restored.counters["overflowed"]
    assert set(COUNTERS) == set(restored.counters)


def test_a_damaged_record_stops_the_restore():
    """A changelog with a wrong byte is refused instead of being read as another state."""
    state = new_state()
    apply(state, ("write", "profiles", 3, 10))
    (key, value), meta = state.drain()
    with pytest.raises(ChangelogError, match="checksum"):
        new_state().restore([(key, value[:9] + b"\xff" + value[10:]), meta])
