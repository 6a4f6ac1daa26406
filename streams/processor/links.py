"""A login links who was anonymous to who is known: profile and clicks move to the known user's partition.

The known user's partition sends a claim, the anonymous user's answers with a transfer and forgets, the known
user's merges. Each step is part of its partition's transaction, so that a profile is in one place at a time.
"""

from collections.abc import Callable, Iterator

import numpy as np

from models.hashing import stable_key
from models.profile_merge import merge
from schemas.events import Click, Purchase, View
from streams.processor.arrival import IdentityArrival
from streams.processor.identities import Claim, Transfer, encode_identity
from streams.processor.joins import Joins
from streams.processor.orders import Orders
from streams.processor.output import Output
from streams.processor.timers import Kind, Timers
from streams.routing import KNOWN, partition_hash
from streams.settings import Identity
from streams.state.partition import PartitionState
from streams.state.placing import moved
from streams.state.rows import KINDS, decode_rows, encode_rows

MAX_CLICKS = 64
"""Of one transfer, the newest: some 20 KB. The last click before an order earns it."""


class Links:
    """The logins of one partition, and what they bring about in this one and in others."""

    def __init__(
        self, partition: int, state: PartitionState, joins: Joins, orders: Orders, timers: Timers,
        output: Output, settings: Identity, settle: Callable[[], None],
    ) -> None:  # fmt: skip
        self.partition = partition
        self.state = state
        self.joins = joins
        self.orders = orders
        self.timers = timers
        self.output = output
        self.reclaim_after_ms = int(settings.reclaim_after_s * 1000)
        # While a partition may go back to a release that reads no claims, none are made and none are read.
        self.enabled = state.write_version >= KINDS[state.links.kind].version
        self._settle = settle
        timers.due[Kind.LINK] = self._link_due

    def logged_in(self, event: View | Click | Purchase, user: int, shop: int) -> None:
        """An event names the id under which its user was known before; ``shop`` is the key of the shop.

        Not each of a session's events asks: a pair is remembered for ``identity.reclaim_after_s``.
        """
        if not self.enabled or event.anonymous_id == event.user_id:
            return
        pair = stable_key(event.anonymous_id, seed=user)
        known = self.state.links.fields(pair)
        if known is not None and event.ts_ms < known[1] + self.reclaim_after_ms:
            return
        self.state.links.put(pair, event.ts_ms, user)
        self.timers.add(event.ts_ms + self.reclaim_after_ms, Kind.LINK, pair)
        self.state.counters["claims"] += 1
        claim = Claim(
            user, partition_hash(event.user_id), stable_key(event.anonymous_id, seed=shop), event.ts_ms
        )
        self._send(partition_hash(event.anonymous_id), claim)

    def take(self, arrival: IdentityArrival) -> None:
        """A record of another partition, or of this one."""
        message = arrival.event
        # Rows are read and replaced here: what has been noted for them must be done before.
        self._settle()
        if isinstance(message, Claim):
            self._give(message)
        else:
            self._receive(message)
        self.state.identity_offset = arrival.offset + 1

    def pending(self) -> Iterator[tuple[int, Kind, int]]:
        """Timers of all rows."""
        for link in self.state.links:
            yield int(link["ts_ms"]) + self.reclaim_after_ms, Kind.LINK, int(link["key"])

    def _give(self, claim: Claim) -> None:
        """Send what there is of the anonymous user and forget it; who claims later gets what comes later."""
        profiles = self.state.profiles
        slot = profiles.slot_of.get(claim.anonymous)
        profile = b""
        if slot is not None:
            (profile,) = encode_rows(profiles.rows[[slot]])
            profiles.remove(claim.anonymous)
        clicks: tuple[bytes, ...] = ()
        # An order that is still to be settled needs the click that earned it.
        if self.joins.joined.has(claim.anonymous) and not self.orders.is_waiting(claim.anonymous):
            rows = self.joins.joined.take(claim.anonymous, MAX_CLICKS)
            target = self._partition_of(claim.user_hash)
            clicks = tuple(encode_rows(moved(rows, self.partition, target)))
        if profile or clicks:
            self.state.counters["transfers"] += 1
            self._send(claim.user_hash, Transfer(claim.user, claim.user_hash, profile, clicks))

    def _receive(self, transfer: Transfer) -> None:
        """Merge what another user was into this one."""
        profiles, user = self.state.profiles, transfer.user
        if transfer.profile:
            slot = profiles.slot_of.get(user)
            if slot is None:
                slot = profiles.add(user)
                profiles.rows["partition_hash"][slot] = transfer.user_hash
            merge(profiles.rows, slot, np.array(decode_rows(b"P", [transfer.profile])), 0)
            profiles.touch(user)
        if transfer.clicks:
            self.joins.joined.receive(decode_rows(b"C", transfer.clicks), user)
        self.state.counters["merges"] += 1

    def _send(self, user_hash: int, message: Claim | Transfer) -> None:
        self.output.identities.append((self._partition_of(user_hash), encode_identity(message)))

    def _partition_of(self, user_hash: int) -> int:
        return (user_hash & ~KNOWN) % (self.state.partitions or 1)

    def _link_due(self, key: int, deadline_ms: int) -> None:
        link = self.state.links.fields(key)
        if link is not None and deadline_ms >= link[1] + self.reclaim_after_ms:
            self.state.links.remove(key)
