"""The shared bounds of the contract: lengths, times and money.

A bound that is broken makes msgspec raise ``ValidationError`` with the path of the field, for
example ``Expected `int` >= 946684800000 - at `$.ts_ms```; that sentence becomes the reason of the
dead letter.
"""

from typing import Annotated

from msgspec import Meta

MAX_ID_LENGTH = 64
MIN_TS_MS = 946_684_800_000  # 2000-01-01T00:00:00Z: anything before is seconds taken for milliseconds
MAX_TS_MS = 4_102_444_800_000  # 2100-01-01T00:00:00Z
MAX_MICROS = 10**15  # a thousand million units of any currency; sums of 9,000 such stay inside int64

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
"""An identifier, never empty: 1 to 64 characters."""

OptionalId = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]
"""An identifier that may be empty, which means "none"."""

DecisionId = Annotated[str, Meta(max_length=96)]
"""A decision's identity, ``views-<partition>-<offset>-<slot index>``, with or without ``-nobody``; empty
means "none"."""

Label = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]
"""A free word of the shop (category, device, segment); empty means "unknown"."""

TimestampMs = Annotated[int, Meta(ge=MIN_TS_MS, le=MAX_TS_MS)]
"""Milliseconds since 1970-01-01T00:00:00Z, within 2000 to 2100."""

Micros = Annotated[int, Meta(ge=0, le=MAX_MICROS)]
"""Money in millionths of a currency unit."""

Currency = Annotated[str, Meta(pattern=r"^([A-Z]{3})?$")]
"""An ISO 4217 code; empty means the base currency of the shop."""

Probability = Annotated[float, Meta(gt=0.0, le=1.0)]
"""A probability that can be divided by: above 0, at most 1."""
