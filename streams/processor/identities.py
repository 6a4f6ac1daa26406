"""What partitions say to each other about who is who: the records of ``schemas.topics.IDENTITIES``.

Users are keys of rows, never ids.
"""

import msgspec
from msgspec import Struct


class Claim(Struct, frozen=True, gc=False, tag="claim"):
    """A known user has logged in: whoever has the anonymous user is to send what there is."""

    user: int
    user_hash: int
    """``streams.routing.partition_hash`` of the known user: where to send it."""
    anonymous: int
    ts_ms: int
    """Event time of the login: what the anonymous user did before comes along."""


class Transfer(Struct, frozen=True, gc=False, tag="transfer"):
    """What was known of an anonymous user, on its way to the known one: it is nowhere else."""

    user: int
    user_hash: int
    profile: bytes = b""
    """The row as ``streams.state.rows`` writes it, with version and checksum; empty: there was none."""
    clicks: tuple[bytes, ...] = ()
    """Joined clicks that may still earn an order, in the same way."""
    ts_ms: int = 0
    """It waits for no event."""


encode_identity = msgspec.json.encode
"""JSON, rows in base64."""
