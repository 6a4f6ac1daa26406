"""Drawn exposures with their true probability, and predictions that are wrong in stated ways."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ftrl import FTRLProximal

SLOTS = 6
FIELDS = {"bias": 1, "ad": 200, "category": 20, "audience": 50, "hour": 24, "slot": SLOTS}
SPREAD = {"ad": 0.6, "category": 0.4, "audience": 0.5, "hour": 0.2, "slot": 0.5}
"""Standard deviation of a field's effects on the logit."""
BASE_LOGIT = -3.5
BITS = 12
KEPT = 0.1  # share of the negatives that a subsampling learner sees

Floats = NDArray[np.float64]


class Stream(NamedTuple):
    """n exposures in order, with what a model said of them before calibration."""

    name: str
    predictions: Floats
    """float64[n]"""
    segments: NDArray[np.int64]
    """int64[n]: the slot."""
    labels: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    """bool[n]: whether the example reaches the learner at all."""
    weights: Floats
    """float64[n]: importance of those that do."""


class Exposures:
    """Exposures whose logit is a sum of effects of fields, plus a drift of each slot.

    The slots' effects move from the first to the last exposure, by up to a logit: what an installation
    sees when a page is laid out anew bit by bit.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        columns, start = [], 0
        self.logit = np.full(count, BASE_LOGIT)
        for field, size in FIELDS.items():
            values = np.minimum(self.random.geometric(4.0 / (size + 3.0), count) - 1, size - 1)
            columns.append((values + start).astype(np.uint32))
            start += size
            if field in SPREAD:
                self.logit += self.random.normal(0.0, SPREAD[field], size)[values]
            if field == "slot":
                self.slots = values.astype(np.int64)
        time = np.linspace(0.0, 1.0, count)
        self.logit += np.linspace(-1.0, 1.0, SLOTS)[self.slots] * time
        self.buckets = np.column_stack(columns)
        self.labels = self.random.random(count) < sigmoid(self.logit)

    def streams(self) -> list[Stream]:
        """The stream of each stated fault."""
        return [self.subsampled(), self.wrong_prior(), self.distorted(), self.drifting()]

    def subsampled(self) -> Stream:
        """A learner that sees a tenth of the negatives, corrected by logit + ln r; it lags behind drift."""
        count = self.labels.size
        seen = self.labels | (self.random.random(count) < KEPT)
        model = FTRLProximal(BITS)
        width = self.buckets.shape[1]
        said = model.learn_many_hashed(
            self.buckets.ravel(),
            np.arange(0, count * width + 1, width, dtype=np.int64),
            self.labels,
            seen.astype(np.float64),
        )
        corrected = sigmoid(odds(said) + np.log(KEPT))
        return self._stream("subsampled", corrected, seen, np.where(self.labels, 1.0, 1.0 / KEPT))

    def wrong_prior(self) -> Stream:
        """The truth at twice the odds: a filter of bots has halved the labels since the model was trained."""
        return self._stream("wrong prior", sigmoid(self.logit + np.log(2.0)))

    def distorted(self) -> Stream:
        """In each slot another slope (0.6 to 1.4) around the base and another shift (-0.6 to 0.6)."""
        slope, shift = np.linspace(0.6, 1.4, SLOTS), np.array([0.6, -0.3, 0.0, 0.3, -0.6, 0.2])
        bent = BASE_LOGIT + slope[self.slots] * (self.logit - BASE_LOGIT) + shift[self.slots]
        return self._stream("distorted by slot", sigmoid(bent))

    def drifting(self) -> Stream:
        """A model that was right at the first exposure and does not learn the slots' drift."""
        time = np.linspace(0.0, 1.0, self.labels.size)
        return self._stream(
            "position drift", sigmoid(self.logit - np.linspace(-1.0, 1.0, SLOTS)[self.slots] * time)
        )

    def _stream(
        self, name: str, said: Floats, seen: NDArray[np.bool_] | None = None, weights: Floats | None = None
    ) -> Stream:
        count = self.labels.size
        return Stream(
            name,
            said,
            self.slots,
            self.labels,
            np.ones(count, np.bool_) if seen is None else seen,
            np.ones(count) if weights is None else weights,
        )


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of ``logits``, float64[n]."""
    p: Floats = 1.0 / (1.0 + np.exp(-logits))
    return p


def odds(probabilities: Floats) -> Floats:
    """Logits of ``probabilities``, float64[n], which are clipped to what a logit of 30 says."""
    p = np.clip(probabilities, 1e-13, 1.0 - 1e-13)
    logits: Floats = np.log(p / (1.0 - p))
    return logits
