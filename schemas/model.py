"""What the learner tells the workers and the analysts; topic `model`, one partition, compacted.

Keys are ``<task>/<model>/snapshot/<part>``, ``<task>/<model>/delta/<number since the snapshot>/<part>``
``<task>/progress/<model>[/sample]``, ``<task>/delays``, ``<task>/contest``, ``<task>/calibration``,
``<task>/watch``,
``<task>/quality/<model>/<segment>/<hour of the day>`` and ``<task>/change/<version>-<number>``; a snapshot
deletes the keys that it makes useless, but for changes, which are kept. Arrays are little-endian, base64 in
JSON.
"""

from typing import Literal

import orjson
from msgspec import Struct, to_builtins
from msgspec.json import Decoder

Task = Literal["ctr", "cvr"]
ChangeKind = Literal["gate_closed", "gate_opened", "gate_accepted", "drift", "promotion", "rollback"]


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


class FTRLState(Part, frozen=True):
    """State of a learner by FTRL-Proximal (McMahan et al. 2013, algorithm 1).

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


class Weights(FTRLState, frozen=True, tag="weights"):
    """State of the champion, which serves, and what ads' own clicks add to it (``models.ad_shifts``)."""

    ads: bytes = b""
    """uint32: those of ``buckets`` that are an ad's and have a shift."""
    shift: bytes = b""
    """float64, one an ad: is added to the weight of its bucket."""
    information: bytes = b""
    """float64, one an ad: what its clicks tell; no part of serving."""


class ChallengerWeights(FTRLState, frozen=True, tag="challenger"):
    """State of a learner that may become the champion."""

    member: int
    """Its place in ``Contest.members``."""


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


class Member(Struct, frozen=True):
    """One of the learners that compete."""

    alpha: float
    beta: float
    l1: float
    l2: float
    compared: int
    """Examples since it is compared with the champion."""
    gain: float
    """Nats an example by which it does better than champion and margin, clipped; of the champion 0."""
    lower: float
    upper: float
    """95% confidence sequence of the gain."""


class Contest(Struct, frozen=True, tag="contest"):
    """Who serves, and how the challengers do, at a version (``models.contest``, ``models.population``)."""

    task: Task
    version: int
    champion: int
    """Place in ``members``."""
    predecessor: int
    """The champion before, which goes on learning; -1 is none."""
    reign: int
    """Examples since the champion serves."""
    examples: int
    """That were learned in all."""
    members: list[Member]
    alpha: float
    """With the next three the settings that were configured: those of the first champion."""
    beta: float
    l1: float
    l2: float
    generation: int
    """Challengers that were begun after a change."""
    changed: bool
    """The champion has changed, and its challengers are still to be begun."""
    state: bytes
    """float64, a row a member, of what is known of each pair."""


class Progress(Struct, frozen=True, tag="progress"):
    """Progressive (predict, then learn) quality of one model since the start of `examples`.

    Under delayed labels (cvr) an example is a click; its conversion takes the loss of the negative back
    and adds that of the positive.
    """

    task: Task
    model: str
    """``ftrl`` (champion), ``river-lr`` (standing challenger), ``mean`` (running mean: the null model)."""
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


class Calibrated(Struct, frozen=True, tag="calibration"):
    """State of the calibration of the champion's predictions (``models.calibration``) at a version."""

    task: Task
    version: int
    segments: int
    state: bytes
    """float64, five a row, the task's own row first: shift and slope of the logit, and their curvature."""


class Watch(Struct, frozen=True, tag="watch"):
    """What the learner's gate, its drift detector and its clock know at a version."""

    task: Task
    version: int
    gate: bytes
    """State of ``models.gate.Gate``."""
    drift_blocks: bytes
    """float64: mean log losses that the drift detector was fed."""
    drift_sum: float
    """Of the block that is not full."""
    drift_count: int
    drifts: int
    hour_ms: int
    """Start of the hour that ``Quality`` counts in; -1 before there is one."""
    quality_places: bytes = b""
    """uint32: what of that hour's scorecards (``models.hourly``) is not 0."""
    quality_sums: bytes = b""
    """float64, one a place."""


class Quality(Struct, frozen=True, tag="quality"):
    """Progressive quality of one model on one segment in one hour, with its reliability table.

    An example counts in the hour that the newest event time had come to when its label came. Under delayed
    labels (cvr) a conversion takes the negative of its click back, at the prediction of then. Figures that
    are not defined are None.
    """

    task: Task
    model: str
    """``ftrl`` (champion and shifts of ads) or ``ftrl-calibrated`` (as calibrated for serving)."""
    segment: str
    """``all``, ``own`` or ``foreign`` (the source), or a slot of the source: ``own-slot-0`` to
    ``own-slot-31`` and ``foreign-slot-0`` to ``foreign-slot-31``, hashed as for calibration. Of the running
    hour slots are told with each snapshot, the others with each version."""
    hour_ms: int
    """Start of the hour, UTC."""
    version: int
    """The newest of an hour counts."""
    threshold: float
    """Of the probability, for precision, recall and F1."""
    weight: float
    """Sum of weights: examples, where each has the weight 1."""
    base_rate: float | None
    log_loss: float | None
    """Nats an example."""
    relative_information_gain: float | None
    """1 - log loss / entropy of the base rate."""
    auc: float | None
    """Over the bins: two predictions of one bin are a tie."""
    precision: float | None
    recall: float | None
    f1: float | None
    calibration: float | None
    """Sum of predictions / sum of labels."""
    ece: float | None
    """Expected calibration error over the bins."""
    ece_debiased: float | None
    """Less what chance adds (Kumar, Liang and Ma 2019)."""
    ece_noise: float | None
    """A calibrated model's ``ece_debiased`` stays below it in 97% of cases."""
    bin: list[int]
    """Bins that are used: ``b`` has the logits from -8 + b/4 to -8 + (b + 1)/4; the outer ones the rest."""
    bin_weight: list[float]
    """Sums of the bin: weights, squared weights with their sign, weighted predictions, weighted labels."""
    bin_weight_sq: list[float]
    bin_prediction: list[float]
    bin_label: list[float]
    loss_sum: float
    """With the next three and the bins, what the figures follow from."""
    true_positive: float
    false_positive: float
    false_negative: float


class Change(Struct, frozen=True, tag="change"):
    """Something that the learner has noticed or changed by itself: an alert, and its audit."""

    task: Task
    version: int
    """The version in which it is first seen."""
    number: int
    """Within the version."""
    ts_ms: int
    """Event time of the example that brought it about."""
    example_id: str
    """That example."""
    kind: ChangeKind
    """``gate_accepted``: opened because what was unusual has become usual; ``rollback``: the champion before
    serves again, soon after a promotion."""
    source: str
    """Whose examples are not learned from, or are again; empty where it is about all."""
    reason: str
    """What the gate closed on: unusable, missing_field, distinct_values, label_rate_high, label_rate_low. Of
    a promotion the settings of the new champion and of the former."""
    field: str
    """The feature it is about, if any."""
    seen: float
    """What was seen: a share, a rate, for drift the log loss, for a promotion the gain in nats an example."""
    usual: float
    """What it is held against; for a promotion the lower end of the gain's confidence sequence."""


ModelRecord = (
    Weights | ChallengerWeights | LinearWeights | Delays | Contest | Progress | Calibrated | Watch | Quality
    | Change
)  # fmt: skip

decode_model_record = Decoder(ModelRecord).decode


def encode_model_record(record: ModelRecord) -> bytes:
    """JSON of a record, as ``decode_model_record`` reads it."""
    return orjson.dumps(to_builtins(record))
