"""Writes ranges of Kafka records into a store, each exactly once."""

import logging
from collections.abc import Callable, Sequence
from uuid import uuid4

from streams.sinks.rows import Columns, Record, blocks
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

    A MergeTree that is not replicated notes the token before it has the block (ClickHouse 26: the log of
    tokens is written, then the part is renamed into place). A server that dies in between knows the token and
    not the rows, and drops the block for ever. So what may have been sent before is looked for, and where
    rows are missing it is sent under a new token: at worst there are copies, which the views hide.

    Blocks the calling thread. Several threads may share a writer.

    Args:
        store: Where to.
        wait: Sleeps that many seconds; true ends the writing (``threading.Event.wait``).
    """

    def __init__(self, store: Store, wait: Callable[[float], bool]) -> None:
        self._store = store
        self._wait = wait

    def write(self, topic: str, partition: int, records: Sequence[Record], again: bool = False) -> int:
        """Write one range; offsets ascend, and nothing of the range is left out.

        Args:
            topic: One that has a table.
            partition: Of the topic.
            records: The range.
            again: Somebody may have sent this very range before.

        Returns:
            Rows written; of `model` weights and states have none.

        Raises:
            RefusedError: The store cannot take the block, now or ever: a column that is not there, say.
            RowsError: A record cannot be decoded.
            StoppedError: ``wait`` ended the writing.
        """
        token = f"{topic}:{partition}:{records[0][0]}-{records[-1][0]}"
        return sum(
            self._insert(table, partition, block, token, again)
            for table, block in blocks(topic, partition, records).items()
        )

    def _insert(self, table: str, partition: int, block: Columns, token: str, again: bool) -> int:
        """Insert one table's rows of a range until they are there; each table has tokens of its own."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._store.insert(table, block, token)
                if again and not self._has(table, partition, block["topic_offset"]):
                    self._store.insert(table, block, f"{token}:{uuid4().hex}")
            except UncertainError as error:
                again = True
                log.warning("Block %s is sent again in %g s: %s", token, pause_s, error)
            else:
                return len(block["topic_offset"])
            if self._wait(pause_s):
                raise StoppedError(f"Block {token} was given up: the writer stops")
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _has(self, table: str, partition: int, offsets: Sequence[int]) -> bool:
        """Whether the table has all rows of a block; one that a first copy has replaced counts as missing."""
        found = self._store.query(
            f"SELECT uniqExact(topic_offset) FROM {table} WHERE topic_partition = {partition} "
            f"AND topic_offset BETWEEN {offsets[0]} AND {offsets[-1]}"
        )
        return bool(found.rows[0][0] == len(offsets))
