"""Rows of older versions, as their releases wrote them, lie in ``rows_v1.json`` and ``rows_v2.json``: one of
each kind whose layout came with the version, in hexadecimal."""

from pathlib import Path

import msgspec
import numpy as np
import orjson
import pytest
from traffic import SETTINGS, T0_MS, arrivals, click, exposure, new_processor, purchase, view

from streams.settings import Processing, SettingsError, State, load
from streams.state.partition import PartitionState
from streams.state.rows import (
    KINDS,
    NEWEST_VERSION,
    ChangelogError,
    decode_rows,
    encode_key,
    encode_rows,
    in_version,
    layout_version,
)
from streams.state.versions import OLDER, LossError, carry


def released(version):
    """By kind, the row that a release wrote."""
    written = Path(__file__).with_name(f"rows_v{version}.json").read_bytes()
    return {kind.encode(): bytes.fromhex(value) for kind, value in orjson.loads(written).items()}


RELEASED = {(version, kind): value for version in (1, 2) for kind, value in released(version).items()}
V1 = {kind: value for (version, kind), value in RELEASED.items() if version == 1}


def older_names(version, kind):
    """The fields that a row of some version has."""
    layouts = {older.version: older.dtype.names for older in OLDER.get(kind, ())}
    names = layouts.get(version, KINDS[kind].dtype.names)
    return [name for name in names if (kind, name) != (b"P", "partition_hash")]


EVENTS = arrivals(
    [
        view(T0_MS, slots="ap"),
        exposure(T0_MS + 1, decision_id="views-0-0-0"),
        click(T0_MS + 2, decision_id="views-0-0-0"),
        purchase(T0_MS + 3),
    ]
)
KINDS_THAT_CHANGED = sorted(OLDER)
ORIGINS = [
    (kind, name) for kind in KINDS_THAT_CHANGED for name in KINDS[kind].dtype.names if "origin" in name
]


def sample(kind, version=1):
    """The row of the older release: a field says its place among those it knew, all others are zero."""
    rows = np.zeros(1, KINDS[kind].dtype)
    for number, name in enumerate(older_names(version, kind), 1):
        field = rows.dtype[name]
        if field.kind == "U":
            rows[name] = f"{name} {number}"
        elif name == "counters":
            known = OLDER[kind][version - 1].dtype[name].shape[0]
            rows[name][:, :known] = number + np.arange(known)
        elif name != "spare":
            rows[name] = number + np.arange(np.prod(field.shape, dtype=int)).reshape(field.shape)
    return rows


def columns(rows):
    return {name: rows[name].tolist() for name in rows.dtype.names}


@pytest.mark.parametrize(("version", "kind"), sorted(RELEASED))
def test_rows_of_older_versions_are_read(version, kind):
    """Every field that the release wrote is there, and what it did not know is zero."""
    assert columns(sample(kind, version)) == columns(decode_rows(kind, [RELEASED[version, kind]]))


@pytest.mark.parametrize(("version", "kind"), sorted(RELEASED))
def test_rows_are_written_as_older_versions_wrote_them(version, kind):
    """With ``state.write_version`` set the older release finds the very bytes that it would have written."""
    key = encode_key(kind, 1)
    records = [(key, encode_rows(sample(kind, version))[0]), (key, None)]
    assert [(key, RELEASED[version, kind]), (key, None)] == in_version(records, version)


@pytest.mark.parametrize("kind", KINDS_THAT_CHANGED)
def test_versions_lie_beside_each_other(kind):
    """While workers of two releases share a partition its rows are of both versions, and keep their order."""
    newest = np.repeat(sample(kind), 2)
    newest["key"] = 20, 40
    values = [V1[kind], encode_rows(newest)[0], V1[kind], encode_rows(newest)[1]]
    assert [1, 20, 1, 40] == decode_rows(kind, values)["key"].tolist()


@pytest.mark.parametrize(("kind", "origin"), ORIGINS)
def test_what_an_older_version_cannot_say_is_not_written(kind, origin):
    """A row that came from another partition has no place in version 1: the error says what to set."""
    rows = sample(kind)
    rows[origin] = 3
    with pytest.raises(LossError, match=f"`{origin}`.*`state.write_version`"):
        in_version([(encode_key(kind, 1), encode_rows(rows)[0])], 1)


