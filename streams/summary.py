"""What a run amounted to: events in, decisions out, and what ClickHouse holds of them."""

import asyncio

import msgspec
from msgspec import Struct

from schemas.topics import DECISIONS
from streams.admin import open_admin
from streams.delivery.restore import read_all
from streams.lag import end_offsets
from streams.settings import Kafka
from streams.sinks.store import Store

LOG_LOSS = """
SELECT model, argMax(log_loss, version) AS log_loss
FROM unique_model_progress
WHERE task = 'ctr' AND scored_share = (SELECT min(scored_share) FROM unique_model_progress)
GROUP BY model ORDER BY log_loss
"""
IDENTITIES = "SELECT uniqExact(decision_id) FROM decisions"
TABLES = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine != 'View' AND name != 'schema_migrations' ORDER BY name
"""


class Summary(Struct, frozen=True):
    """Counts of one run, each decision counted once however often it was written."""

    events: dict[str, int]
    """By kind, and ``events`` for all; as the processor counted them, duplicates and late ones apart."""
    slots: int
    """Decisions that were asked for."""
    decisions_on_topic: int
    """Distinct decision ids on the topic."""
    decisions_in_clickhouse: int
    """Distinct decision ids in the table."""
    log_loss: dict[str, float]
    """Progressive log loss of click prediction by model, nats an example, the best first; all on the
    same examples, the share that the challenger sees."""
    rows: dict[str, int]
    """By table, copies included."""
    backlog: int
    """Events that lay on the broker when the workers started."""
    duration_s: float
    """From when the workers began to read the backlog until they had committed the last event of it."""

    @property
    def events_per_s(self) -> float:
        """The backlog over ``duration_s``."""
        return self.backlog / self.duration_s


def summarize(kafka: Kafka, store: Store, counts: dict[str, int], backlog: int, duration_s: float) -> Summary:
    """Gather the numbers; reads the whole topic of decisions.

    Args:
        counts: Of the processor, as ``streams.state.counters.read`` returns them.
        backlog, duration_s: See ``Summary``.

    Raises:
        StoreError: ClickHouse failed.
        NoBrokerError: The broker is away.
    """
    tables = [str(name) for (name,) in store.query(TABLES).rows]
    return Summary(
        events={name: count for name, count in counts.items() if name not in ("slots", "decisions")},
        slots=counts["slots"],
        decisions_on_topic=len(asyncio.run(_decision_ids(kafka))),
        decisions_in_clickhouse=int(store.query(IDENTITIES).rows[0][0]),
        log_loss={str(model): float(loss) for model, loss in store.query(LOG_LOSS).rows},
        rows={table: int(store.query(f"SELECT count() FROM {table}").rows[0][0]) for table in tables},
        backlog=backlog,
        duration_s=duration_s,
    )


def as_text(summary: Summary) -> str:
    """The summary for a terminal."""
    kinds = ", ".join(
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in summary.events.items()
        if count or name == "dead_letters"
    )
    losses = ", ".join(f"{model} {loss:.5f}" for model, loss in summary.log_loss.items())
    rows = ", ".join(f"{table} {count:,}" for table, count in summary.rows.items())
    return (
        f"Events      {kinds}\n"
        f"            {summary.events_per_s:,.0f} events/s over the backlog of {summary.backlog:,}, "
        f"all committed in {summary.duration_s:.1f} s\n"
        f"Decisions   {summary.slots:,} asked for, {summary.decisions_on_topic:,} on the topic, "
        f"{summary.decisions_in_clickhouse:,} in ClickHouse, each counted once by its identity\n"
        f"Log loss    {losses or 'no example yet'} (clicks, nats an example; mean is the null model)\n"
        f"Rows        {rows}"
    )


class _Identity(Struct):
    decision_id: str


async def _decision_ids(kafka: Kafka) -> set[str]:
    with open_admin(kafka) as admin:
        partitions = len(end_offsets(admin, [DECISIONS]))
    decode = msgspec.json.Decoder(_Identity).decode
    return {
        decode(value).decision_id
        for partition in range(partitions)
        async for _, value in read_all(kafka, DECISIONS.name, partition)
        if value is not None
    }
