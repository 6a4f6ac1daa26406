"""A login links who was anonymous to who is known: profile and clicks move to the known user's partition.

The known user's partition sends a claim, the anonymous user's answers with a transfer and forgets, the known
user's merges. Each step is part of its partition's transaction, so that a profile is in one place at a time.
"""

import numpy as np

from models.hashing import stable_key
from models.profile_merge import merge
from schemas.events import Click, Purchase, View
from streams.processor import timers
from streams.processor.arrival import IdentityArrival
from streams.processor.identities import Claim, Transfer, encode_identity
from streams.processor.joined import has_joined, leave, link_joined, receive, unlink_joined
from streams.processor.orders import is_waiting
from streams.processor.output import Output
from streams.processor.tape import Tape
from streams.routing import KNOWN, partition_hash
from streams.settings import Identity
from streams.state.books import EVICTED
from streams.state.index import ABSENT
from streams.state.partition import PartitionState
from streams.state.placing import moved
from streams.state.rows import KINDS, NO_OFFSET, Rows, decode_rows, encode_rows

MAX_CLICKS = 64
"""Of one transfer, the newest: some 20 KB. The last click before an order earns it."""


class Links:
    """The logins of one partition, and what they bring about in this one and in others."""

    def __init__(
        self, partition: int, state: PartitionState, tape: Tape, output: Output, settings: Identity
    ) -> None:
        self.partition = partition
        self.state = state
        self.tape = tape
        self.output = output
        self.reclaim_after_ms = int(settings.reclaim_after_s * 1000)
        # While a partition may go back to a release that reads no claims, none are made and none are read.
        self.enabled = state.write_version >= KINDS[state.links.kind].version

    def logged_in(self, event: View | Click | Purchase, user: int, shop: int, stream_ms: int) -> None:
        """An event, noted already, names the id under which its user was known before.

        ``shop`` is the key of the shop, ``stream_ms`` the stream time at the event.

        Not each of a session's events asks: a pair is remembered for ``identity.reclaim_after_s``.
        """
        if not self.enabled or event.anonymous_id == event.user_id:
            return
        pair = stable_key(event.anonymous_id, seed=user)
        known = self.state.links.get(pair)
        if known is not None:
            until_ms = int(known["ts_ms"]) + self.reclaim_after_ms
            if event.ts_ms < until_ms and stream_ms <= until_ms:  # else it is about to go
                return
        if event.ts_ms + self.reclaim_after_ms >= stream_ms:
            self._remember(pair, event.ts_ms, user)
        self.state.counters["claims"] += 1
        claim = Claim(
            user, partition_hash(event.user_id), stable_key(event.anonymous_id, seed=shop), event.ts_ms
        )
        self._send(partition_hash(event.anonymous_id), claim)

    def _remember(self, pair: int, ts_ms: int, user: int) -> None:
        links = self.state.links
        if len(links) >= links.capacity:
            self.tape.play()  # which one makes room must not depend on where a run ends
        slot = links.add(pair)
        links.rows[slot] = pair, ts_ms, user
        self.tape.timers.set(ts_ms + self.reclaim_after_ms, timers.LINK, pair)

    def take(self, arrival: IdentityArrival) -> None:
        """A record of another partition, or of this one; all that was noted before has been done."""
        message = arrival.event
        if isinstance(message, Claim):
            self._give(message)
        else:
            self._receive(message)
        self.state.identity_offset = arrival.offset + 1

    def _give(self, claim: Claim) -> None:
        """Send what there is of the anonymous user and forget it; who claims later gets what comes later."""
        profiles, books = self.state.profiles, self.state.books
        slot = profiles.find(claim.anonymous)
        profile = b""
        if slot != ABSENT:
            (profile,) = encode_rows(profiles.rows[[slot]])
            profiles.remove(claim.anonymous)
        clicks: tuple[bytes, ...] = ()
        # An order that is still to be settled needs the click that earned it.
        if has_joined(books, claim.anonymous) and not is_waiting(books, claim.anonymous):
            rows = self.state.clicks.rows[leave(books, claim.anonymous, MAX_CLICKS)]
            target = self._partition_of(claim.user_hash)
            clicks = tuple(encode_rows(moved(rows, self.partition, target)))
        if profile or clicks:
            self.state.counters["transfers"] += 1
            self._send(claim.user_hash, Transfer(claim.user, claim.user_hash, profile, clicks))

    def _receive(self, transfer: Transfer) -> None:
        """Merge what another user was into this one."""
        profiles, user = self.state.profiles, transfer.user
        if transfer.profile:
            slot = profiles.find(user)
            if slot == ABSENT:
                slot = profiles.add(user)
                profiles.rows["partition_hash"][slot] = transfer.user_hash
            merge(profiles.rows, slot, np.array(decode_rows(b"P", [transfer.profile])), 0)
            profiles.touch(user)
        if transfer.clicks:
            self._receive_clicks(decode_rows(b"C", transfer.clicks), user)
        self.state.counters["merges"] += 1

    def _receive_clicks(self, rows: Rows, user: int) -> None:
        clicks = self.state.clicks
        self.tape.reserve(len(rows), 0)
        for row in rows:
            known = clicks.find(int(row["key"]))
            if known != ABSENT and clicks.rows["exposure_offset"][known] != NO_OFFSET:
                unlink_joined(self.state.books, known)  # the newer one takes its row
            slot = clicks.add(int(row["key"]))
            if clicks.line[EVICTED]:
                link_joined(self.state.books)
            clicks.rows[slot] = row
            clicks.rows["user"][slot] = user
            receive(self.state.books, slot)
        self.tape.write()

    def _send(self, user_hash: int, message: Claim | Transfer) -> None:
        self.output.identities.append((self._partition_of(user_hash), encode_identity(message)))

    def _partition_of(self, user_hash: int) -> int:
        return (user_hash & ~KNOWN) % (self.state.partitions or 1)
