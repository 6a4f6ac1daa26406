"""The weights that a worker scores with, and how what comes of them is calibrated."""

import numpy as np

from models.calibration import OWN_SEGMENTS, SEGMENTS, lines
from models.ftrl import closed_form
from models.parts import Assembly, bucket_array, float_array, shift_arrays
from schemas.model import Calibrated, ModelRecord, Task, Weights

DECIMALS = 6
SERVED = (b"ftrl", b"calibration")


def is_served(key: bytes) -> bool:
    """Whether a record of the topic `model` is about what serves: others need not be decoded for that.

    >>> is_served(b"ctr/ftrl/delta/3/0"), is_served(b"ctr/challenger-2/delta/3/0")
    (True, False)
    """
    return key.split(b"/")[1] in SERVED


class ServingWeights:
    """A task's champion as a table of weights, kept up to date from the topic `model`.

    Parameters
    ----------
    task
        Records of other tasks are passed over.
    bits
        The table has ``2**bits`` buckets.

    Attributes
    ----------
    table
        float64[2**bits], rounded to millionths so that a logged sum of weights is exact and short;
        changed in place: a reference to it stays good.
    lines
        float64[OWN_SEGMENTS, 2]: slope and shift of the logit by the slot's segment, rounded and changed in
        the same way. With the weights of a version comes its calibration; one with other segments, of another
        release, is left out.

    Examples
    --------
    >>> from models.learner import Learner
    >>> from schemas.examples import Example
    >>> from schemas.model import decode_model_record

    >>> learner = Learner(bits=8)
    >>> learner.learn([Example("ctr-0-0-1", "ctr", 0, 1, 1.0, "own", [3, 7])], next_offset=1)
    >>> weights = ServingWeights("ctr", bits=8)
    >>> weights.version
    -1
    >>> any(weights.apply(decode_model_record(value)) for key, value in learner.publish())
    True
    >>> weights.version, weights.table[3]
    (1, np.float64(0.016129))
    """

    def __init__(self, task: Task, bits: int) -> None:
        self.task = task
        self.bits = bits
        self.table = np.zeros(1 << bits)
        self.lines = np.tile([1.0, 0.0], (OWN_SEGMENTS, 1))
        self._assembly: Assembly[Weights] = Assembly()

    @property
    def version(self) -> int:
        """Offset in `examples` up to which the table has learned; -1 is none."""
        return self._assembly.version

    def apply(self, record: ModelRecord) -> bool:
        """Take the next record of the topic; True if it completed a version, which is then in the table.

        Raises ValueError where the record's ``bits`` are not the table's.
        """
        if isinstance(record, Calibrated) and record.task == self.task and record.segments == SEGMENTS:
            state = np.frombuffer(record.state, "<f8").reshape(1 + SEGMENTS, -1)
            self.lines[:] = lines(state)[:OWN_SEGMENTS].round(DECIMALS)
        if not isinstance(record, Weights) or record.task != self.task:
            return False
        if record.bits != self.bits:
            raise ValueError(f"Expected weights of 2**{self.bits} buckets, got 2**{record.bits}")
        parts = self._assembly.add(record)
        if parts and record.kind == "snapshot":
            self.table.fill(0.0)
        for part in parts:
            weights = closed_form(
                float_array(part.z), float_array(part.n), part.alpha, part.beta, part.l1, part.l2
            )
            buckets, (ads, shift, _) = bucket_array(part), shift_arrays(part)
            self.table[buckets] = weights
            self.table[ads] += shift  # they are among the buckets of the part
            self.table[buckets] = self.table[buckets].round(DECIMALS)
        return bool(parts)
