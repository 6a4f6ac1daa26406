"""aiokafka's fetching, made good in four places; importing this module puts it in place for the process.

* **Aborted transactions.** To a read_committed fetch a broker names the aborted transactions that reach into
  it, each by producer and first offset; the consumer skips that producer's records up to its abort marker
  (KIP-98). The embedded broker (noida-db 0.2.3) also names those that had ended before the fetch begins. That
  would hide whatever the same producer committed since: all that a partition's new owner writes after a crash
  of the one before.
* **Empty fetches.** The embedded broker never lets a fetch wait for records: an idle consumer asked it 6,000
  times a second. An empty fetch takes its time here (``pacing``); a broker that does wait is not slowed.
* **Turns.** A poll takes what came first, to its end: of a backlog one partition was read after the other.
  They take turns here, so that none falls behind, examples stay near the order of time, and the decisions of
  several are on their way at once.
* **Records.** We need four of a record's eleven fields.
"""

from collections import deque
from contextvars import ContextVar
from typing import Any

from aiokafka.consumer import consumer, fetcher
from msgspec import Struct

from streams.delivery.pacing import PacedFetcher

Markers = dict[tuple[Any, int], int]
"""Offset of the newest marker seen, by partition and producer."""

_markers: ContextVar[Markers] = ContextVar("markers")


class Row(Struct, gc=False):
    """A record as we need it: made in a tenth of the time of aiokafka's own, which has eleven fields."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class CheckedFetcher(PacedFetcher):
    """aiokafka's fetcher, which remembers the markers that it has passed, and gives partitions turns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._passed: Markers = {}
        super().__init__(*args, **kwargs)

    async def _proc_fetch_request(self, *args: Any) -> Any:
        _markers.set(self._passed)  # each request is a task of its own
        return await super()._proc_fetch_request(*args)

    async def fetched_records(self, *args: Any, **kwargs: Any) -> Any:
        """Take the next records; the partitions that they are of come last at the next poll."""
        taken = await super().fetched_records(*args, **kwargs)
        for tp in taken:
            if tp in self._records:  # more of it has come already
                self._records.move_to_end(tp)
        return taken


class CheckedPartitionRecords(fetcher.PartitionRecords):
    """aiokafka's view of one fetch, without the aborted transactions that had ended before it.

    One had, if a marker of its producer lies between its first offset and the fetch; or if its producer's
    first marker in the fetch is a commit, since a transaction that was open where the fetch begins and then
    aborted has its abort marker first. So a broker that is right is not contradicted. One case stays
    undecided, and the broker is believed: the fetch ends before such a marker, and we began reading behind
    the other.
    """

    _aborted_transactions: list[tuple[int, int]]
    """Producer and first offset, in the order of offsets."""

    def __init__(self, tp: Any, records: Any, aborted: Any, fetch_offset: int, *args: Any) -> None:
        super().__init__(tp, records, aborted, fetch_offset, *args)
        self._is_abort: dict[int, bool] = {}
        if not self._aborted_transactions:
            return
        batches = self._records = _Batches(records)
        committed = self._first_marked_committed(batches)
        passed = _markers.get()
        self._aborted_transactions = [
            (producer, first)
            for producer, first in self._aborted_transactions
            if first >= fetch_offset
            or (producer not in committed and not first < passed.get((tp, producer), -1) < fetch_offset)
        ]
        for batch in batches.waiting:
            if batch.is_control_batch:
                passed[tp, batch.producer_id] = batch.base_offset

    def _consumer_record(self, tp: Any, record: Any) -> Row:
        return Row(record.offset, record.timestamp, record.key, record.value)

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


# aiokafka has no hook for it, and the consumer that Faust makes needs it as well.
consumer.Fetcher, fetcher.PartitionRecords = CheckedFetcher, CheckedPartitionRecords