@pytest.mark.parametrize("kind", sorted(V1))
def test_rows_of_a_newer_release_are_refused(kind):
    """A release that was rolled back does not guess what a newer one wrote: the error names the way back."""
    value = bytes([NEWEST_VERSION + 1]) + encode_rows(sample(kind))[0][1:]
    known = KINDS[kind].version
    with pytest.raises(ChangelogError, match=f"expected version {known} or older, got {NEWEST_VERSION + 1}"):
        decode_rows(kind, [V1[kind], value])


@pytest.mark.parametrize("kind", KINDS_THAT_CHANGED)
def test_a_version_that_is_not_the_rows_own_is_noticed(kind):
    """A wrong version byte never makes a row of one layout into a row of another."""
    for value, version in ((V1[kind], KINDS[kind].version), (encode_rows(sample(kind))[0], 1)):
        with pytest.raises(ChangelogError, match="damaged"):
            decode_rows(kind, [bytes([version]) + value[1:]])


def run_in_turns(write_versions):
    """A changelog to which workers with these settings have written in turns, an event each."""
    changelog = []
    for turn, version in enumerate(write_versions):
        processor = new_processor(msgspec.structs.replace(SETTINGS, state=State(write_version=version)))
        processor.state.restore(changelog)
        processor.restored()
        processor.process(EVENTS[turn : turn + 1])
        changelog += processor.state.drain()
    return changelog


def content(state):
    """All that the first release knew of."""
    return {
        "counters": state.counters,
        **{
            pool.kind: {int(row["key"]): columns(row) for row in pool}
            for pool in state.pools
            if layout_version(pool.kind, 1) == 1
        },
    }


@pytest.mark.parametrize(
    "write_versions",
    [(1, 1, 1, 1), (1, 2, 1, 1), (1, NEWEST_VERSION, 1, 1), (NEWEST_VERSION, 2, NEWEST_VERSION, 2)],
)
def test_a_partition_may_be_written_in_turns(write_versions):
    """Whichever worker of a roll-out has the partition when, the state is that of one worker all along."""
    undisturbed, restored = new_processor(), PartitionState(State(), Processing())
    undisturbed.process(EVENTS)
    restored.restore(run_in_turns(write_versions))
    assert content(undisturbed.state) == content(restored)


@pytest.mark.parametrize("version", [1, 2])
def test_a_roll_out_can_be_rolled_back(version):
    """What is written with an older ``state.write_version`` has no row that its release would refuse."""
    written = [record for record in run_in_turns((version,) * 4) if record[1] is not None]
    assert version == max(value[0] for _, value in written)
    assert all(layout_version(key[:1], version) <= version for key, _ in written)


def test_what_an_older_release_has_no_kind_for_goes():
    """Whoever is told to write an older version deletes the rows that its release would leave lying."""
    changelog = run_in_turns((NEWEST_VERSION,) * 4)
    processor = new_processor(msgspec.structs.replace(SETTINGS, state=State(write_version=2)))
    processor.state.restore(changelog)
    assert 1 == len(processor.state.clickers)
    processor.restored()
    gone = {key[:1] for key, value in processor.state.drain() if value is None}
    assert {b"W"} == gone


def test_the_newest_version_is_written_by_default():
    """Nothing is lost of what only this release knows."""
    assert NEWEST_VERSION in {value[0] for _, value in run_in_turns((NEWEST_VERSION,)) if value is not None}


def test_the_settings_know_every_version():
    """``state.write_version`` is the newest one unless it is set, and no version that there is not."""
    assert NEWEST_VERSION == State().write_version
    for version in (0, NEWEST_VERSION + 1):
        with pytest.raises(SettingsError, match=r"state\.write_version"):
            load(environment={}, overrides={"state.write_version": str(version)})


def test_fields_are_carried_by_name():
    """Fields of the same name keep their values wherever they lie; new ones are zero."""
    before = np.array([(1, 2)], [("key", "i8"), ("gone", "u4")])
    after = carry(before, np.dtype([("new", "u4"), ("key", "i8")]))
    assert [(0, 1)] == after.tolist()


def test_counters_may_become_more():
    """An array that grew keeps what it had, and gives back what the older layout has room for."""
    few, many = (np.dtype([("counters", "i8", (count,))]) for count in (2, 3))
    grown = carry(np.array([((1, 2),)], few), many)
    assert [1, 2, 0] == grown["counters"][0].tolist()
    assert [1, 2] == carry(grown, few)["counters"][0].tolist()
