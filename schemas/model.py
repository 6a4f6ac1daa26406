"""What the learner tells the workers and the analysts; topic `model`, one partition, compacted."""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder


class Weights(Struct, frozen=True, tag="weights"):
    """A part of a task's state: of a whole snapshot, or of what changed since the last version.

    ``z`` and ``n`` are those of FTRL-Proximal (McMahan et al. 2013, algorithm 1), from which a reader
    derives the weights with the four settings; little-endian arrays, base64 in JSON.
    """

    task: Literal["ctr", "cvr"]
    kind: Literal["snapshot", "delta"]
    version: int
    """Offset in `examples` after the last one learned."""
    part: int
    """0 to ``parts`` - 1; the version is complete when all parts of it have come."""
    parts: int
    bits: int
    """The state has ``2**bits`` buckets."""
    alpha: float
    beta: float
    l1: float
    l2: float
    buckets: bytes
    """uint32: which buckets."""
    z: bytes
    """float64, one a bucket."""
    n: bytes
    """float64, one a bucket."""


class Progress(Struct, frozen=True, tag="progress"):
    """Progressive (predict, then learn) quality of one model since the start of `examples`."""

    task: Literal["ctr", "cvr"]
    model: str
    """``ftrl`` (ours), ``river-lr`` (standing challenger), ``mean`` (running mean: the null model)."""
    version: int
    ts_ms: int
    """Event time of the newest example."""
    examples: int
    positives: int
    log_loss: float
    """Nats an example."""
    auc: float
    """Rolling area under the ROC curve."""
    calibration: float
    """Sum of predictions / sum of labels."""


ModelRecord = Weights | Progress

decode_model_record = Decoder(ModelRecord).decode
