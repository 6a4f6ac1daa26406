"""Which faults befall which run, and when: drawn from a seed."""

from collections.abc import Sequence
from random import Random
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "kill", "terminate", "freeze", "kill-node", "stop-node", "kill-cluster", "kill-store", "kill-sink"
]
"""Of a worker: SIGKILL, SIGTERM, SIGSTOP past its session and back; of one broker node: SIGKILL, SIGTERM; of
all of them: SIGKILL; of ClickHouse: SIGKILL; of the worker that fills it: SIGKILL. What was ended is started
again."""

WORKER_KINDS: tuple[Kind, ...] = ("kill", "terminate", "freeze")
ONE_NODE_KINDS: tuple[Kind, ...] = (*WORKER_KINDS, "kill-node", "stop-node")
CLUSTER_KINDS: tuple[Kind, ...] = (*ONE_NODE_KINDS, "kill-cluster")
STORE_KINDS: tuple[Kind, ...] = ("kill-store", "kill-sink")

FIRST_SHARE, LAST_SHARE = 0.03, 0.92
"""Of the events: before it nothing is under way, after it too little is left to be disturbed."""


class Fault(Struct, frozen=True):
    """What is going to happen."""

    kind: Kind
    at_share: float
    """Of the events, as far as they are committed then."""
    victim: int
    """Which worker or node, modulo their number."""


def draw_faults(seed: int, counts: Sequence[int], kinds: tuple[Kind, ...]) -> list[list[Fault]]:
    """So many faults of each run, in the order of their moments.

    Every kind occurs in each run that has enough of them; else the next run has those that are left.

    >>> [[fault.kind for fault in run] for run in draw_faults(1, (1, 2), ("kill", "freeze"))]
    [['kill'], ['freeze', 'kill']]
    """
    random = Random(seed)
    deck = random.sample(kinds, len(kinds))
    runs = []
    for count in counts:
        drawn = [*deck[:count], *random.choices(kinds, k=max(0, count - len(deck)))]
        deck = deck[count:] + deck[:count]
        random.shuffle(drawn)
        shares = sorted(random.uniform(FIRST_SHARE, LAST_SHARE) for _ in drawn)
        runs.append(
            [Fault(kind, share, random.randrange(60)) for kind, share in zip(drawn, shares, strict=True)]
        )
    return runs
