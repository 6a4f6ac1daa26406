"""In which partition rows of state belong when the number of partitions changes.

A user's partition is a hash of the Kafka key modulo their number (``streams.routing``). Rows hold no key, but
the user's profile holds the hash.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.hashing import stable_key
from streams.routing import KNOWN, partition_hash
from streams.state.rows import (
    NOBODY,
    PURCHASE,
    Record,
    Rows,
    decode_rows,
    encode_key,
    encode_rows,
    layout_version,
)

USER_FIELDS = {b"P": "key"} | dict.fromkeys((b"R", b"E", b"C", b"O", b"F", b"W", b"D"), "user")
"""By kind, the field that says whose a row is."""

Partitions = npt.NDArray[np.int64]


class Content:
    """All rows of users that a partition of the changelog holds."""

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        """``values`` has the newest value of every key; raises ``ChangelogError``."""
        self.versions: dict[bytes, npt.NDArray[np.uint8]] = {}
        """Of each row, by kind."""
        self.rows: dict[bytes, Rows] = {}
        for kind in USER_FIELDS:
            of_kind = [value for key, value in values.items() if key[:1] == kind]
            self.versions[kind] = np.array([value[0] for value in of_kind], np.uint8)
            self.rows[kind] = decode_rows(kind, of_kind)
        profiles, orders = self.rows[b"P"], self.rows[b"O"]
        known = profiles[profiles["partition_hash"] != 0]
        self._hash_of = dict(zip(known["key"].tolist(), known["partition_hash"].tolist(), strict=True))
        for user, user_id in zip(orders["user"].tolist(), orders["user_id"].tolist(), strict=True):
            if user not in self._hash_of:
                self._hash_of[user] = partition_hash(user_id)
        users = {user for kind, field in USER_FIELDS.items() for user in self.rows[kind][field].tolist()}
        self.missing = users.difference(self._hash_of, (NOBODY,))
        """Keys of the users whose hash no row holds."""

    def learn(self, user: int, user_id: str) -> None:
        """The id of a user is known."""
        if user in self.missing:
            self.missing.remove(user)
            self._hash_of[user] = partition_hash(user_id)

    def hashes(self, kind: bytes) -> npt.NDArray[np.uint32]:
        """The hash of each row's user; 0 where it is missing."""
        get, users = self._hash_of.get, self.rows[kind][USER_FIELDS[kind]]
        return np.fromiter((get(user, 0) for user in users.tolist()), np.uint32, len(users))


class Placed(NamedTuple):
    """What is to be written so that the rows of one partition lie where they belong."""

    records: Mapping[int, list[Record]]
    """By partition; their values are of the newest version."""
    rows: int
    moved: int
    rewritten: int
    """Of the rows that stay: those of another version, or whose hash was missing."""
    unplaced: int
    """Rows of users whose hash is missing; they are deleted."""
    strays: int
    """Rows that are not where Kafka's partitioner has put their users."""


def place(content: Content, source: int, before: int, after: int, write_version: int) -> Placed:
    """Place the rows of a partition.

    Args:
        before: Number of partitions so far; where it stays the same, so do all rows.
        after: Number of partitions from now on.
        write_version: Rows that stay are written anew unless they are of this version of the changelog.
    """
    records: dict[int, list[Record]] = defaultdict(list)
    total = moved_rows = rewritten = unplaced = strays = 0
    for kind, rows in content.rows.items():
        total += len(rows)
        stale = content.versions[kind] != layout_version(kind, write_version)
        to = np.full(len(rows), source)
        if after != before:
            hashes = content.hashes(kind)
            known = hashes != 0
            strays += int(np.count_nonzero(known & (_partitions(hashes, before) != source)))
            to = np.where(known, _partitions(hashes, after), -1)
            # Nobody knows where the echo of nobody's decision will come: its row waits where it is.
            to[~known & (rows[USER_FIELDS[kind]] == NOBODY)] = source
            if kind == b"P" and (learned := rows["partition_hash"] != hashes).any():
                rows = rows.copy()
                rows["partition_hash"] = hashes
                stale |= learned
        leaving, dropped = (to != source) & (to >= 0), to < 0
        for key in rows["key"][leaving | dropped].tolist():
            records[source].append((encode_key(kind, key), None))
        for partition in np.unique(to[leaving]).tolist():
            records[partition] += _records(kind, moved(rows[to == partition], source, partition))
        staying = stale & (to == source)
        records[source] += _records(kind, rows[staying])
        moved_rows += int(np.count_nonzero(leaving))
        rewritten += int(np.count_nonzero(staying))
        unplaced += int(np.count_nonzero(dropped))
    return Placed(records, total, moved_rows, rewritten, unplaced, strays)


def _partitions(hashes: npt.NDArray[np.uint32], count: int) -> Partitions:
    return (hashes & ~np.uint32(KNOWN)).astype(np.int64) % count


def _records(kind: bytes, rows: Rows) -> list[Record]:
    keys = [encode_key(kind, key) for key in rows["key"].tolist()]
    return list(zip(keys, encode_rows(rows), strict=True))


def moved(rows: Rows, source: int, partition: int) -> Rows:
    """Rows as they are written in another partition: their offsets are still those of the old one.

    An order of version 1, whose key is its offset, gets a key that no order of another partition has.
    """
    for name in rows.dtype.names or ():
        if name.endswith("origin"):
            place = np.where(rows[name] == 0, source + 1, rows[name])
            rows[name] = np.where(place == partition + 1, 0, place)
    if rows.dtype == PURCHASE:
        for index in np.flatnonzero(rows["key"] == rows["offset"]).tolist():
            rows["key"][index] = stable_key(f"purchases-{source}-{rows['offset'][index]}")
    return rows
