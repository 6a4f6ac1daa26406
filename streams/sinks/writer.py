"""Writes ranges of Kafka records into a store, each exactly once."""

import logging
from collections.abc import Callable, Sequence

from streams.sinks.rows import Record, columns
from streams.sinks.store import Store, UncertainError

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Long enough to leave a struggling server alone, short enough that the lag after its return stays small."""

log = logging.getLogger(__name__)


class StoppedError(Exception):
    """The writing was ended before the store had answered; whether the block is there is unknown."""


class Writer:
    """Inserts a partition's range of records as one block, again and again until the store has it.

    A store that is away is not a failure: the records are safe in Kafka. Blocks carry the token
    ``topic:partition:first-last``, so that one whose outcome was unknown is not stored twice when it
    is sent again, provided that it is the same range; the caller therefore commits the range it is
    about to write (in the offset's metadata) first, and after a crash writes that very range again.

    Blocks the calling thread. Several threads may share a writer.

    Args:
        store: Where to.
        wait: Sleeps that many seconds; true ends the writing (``threading.Event.wait``).
    """

    def __init__(self, store: Store, wait: Callable[[float], bool]) -> None:
        self._store = store
        self._wait = wait

    def write(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """Write one range; offsets ascend, and nothing of the range is left out.

        Returns:
            Rows written; of `model` only progress becomes rows.

        Raises:
            RefusedError: The store cannot take the block, now or ever: a column that is not there, say.
            RowsError: A record cannot be decoded.
            StoppedError: ``wait`` ended the writing.
        """
        table, block = columns(topic, partition, records)
        rows = len(block["topic_offset"])
        if not rows:
            return 0
        token = f"{topic}:{partition}:{records[0][0]}-{records[-1][0]}"
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._store.insert(table, block, token)
            except UncertainError as error:
                log.warning("Block %s is sent again in %g s: %s", token, pause_s, error)
            else:
                return rows
            if self._wait(pause_s):
                raise StoppedError(f"Block {token} was given up: the writer stops")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
