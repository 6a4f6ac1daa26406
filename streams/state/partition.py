"""All that a worker remembers of one partition, and its changelog."""

from collections.abc import Iterable

import numpy as np

from models.profiles import DAY_MS, PROFILE
from streams.settings import Processing
from streams.settings import State as Caps
from streams.state.books import (
    CLICKERS,
    CLICKS,
    EXPOSURES,
    LINKS,
    PROFILES,
    PURCHASES,
    REFUNDS,
    REPEATS,
    REQUESTS,
    RULES,
    STREAM_MS,
    new_books,
)
from streams.state.event_ids import EventIds
from streams.state.gathering import Gathering
from streams.state.pool import Pool
from streams.state.rows import (
    CLICK,
    CLICKER,
    COUNTERS,
    EXPOSURE,
    LINK,
    META,
    META_KEY,
    NEWEST_VERSION,
    PURCHASE,
    READ,
    READ_KEY,
    REFUND,
    REPEAT,
    REQUEST,
    Record,
    decode_rows,
    encode_rows,
    in_version,
)

NEVER_MS = 2**63 - 1


class PartitionState:
    """Profiles, what is pending, known event ids, stream time, offsets and counters of one partition."""

    def __init__(self, caps: Caps, processing: Processing) -> None:
        self.books = books = new_books()
        self.profiles = Pool(b"P", PROFILE, caps.max_profiles, "as_of_ms", books[PROFILES])
        self.requests = Pool(b"R", REQUEST, caps.max_requests, line=books[REQUESTS])
        self.exposures = Pool(b"E", EXPOSURE, caps.max_exposures, line=books[EXPOSURES])
        self.clicks = Pool(b"C", CLICK, caps.max_clicks, line=books[CLICKS])
        self.purchases = Pool(b"O", PURCHASE, caps.max_purchases, line=books[PURCHASES])
        self.refunds = Pool(b"F", REFUND, caps.max_refunds, line=books[REFUNDS])
        self.links = Pool(b"L", LINK, caps.max_links, line=books[LINKS])
        self.clickers = Pool(b"W", CLICKER, caps.max_clickers, line=books[CLICKERS])
        self.repeats = Pool(b"D", REPEAT, caps.max_repeats, line=books[REPEATS])
        self.event_ids = EventIds(int(processing.duplicate_horizon_s * 1000), caps.max_event_ids)
        self.offsets = [0, 0, 0]
        """Next offset to read, by ``schemas.topics.INPUTS``."""
        self.identity_offset = 0
        """Next offset to read of ``schemas.topics.IDENTITIES``; 0: nothing has been read of it."""
        self.inputs = 0
        """Identity of the topics that these are of; 0 is the contract's."""
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.partitions = 0
        """How many the input topics have; 0: nobody has said so."""
        self.restored = False
        """Whether a changelog was found."""
        self.write_version = caps.write_version
        self._written_identity_offset = 0
        self._profile_ttl_ms = int(caps.profile_ttl_s * 1000)

    @property
    def stream_ms(self) -> int:
        """Newest event time seen; ticks carry it on while the partition is idle."""
        return int(self.books[RULES, STREAM_MS])

    @stream_ms.setter
    def stream_ms(self, stream_ms: int) -> None:
        self.books[RULES, STREAM_MS] = stream_ms

    @property
    def next_midnight_ms(self) -> int:
        """When profiles may have to go: ``advance`` is to be told before anything happens from then on."""
        return (self.stream_ms // DAY_MS + 1) * DAY_MS if self._profile_ttl_ms else NEVER_MS

    @property
    def pools(self) -> tuple[Pool, ...]:
        waiting = self.requests, self.exposures, self.clicks, self.purchases, self.refunds
        return self.profiles, *waiting, self.links, self.clickers, self.repeats

    def advance(self, stream_ms: int) -> None:
        """Move the stream time on; it must not go back.

        Where it passes midnight (UTC), profiles go whose users have not come for ``profile_ttl_s``. So which
        profiles there are depends on the events alone, and not on checkpoints or restarts.
        """
        midnight_ms = stream_ms - stream_ms % DAY_MS
        if self.stream_ms < midnight_ms and self._profile_ttl_ms:
            self._forget_profiles(midnight_ms - self._profile_ttl_ms)
        self.stream_ms = stream_ms

    def settle(self) -> None:
        """All that was noted for removed rows has been done."""
        for pool in self.pools:
            pool.settle()

    def drain(self) -> list[Record]:
        """Changelog records of all changes since the last call; with them the offsets that they include.

        Raises ``LossError`` where a row cannot be written in ``state.write_version``.
        """
        records = self.event_ids.drain(self.stream_ms)
        for pool in self.pools:
            records += pool.drain()
        self.counters["overflowed"] += sum(pool.overflowed for pool in self.pools)
        self.counters["overflowed"] += self.event_ids.overflowed
        self.event_ids.overflowed = 0
        for pool in self.pools:
            pool.overflowed = 0
        if self.identity_offset != self._written_identity_offset:
            self._written_identity_offset = self.identity_offset
            read = np.zeros(1, READ)
            read["offset"] = self.identity_offset
            records.append((READ_KEY, encode_rows(read)[0]))
        meta = np.zeros(1, META)
        counters = [self.counters[name] for name in COUNTERS]
        meta[0] = (self.inputs, self.stream_ms, self.offsets, self.partitions, counters)
        records.append((META_KEY, encode_rows(meta)[0]))
        return records if self.write_version == NEWEST_VERSION else in_version(records, self.write_version)

    def _forget_profiles(self, before_ms: int) -> None:
        """Remove the profiles whose newest event is older."""
        profiles = self.profiles
        as_of_ms = profiles.rows["as_of_ms"]
        slots = np.flatnonzero((as_of_ms < before_ms) & (as_of_ms != 0))
        for slot, key in zip(slots.tolist(), profiles.rows["key"][slots].tolist(), strict=True):
            if profiles.find(key) == slot:  # else it was removed before
                profiles.remove(key)
        as_of_ms[slots] = 0

    def restore(self, records: Iterable[Record] | Gathering) -> None:
        """Load the state from changelog records, oldest first; the last record of a key counts.

        Raises ``ChangelogError`` where a record was written by a newer release or is damaged.
        """
        newest = records if isinstance(records, Gathering) else Gathering.of(records)
        for pool in self.pools:
            pool.load(newest.rows(pool.kind))
        self.event_ids.load([(key, decode_rows(b"I", [value])) for key, value in newest.values(b"I")])
        for read in newest.rows(b"T"):
            self.identity_offset = self._written_identity_offset = int(read["offset"])
        for meta in newest.rows(b"M"):
            self.stream_ms = int(meta["stream_ms"])
            self.offsets = meta["offsets"].tolist()
            self.inputs = int(meta["key"])
            self.partitions = int(meta["partitions"])
            self.counters = dict(zip(COUNTERS, meta["counters"].tolist(), strict=True))
            self.restored = True
