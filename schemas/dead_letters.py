"""Events that could not be used, with the reason; topic `dead-letters`."""

from msgspec import Struct
from msgspec.json import Decoder


class DeadLetter(Struct, frozen=True):
    """An event that could not be used. ``(topic, partition, offset)`` is its identity."""

    topic: str
    partition: int
    offset: int
    ts_ms: int
    """When the broker got it (record timestamp)."""
    reason: str
    """In the form ``Expected `int`, got `str` - at `$.ts_ms```; holds no value of the event."""
    raw: bytes
    """The bytes as they came; base64 in JSON."""


decode_dead_letter = Decoder(DeadLetter).decode
