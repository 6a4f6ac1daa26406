"""The agent that learns: examples in, versions of the weights out."""

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from faust.types import TP

from models.gate import Limits
from models.learner import Learner
from schemas.examples import decode_example
from schemas.model import Change, decode_model_record
from schemas.topics import EXAMPLES, MODEL
from streams.delivery.restore import read_all
from streams.delivery.transaction import Transactions
from streams.delivery.transport import Mark, Rows
from streams.settings import Settings

SOURCE = TP(EXAMPLES.name, 0)

log = logging.getLogger(__name__)


def learner_of(settings: Settings) -> Learner:
    """A learner that has learned nothing yet."""
    learning, gate = settings.learning, settings.gate
    limits = Limits(
        gate.unusable_share, gate.missing_share, gate.distinct_factor, gate.distinct_share,
        gate.high_rate_factor, gate.low_rate_factor, gate.patience_s * 1000.0,
    )  # fmt: skip
    return Learner(
        learning.bits, learning.alpha, learning.beta, learning.l1, learning.l2,
        learning.challenger_sample, learning.snapshot_every, learning.challengers, limits,
    )  # fmt: skip


class LearnJob:
    """The one partition of `examples`.

    A version of the weights and the offset up to which they have learned are written in one transaction;
    after a crash the learner is that of the last version, and learns the examples since then again.
    """

    def __init__(self, settings: Settings, group_id: str) -> None:
        self.learner = learner_of(settings)
        self.progressed_at_s = time.monotonic()
        self._settings = settings
        self._transactions = Transactions(settings.kafka, group_id, group_id)
        self._published_at_s = time.monotonic()

    async def open(self) -> Mapping[TP, int]:
        """Fence the learner before, then take up its last version."""
        await self._transactions.open()
        records = [record async for record in read_all(self._settings.kafka, MODEL.name, 0)]
        if records:
            self.learner.restore((key.decode(), value) for key, value in records)
        return {SOURCE: self.learner.version} if self.learner.version >= 0 else {}

    async def take(self, rows: Rows, marks: Mapping[TP, Mark], generation: int) -> None:
        """Learn what came; publish when it is time."""
        records = rows.get(SOURCE)
        if records:
            self.learner.learn([decode_example(record.value) for record in records], records[-1].offset + 1)
            self.progressed_at_s = time.monotonic()
        elif not any(mark.behind for mark in marks.values()):
            self.progressed_at_s = time.monotonic()
        if time.monotonic() - self._published_at_s >= self._settings.learning.publish_interval_s:
            await self._publish()

    async def finish(self) -> None:
        """Publish what was learned."""
        await self._publish()

    async def close(self) -> None:
        await self._transactions.close()

    def full(self) -> Collection[TP]:
        return ()

    async def _publish(self) -> None:
        self._published_at_s = time.monotonic()
        published = self.learner.publish()
        messages: list[tuple[Any, Any]] = [(key.encode(), value) for key, value in published]
        if messages:
            await self._transactions.commit({(MODEL.name, 0): messages}, {SOURCE: self.learner.version})
        for key, value in published:
            if value is not None and key.split("/")[1] == "change":
                record = decode_model_record(value)
                assert isinstance(record, Change)
                alert(record)


def alert(change: Change) -> None:
    """Log what the learner noticed or changed; its row goes to ClickHouse by the topic `model`."""
    if change.kind in ("promotion", "rollback"):
        log.warning(
            "%s, %s: %s serves, better by %.3g nats an example (%.3g at least), from example %s on",
            change.task, change.kind, change.reason, change.seen, change.usual, change.example_id,
        )  # fmt: skip
        return
    log.warning(
        "%s, %s: %s %s %s: %.4g where %.4g is usual, at example %s",
        change.task, change.kind, change.source or "all examples", change.reason, change.field, change.seen,
        change.usual, change.example_id,
    )  # fmt: skip
