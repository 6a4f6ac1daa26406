"""Which faults befall a run, and when: drawn from a seed."""

from random import Random
from typing import Literal

from msgspec import Struct

Kind = Literal["kill", "terminate", "freeze", "kill-node", "stop-node", "kill-cluster", "kill-store"]
"""Of a worker: SIGKILL, SIGTERM, SIGSTOP past its session and back; of one broker node: SIGKILL, SIGTERM; of
all of them: SIGKILL; of ClickHouse: SIGKILL. What was ended is started again."""

WORKER_KINDS: tuple[Kind, ...] = ("kill", "terminate", "freeze")
ONE_NODE_KINDS: tuple[Kind, ...] = (*WORKER_KINDS, "kill-node", "stop-node")
CLUSTER_KINDS: tuple[Kind, ...] = (*ONE_NODE_KINDS, "kill-cluster")

FIRST_SHARE, LAST_SHARE = 0.03, 0.92
"""Of the events: before it nothing is under way, after it too little is left to be disturbed."""


class Fault(Struct, frozen=True):
    """What is going to happen."""

    kind: Kind
    at_share: float
    """Of the events, as far as they are committed then."""
    victim: int
    """Which worker or node, modulo their number."""


def draw_faults(seed: int, count: int, kinds: tuple[Kind, ...]) -> list[Fault]:
    """``count`` faults in the order of their moments; every kind occurs if there are enough.

    >>> [fault.kind for fault in draw_faults(1, 3, ("kill", "freeze"))]
    ['kill', 'freeze', 'kill']
    """
    random = Random(seed)
    drawn = [*kinds[:count], *random.choices(kinds, k=max(0, count - len(kinds)))]
    random.shuffle(drawn)
    shares = sorted(random.uniform(FIRST_SHARE, LAST_SHARE) for _ in drawn)
    return [Fault(kind, share, random.randrange(60)) for kind, share in zip(drawn, shares, strict=True)]
