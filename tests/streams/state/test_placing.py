import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.routing import partition_hash, partition_of
from streams.state.lookup import user_key
from streams.state.placing import Content, place
from streams.state.rows import (
    KINDS,
    NEWEST_VERSION,
    NOBODY,
    PURCHASE,
    decode_rows,
    encode_key,
    encode_rows,
    in_version,
)

HERE = 0


def content_of(rows_by_kind, version=NEWEST_VERSION):
    records = [
        (encode_key(kind, key), value)
        for kind, rows in rows_by_kind.items()
        for key, value in zip(rows["key"].tolist(), encode_rows(rows), strict=True)
    ]
    return Content(dict(in_version(records, version)))


def profiles(*user_ids):
    rows = np.zeros(len(user_ids), KINDS[b"P"].dtype)
    rows["key"] = [user_key("main", user_id) for user_id in user_ids]
    rows["partition_hash"] = [partition_hash(user_id) for user_id in user_ids]
    return rows


def rows_of_user(kind, user, **fields):
    rows = np.zeros(1, KINDS[kind].dtype)
    rows["key"], rows["user"] = 7, user_key("main", user)
    for name, value in fields.items():
        rows[name] = value
    return rows


def user_of(before, source, after, target):
    """A user whom Kafka puts in one partition of so many, and in another of others."""
    return next(
        user_id
        for user_id in map(str, range(100_000))
        if (partition_of(user_id.encode(), before), partition_of(user_id.encode(), after)) == (source, target)
    )


@given(
    st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=20), st.integers(1, 9), st.integers(0, 9)
)
def test_every_row_goes_where_its_user_goes(user_ids, before, more):
    """A profile lies in its user's partition afterwards, and nowhere else."""
    after = before + more
    found = {}
    for source in range(before):
        here = [user_id for user_id in user_ids if partition_of(user_id.encode(), before) == source]
        placed = place(content_of({b"P": profiles(*here)}), source, before, after, NEWEST_VERSION)
        found |= {(source, encode_key(b"P", key)): True for key in profiles(*here)["key"].tolist()}
        for target, records in placed.records.items():
            found |= {(target, key): value is not None for key, value in records}
        assert (0, 0) == (placed.unplaced, placed.strays)
    expected = {
        (partition_of(user_id.encode(), after), encode_key(b"P", user_key("main", user_id)))
        for user_id in user_ids
    }
    assert expected == {where for where, there in found.items() if there}


@pytest.mark.parametrize("kind", [b"R", b"E", b"C", b"O", b"F"])
def test_what_a_user_waits_for_moves_along(kind):
    """A pending row goes by its user's profile; its offsets say from then on which partition they are of."""
    user_id = user_of(2, 1, 3, 0)
    rows = {b"P": profiles(user_id), kind: rows_of_user(kind, user_id, ts_ms=5)}
    placed = place(content_of(rows), 1, 2, 3, NEWEST_VERSION)
    assert (2, 2) == (placed.rows, placed.moved)
    (moved,) = [value for key, value in placed.records[0] if key[:1] == kind]
    assert {(encode_key(kind, 7), None), (encode_key(b"P", user_key("main", user_id)), None)} == set(
        placed.records[1]
    )
    row = decode_rows(kind, [moved])[0]
    assert [5, *(2 for name in row.dtype.names if name.endswith("origin"))] == [
        row["ts_ms"], *(row[name] for name in row.dtype.names if name.endswith("origin"))
    ]  # fmt: skip


def test_a_row_that_comes_back_is_at_home():
    """What was moved twice and is where it was made says so, as if it had never left."""
    user_id = user_of(3, 0, 4, 1)
    rows = {b"E": rows_of_user(b"E", user_id, origin=2, request_origin=3), b"P": profiles(user_id)}
    placed = place(content_of(rows), 0, 3, 4, NEWEST_VERSION)
    (value,) = [value for key, value in placed.records[1] if key[:1] == b"E"]
    row = decode_rows(b"E", [value])[0]
    assert (HERE, 3) == (row["origin"], row["request_origin"])


