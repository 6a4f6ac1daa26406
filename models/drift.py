"""Has a model become worse? ADWIN on blocks of log loss, with a state that can be kept."""

import math

import numpy as np
from numpy.typing import NDArray
from river import drift

BLOCK = 100  # examples whose mean log loss is one number for ADWIN
DELTA = 0.002  # River's default
LONGEST = 1_024  # blocks before ADWIN begins anew from the newer half
SMALLEST_P = 1e-15

Floats = NDArray[np.float64]


class DriftDetector:
    """``river.drift.ADWIN`` (Bifet and Gavaldà 2007) on the mean log loss of blocks of 100 examples.

    A fall of the loss moves the window and is no drift. River's detector has no state that could be stored,
    so what it was fed is remembered: ``blocks`` fed to a new one make the same detector. When there are 1,024
    of them, it begins anew from the newer half, on purpose, so that memory and the time of a restore are
    bounded and a restored detector equals the one that never stopped.

    Parameters
    ----------
    delta
        Confidence of ADWIN: smaller is slower and errs less.

    Attributes
    ----------
    blocks
        Mean log losses, in nats, since it began.
    drifts
        How many were found.

    Examples
    --------
    >>> detector = DriftDetector()
    >>> random = np.random.default_rng(1)
    >>> labels = random.random(40_000) < np.where(np.arange(40_000) < 20_000, 0.05, 0.15)
    >>> [index] = detector.update(np.full(40_000, 0.05), labels)
    >>> 20_000 < index < 26_000
    True
    """

    def __init__(self, delta: float = DELTA) -> None:
        self.delta = delta
        self.blocks: list[float] = []
        self.drifts = 0
        self._sum, self._count = 0.0, 0
        self._adwin = self._fresh()

    def update(self, predictions: Floats, labels: NDArray[np.bool_]) -> list[int]:
        """Take n examples: ``predictions`` float64[n], ``labels`` bool[n].

        Returns the indices of the examples at which a drift was found.
        """
        p = np.clip(np.nan_to_num(predictions, nan=0.5), SMALLEST_P, 1.0 - SMALLEST_P)
        found = []
        for index, loss in enumerate((-np.log(np.where(labels, p, 1.0 - p))).tolist()):
            self._sum += loss
            self._count += 1
            if self._count == BLOCK:
                if self._feed(self._sum / BLOCK):
                    found.append(index)
                self._sum, self._count = 0.0, 0
        return found

    def state(self) -> tuple[list[float], float, int, int]:
        """Blocks, the sum and count of the one that is not full, and the drifts so far."""
        return list(self.blocks), self._sum, self._count, self.drifts

    def restore(self, blocks: list[float], loss_sum: float, count: int, drifts: int) -> None:
        """Go on from a ``state``."""
        self._adwin = self._fresh()
        self.blocks = list(blocks)
        for block in blocks:
            self._adwin.update(block)
        self._sum, self._count, self.drifts = loss_sum, count, drifts

    def _feed(self, block: float) -> bool:
        if len(self.blocks) == LONGEST:
            self.blocks = self.blocks[LONGEST // 2 :]
            self._adwin = self._fresh()
            for kept in self.blocks:
                self._adwin.update(kept)
        before = self._adwin.estimation if self.blocks else math.inf
        self.blocks.append(block)
        self._adwin.update(block)
        worse = bool(self._adwin.drift_detected and self._adwin.estimation > before)
        self.drifts += worse
        return worse

    def _fresh(self) -> drift.ADWIN:
        return drift.ADWIN(delta=self.delta, clock=1)
