"""Training examples; topic `examples`, one partition, so that its order is the order of learning."""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder

Source = Literal["own", "foreign"]


class Example(Struct, frozen=True, gc=False):
    """One labelled example. Every feature is a bucket with the value 1."""

    example_id: str
    """``<task>-<partition>-<offset>-<label>`` of the event that gave the label: the identity."""
    task: Literal["ctr", "cvr"]
    ts_ms: int
    """Event time of the exposure (ctr) or the click (cvr)."""
    label: Literal[0, 1]
    weight: float
    """Importance; below 0 it takes back an earlier example with this label (a refund).

    Of a cvr negative: how many clicks it stands for at its age.
    """
    source: Source
    """Whether Headrace or another system had chosen what was shown."""
    buckets: list[int]
    """The hashed features, in the order of the feature spec."""
    age_ms: int = 0
    """Of a cvr example: how long after the click it was taken for a negative, or the order came."""


decode_example = Decoder(Example).decode