def test_orders_of_different_partitions_stay_apart():
    """An order is known by its offset where it was made, and by a key of its own elsewhere."""
    user_id = user_of(2, 1, 3, 0)
    orders = np.zeros(2, PURCHASE)
    orders["key"], orders["offset"], orders["user_id"] = (4, 2**60), 4, user_id
    placed = place(content_of({b"O": orders}), 1, 2, 3, NEWEST_VERSION)
    new_key, kept_key = decode_rows(b"O", [value for _, value in placed.records[0]])["key"]
    assert new_key not in (4, kept_key)
    assert 2**60 == kept_key


def test_an_order_says_whose_it_is():
    """Its row has the user's id, so that nothing else of the user need be there."""
    user_id = user_of(2, 1, 3, 2)
    orders = rows_of_user(b"O", user_id, user_id=user_id)
    assert {1, 2} == set(place(content_of({b"O": orders}), 1, 2, 3, NEWEST_VERSION).records)


def test_rows_of_unknown_users_are_counted():
    """A row whose user nobody can name is deleted, and the count says so."""
    rows = profiles("u1")
    rows["partition_hash"] = 0
    placed = place(content_of({b"P": rows}), 0, 1, 2, NEWEST_VERSION)
    assert (1, [(encode_key(b"P", rows["key"][0].item()), None)]) == (placed.unplaced, placed.records[0])


def test_an_id_that_was_learned_is_kept():
    """The hash of a user whose id was found elsewhere is in the profile from then on."""
    user_id = user_of(1, 0, 2, 0)
    rows = profiles(user_id)
    rows["partition_hash"] = 0
    content = content_of({b"P": rows})
    assert {user_key("main", user_id)} == content.missing
    content.learn(user_key("main", user_id), user_id)
    content.learn(user_key("main", "nobody"), "nobody")
    placed = place(content, 0, 1, 2, NEWEST_VERSION)
    assert (set(), 1, 0) == (content.missing, placed.rewritten, placed.moved)
    assert partition_hash(user_id) == decode_rows(b"P", [placed.records[0][0][1]])["partition_hash"][0]


def test_rows_that_kafka_would_not_have_put_there_are_counted():
    """Where producers partition by another rule, the rule by which rows move does not hold."""
    assert 1 == place(content_of({b"P": profiles(user_of(2, 1, 3, 1))}), 0, 2, 3, NEWEST_VERSION).strays


def test_rows_of_another_version_are_written_anew():
    """With as many partitions as before rows stay, and those not of the wanted version are replaced."""
    rows = {b"P": profiles("u1"), b"E": rows_of_user(b"E", "u1")}
    for version, wanted, rewritten in ((1, NEWEST_VERSION, 1), (NEWEST_VERSION, 1, 1), (1, 1, 0)):
        placed = place(content_of(rows, version), 0, 2, 2, wanted)
        assert (rewritten, rewritten) == (placed.rewritten, len(placed.records[0]))


def test_an_empty_partition_has_nothing_to_place():
    """A partition without rows is no special case."""
    placed = place(content_of({}), 0, 1, 2, NEWEST_VERSION)
    assert (0, 0) == (placed.rows, sum(map(len, placed.records.values())))


@pytest.mark.parametrize("kind", [b"R", b"E", b"C"])
def test_rows_of_nobody_stay(kind):
    """Nobody knows where the echo of nobody's decision will come: no row is missed, and none is a stray."""
    rows = np.zeros(1, KINDS[kind].dtype)
    rows["key"], rows["user"] = 7, NOBODY
    content = content_of({kind: rows})
    placed = place(content, 1, 2, 3, NEWEST_VERSION)
    assert (set(), 1, 0, 0, 0) == (content.missing, placed.rows, placed.moved, placed.unplaced, placed.strays)
    assert {} == {target: records for target, records in placed.records.items() if records}
