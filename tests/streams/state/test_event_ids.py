from hypothesis import given
from hypothesis import strategies as st

from streams.state.event_ids import MAX_BLOCK, EventIds
from streams.state.rows import decode_rows

HORIZON_MS = 100


def known(ids, keys):
    return {key for key in keys if key in ids.known}


def restored(changelog, capacity=1_000_000):
    """Event ids loaded from a changelog: a dict of its records."""
    ids = EventIds(HORIZON_MS, capacity)
    ids.load(
        [
            (int.from_bytes(key[1:], "little"), decode_rows(b"I", [value]))
            for key, value in changelog.items()
            if value is not None
        ]
    )
    return ids


def test_an_event_is_known_from_its_first_copy_on():
    """What was added is known, before and after it was drained."""
    ids = EventIds(HORIZON_MS, 10)
    assert 7 not in ids.known
    ids.add(7, ts_ms=5)
    assert 7 in ids.known
    ids.drain(stream_ms=5)
    assert 7 in ids.known


def test_an_event_is_forgotten_after_the_horizon():
    """An id is known until the stream time has passed its event by more than the horizon."""
    ids = EventIds(HORIZON_MS, 10)
    ids.add(7, ts_ms=5)
    ids.drain(stream_ms=5 + HORIZON_MS)
    assert 7 in ids.known
    ids.drain(stream_ms=6 + HORIZON_MS)
    assert 7 not in ids.known
    assert 0 == ids.overflowed


def test_beyond_the_capacity_the_oldest_block_goes():
    """What a checkpoint brought goes together, is counted, and leaves a tombstone."""
    ids = EventIds(HORIZON_MS, capacity=3)
    for key in (1, 2):
        ids.add(key, ts_ms=5)
    ((first_key, _),) = ids.drain(stream_ms=5)
    for key in (3, 4):
        ids.add(key, ts_ms=5)
    records = ids.drain(stream_ms=5)
    assert (first_key, None) == records[-1]
    assert ({3, 4}, 2) == (known(ids, range(9)), ids.overflowed)


def test_many_ids_make_several_records():
    """A record never holds more ids than a broker's message limit takes."""
    ids = EventIds(HORIZON_MS, 10**6)
    for key in range(2 * MAX_BLOCK + 1):
        ids.add(key, ts_ms=5)
    records = ids.drain(stream_ms=5)
    assert [MAX_BLOCK, MAX_BLOCK, 1] == [len(decode_rows(b"I", [value])) for _, value in records]
    assert max(len(value) for _, value in records) < 10**6
    assert 2 * MAX_BLOCK + 1 == len(restored(dict(records)))


batches = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400)), max_size=6), max_size=8)


@given(batches)
def test_ids_inside_the_horizon_are_never_forgotten(checkpoints):
    """Whatever events and checkpoints come, no id goes before its horizon; restoring keeps them."""
    ids, changelog, newest_ms_of, stream_ms = EventIds(HORIZON_MS, 10**6), {}, {}, 0
    for events in checkpoints:
        for key, ts_ms in events:
            stream_ms = max(stream_ms, ts_ms)
            if key not in ids.known:
                ids.add(key, ts_ms)
                newest_ms_of[key] = ts_ms
        changelog |= dict(ids.drain(stream_ms))
        inside = {key for key, ts_ms in newest_ms_of.items() if ts_ms + HORIZON_MS >= stream_ms}
        assert inside <= known(ids, range(31))
        again = restored(changelog)
        assert known(ids, range(31)) == known(again, range(31))
        assert len(known(ids, range(31))) == len(ids) == len(again)


@given(batches, batches)
def test_restored_ids_go_on_as_the_others_do(before, after):
    """After a restart the same events give the same records."""
    ids, changelog, stream_ms = EventIds(HORIZON_MS, 10), {}, 0
    for number, events in enumerate([*before, *after]):
        if number == len(before):
            copy, overflowed = restored(changelog, capacity=10), ids.overflowed
        for key, ts_ms in events:
            stream_ms = max(stream_ms, ts_ms)
            if key not in ids.known:
                ids.add(key, ts_ms)
                if number >= len(before):
                    copy.add(key, ts_ms)
        records = ids.drain(stream_ms)
        changelog |= dict(records)
        if number >= len(before):
            # Numbers of blocks may begin anew; what is in them does not differ.
            assert [value for _, value in records] == [value for _, value in copy.drain(stream_ms)]
            assert known(ids, range(31)) == known(copy, range(31))
            assert ids.overflowed - overflowed == copy.overflowed
