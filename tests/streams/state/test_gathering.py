import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.state.gathering import Gathering
from streams.state.rows import REQUEST, ChangelogError, decode_rows, encode_key, encode_rows

KIND = b"R"


def record(key, ts_ms):
    """A request's changelog record; without a time it deletes, with a negative one it has another size."""
    if ts_ms is None:
        return encode_key(KIND, key), None
    row = np.zeros(1, REQUEST)
    row["key"], row["ts_ms"] = key, abs(ts_ms)
    value = encode_rows(row)[0]
    return encode_key(KIND, key), value * 2 if ts_ms < 0 else value


def content(rows):
    return sorted(zip(rows["key"].tolist(), rows["ts_ms"].tolist(), strict=True))


times_ms = st.none() | st.integers(1, 99) | st.integers(-99, -1)


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), times_ms), max_size=10), max_size=8))
def test_the_newest_record_of_each_key_is_left(story):
    """Whatever came, went and came again, in whatever size and however cut, a dictionary would hold."""
    polls = [[record(key, ts_ms) for key, ts_ms in poll] for poll in story]
    newest = dict(each for poll in polls for each in poll)
    expected = {key: value for key, value in newest.items() if value is not None}
    gathering = Gathering()
    for poll in polls:
        gathering.add([key for key, _ in poll], [value for _, value in poll])
    assert expected == {encode_key(KIND, key): value for key, value in gathering.values(KIND)}
    assert content(decode_rows(KIND, expected.values())) == content(gathering.rows(KIND))


def test_kinds_are_kept_apart():
    """The same number may be the key of a row of each kind."""
    key, value = record(1, 5)
    gathering = Gathering()
    gathering.add([key, b"P" + key[1:]], [value, b"another"])
    assert {b"R": [(1, value)], b"P": [(1, b"another")]} == {
        kind: list(gathering.values(kind)) for kind in (b"R", b"P")
    }


def test_a_kind_without_records_has_no_rows():
    """Nothing was written of it, or all of it was deleted."""
    gathering = Gathering.of([record(1, 5), record(1, None)])
    assert [0, 0] == [len(gathering.rows(kind)) for kind in (KIND, b"P")]


@pytest.mark.parametrize("others", [[], [(1, 5)], [(1, 5), (2, 6)]])
def test_an_empty_value_is_damaged(others):
    """No row is empty; beside others it takes nobody's place."""
    good = [record(*each) for each in others]
    gathering = Gathering()
    for poll in (good[:1], [(encode_key(KIND, 9), b"")], good[1:]):
        gathering.add([key for key, _ in poll], [value for _, value in poll])
    assert {*good, (encode_key(KIND, 9), b"")} == {
        (encode_key(KIND, key), value) for key, value in gathering.values(KIND)
    }
    with pytest.raises(ChangelogError) as caught:
        gathering.rows(KIND)
    assert b"" == caught.value.value


def test_a_damaged_value_is_named():
    """The error holds the very value that is wrong, so that its place in the topic can be found."""
    good, (key, value) = record(1, 5), record(2, 6)
    damaged = value[:-1] + bytes([value[-1] ^ 1])
    with pytest.raises(ChangelogError) as caught:
        Gathering.of([good, (key, damaged)]).rows(KIND)
    assert damaged == caught.value.value
