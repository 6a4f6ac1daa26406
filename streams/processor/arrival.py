"""From a record of an input topic to an event, or to the reason why it is none."""

from collections.abc import Callable

import msgspec

from schemas.dead_letters import DeadLetter
from schemas.events import Event, decode_click, decode_purchase, decode_view
from schemas.topics import INPUTS
from streams.processor.identities import Claim, Transfer

DECODERS: tuple[Callable[[bytes], Event], ...] = (decode_view, decode_click, decode_purchase)
"""By the topic's place in ``schemas.topics.INPUTS``."""

QUOTING = "Invalid value ", "Invalid enum value "
"""What msgspec (0.22, 0.23) begins with where it goes on with the value."""

IDENTITY_PLACE = len(INPUTS)
"""Of the internal topic that is read beside them."""


Decode = Callable[[int, int, int, int, bytes | None, int], "Arrival"]
"""``decode``, or another that takes and gives the same."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A record of an input topic, decoded."""

    topic: int
    """Place in ``schemas.topics.INPUTS``."""
    partition: int
    offset: int
    ts_ms: int
    """The broker's time of the record; negative where unknown."""
    raw: bytes
    event: Event | None
    """None where the record is none, for the ``reason``; without one a mapping says to ignore it."""
    reason: str = ""
    source: str = ""
    """Another system's topic that it is of; empty: the contract's."""

    def dead_letter(self, reason: str) -> DeadLetter:
        """The dead letter that this record becomes."""
        name = self.source or INPUTS[self.topic].name
        return DeadLetter(name, self.partition, self.offset, max(self.ts_ms, 0), reason, self.raw)


class IdentityArrival(msgspec.Struct, frozen=True, gc=False):
    """A record of ``schemas.topics.IDENTITIES``, decoded."""

    offset: int
    event: Claim | Transfer
    topic: int = IDENTITY_PLACE


def decode_identity(offset: int, value: bytes) -> IdentityArrival:
    """Decode a record of another partition; raises ``msgspec.DecodeError``: none but ours is there."""
    return IdentityArrival(offset, _decode_identity(value))


_decode_identity = msgspec.json.Decoder(Claim | Transfer).decode


def decode(
    topic: int, partition: int, offset: int, ts_ms: int, value: bytes | None, max_ahead_ms: int
) -> Arrival:
    """Decode and check one record. Never raises for what is in it: then there is a reason instead."""
    raw = value or b""
    try:
        event = DECODERS[topic](raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Arrival(topic, partition, offset, ts_ms, raw, None, _reason(error))
    if 0 <= ts_ms < event.ts_ms - max_ahead_ms:
        return Arrival(topic, partition, offset, ts_ms, raw, None, ahead(max_ahead_ms))
    return Arrival(topic, partition, offset, ts_ms, raw, event)


def ahead(max_ahead_ms: int) -> str:
    """What is said of an event whose time is too far ahead."""
    return f"Expected `int` <= the broker's time + {max_ahead_ms} ms - at `$.ts_ms`"


def _reason(error: Exception) -> str:
    """What the decoder says, without the one value that it would quote: that of a word it does not know."""
    reason = str(error)
    if not reason.startswith(QUOTING):
        return reason
    _, at, path = reason.rpartition(" - at ")
    return f"Expected a known word{at}{path}"
