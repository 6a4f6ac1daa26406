"""Which aborted transactions concern a fetch.

To a read_committed fetch a broker names the aborted transactions that reach into it, each by producer and
first offset; the consumer skips that producer's records up to its abort marker (KIP-98). The embedded broker
(noida-db 0.2.3) also names those that had ended before the fetch begins. That would hide whatever the same
producer committed since: all that a partition's new owner writes after a crash of the one before.
"""

from collections import deque
from typing import Any

from aiokafka.consumer import fetcher


class CheckedPartitionRecords(fetcher.PartitionRecords):
    """aiokafka's view of one fetch, without the aborted transactions that had ended before it.

    One had, if its producer's first marker in the fetch is a commit: a transaction that was open where the
    fetch begins and then aborted has its abort marker first. So a broker that is right is not contradicted.
    """

    def __init__(self, tp: Any, records: Any, aborted: Any, fetch_offset: int, *args: Any) -> None:
        super().__init__(tp, records, aborted, fetch_offset, *args)
        self._is_abort: dict[int, bool] = {}
        if any(first < fetch_offset for _, first in self._aborted_transactions):
            batches = _Batches(records)
            self._records = batches
            committed = self._first_marked_committed(batches)
            self._aborted_transactions = [
                (producer, first)
                for producer, first in self._aborted_transactions
                if first >= fetch_offset or producer not in committed
            ]

    def _first_marked_committed(self, batches: "_Batches") -> set[int]:
        """Producers whose first marker is a commit."""
        is_abort: dict[int, bool] = {}
        for batch in batches.waiting:
            if batch.is_control_batch and batch.producer_id not in is_abort:
                is_abort[batch.producer_id] = self._contains_abort_marker(batch)
        return {producer for producer, aborted in is_abort.items() if not aborted}

    def _contains_abort_marker(self, next_batch: Any) -> bool:
        """Remembered, because asking the batch uses its record up."""
        offset = next_batch.base_offset
        if offset not in self._is_abort:
            self._is_abort[offset] = super()._contains_abort_marker(next_batch)
        return self._is_abort[offset]


class _Batches:
    """The batches of a fetch, which may be looked at before they are taken."""

    def __init__(self, records: Any) -> None:
        self.waiting: deque[Any] = deque()
        while records.has_next():
            self.waiting.append(records.next_batch())

    def has_next(self) -> bool:
        return bool(self.waiting)

    def next_batch(self) -> Any:
        return self.waiting.popleft()
