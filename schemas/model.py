"""What the learner tells the workers and the analysts; topic `model`, one partition, compacted.

Keys are ``<task>/<model>/snapshot/<part>``, ``<task>/<model>/delta/<number since the snapshot>/<part>``
``<task>/progress/<model>[/sample]`` and ``<task>/delays``; a snapshot deletes the keys that it makes useless.
Arrays are little-endian, base64 in JSON.
"""

from typing import Literal

import orjson
from msgspec import Struct, to_builtins
from msgspec.json import Decoder

Task = Literal["ctr", "cvr"]


class Part(Struct, frozen=True):
    """A part of a model's state: of a whole snapshot, or of what changed since the last version.

    A version counts when all its parts have come in the topic's order. A snapshot replaces what a reader
    has; a delta holds new values, not differences, and may be laid only on the version that it follows.
    """

    task: Task
    kind: Literal["snapshot", "delta"]
    version: int
    """Offset in `examples` after the last one learned."""
    follows: int
    """The version that a delta is laid on; -1 for a snapshot."""
    part: int
    """0 to ``parts`` - 1."""
    parts: int
    buckets: bytes
    """uint32: the buckets that this part gives values for."""


class Weights(Part, frozen=True, tag="weights"):
    """State of the champion, FTRL-Proximal (McMahan et al. 2013, algorithm 1).

    A reader derives the weights from ``z`` and ``n`` with the four settings.
    """

    bits: int
    """The state has ``2**bits`` buckets."""
    alpha: float
    beta: float
    l1: float
    l2: float
    z: bytes
    """float64, one a bucket."""
    n: bytes
    """float64, one a bucket."""


class LinearWeights(Part, frozen=True, tag="linear"):
    """State of the standing challenger, River's ``LogisticRegression``."""

    weights: bytes
    """float64, one a bucket, in the order in which the model met the buckets."""
    intercept: float
    steps: int
    """Iterations of the optimizer."""


class Delays(Struct, frozen=True, tag="delays"):
    """When conversions come, as the learner has seen it at a version (``models.delays``)."""

    task: Task
    version: int
    conversions: bytes
    """float64, one a bin of delays: weight of the conversions that came then."""
    clicks: bytes
    """float64, one a bin: clicks that got that old."""


class Progress(Struct, frozen=True, tag="progress"):
    """Progressive (predict, then learn) quality of one model since the start of `examples`.

    Under delayed labels (cvr) an example is a click; its conversion takes the loss of the negative back
    and adds that of the positive.
    """

    task: Task
    model: str
    """``ftrl`` (ours), ``river-lr`` (standing challenger), ``mean`` (running mean: the null model)."""
    version: int
    ts_ms: int
    """Event time of the newest example."""
    examples: int
    positives: int
    log_loss: float | None
    """Nats an example, weighted; None while no example has a weight."""
    auc: float | None
    """Area under the ROC curve of the newest examples, unweighted; None while they have one label only."""
    calibration: float | None
    """Sum of predictions / sum of labels, weighted; None while no label is positive."""
    scored_share: float
    """Share of the examples that this is counted over: compare models of one share only."""
    learned_share: float
    """Share of the examples that the model learned from."""
    weight_sum: float
    """With the three sums below, what the figures go on from after a restart; the AUC starts anew."""
    loss_sum: float
    prediction_sum: float
    label_sum: float


ModelRecord = Weights | LinearWeights | Delays | Progress

decode_model_record = Decoder(ModelRecord).decode


def encode_model_record(record: ModelRecord) -> bytes:
    """JSON of a record, as ``decode_model_record`` reads it."""
    return orjson.dumps(to_builtins(record))
