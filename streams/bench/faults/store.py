"""What analysts see in ClickHouse, held against the topics that it was filled from."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from schemas.dead_letters import decode_dead_letter
from schemas.decisions import decode_decision
from schemas.outcomes import decode_outcome
from schemas.topics import DEAD_LETTERS, DECISIONS, OUTCOMES, Topic
from streams.bench.faults.log import records_of
from streams.settings import ClickHouse, Kafka
from streams.sinks.migrations import apply
from streams.sinks.store import open_store

SHOWN = 5

Row = tuple[Any, ...]
"""Partition and offset of the record, then its columns."""
Identity = tuple[Any, ...]


class View(NamedTuple):
    """A view of unique rows, and the topic that they come from."""

    name: str
    topic: Topic
    decode: Callable[[bytes], Any]
    columns: Mapping[str, str]
    """Telling ones, and the fields of the record that they come from; the identity first."""
    identity_size: int

    def identity(self, row: Row) -> Identity:
        """Of what the row tells."""
        return row[2 : 2 + self.identity_size]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


VIEWS = (
    View(
        "unique_decisions", DECISIONS, decode_decision,
        _same("decision_id", "user_id", "chosen_id", "propensity", "model_version", "price_micros"), 1,
    ),
    View(
        "unique_outcomes", OUTCOMES, decode_outcome,
        _same("outcome_id", "kind", "user_id", "decision_id", "propensity", "revenue_micros", "delay_ms"), 1,
    ),
    View(
        "unique_dead_letters", DEAD_LETTERS, decode_dead_letter,
        {
            "source_topic": "topic", "source_partition": "partition", "source_offset": "offset",
            "reason": "reason", "lower(hex(raw))": "raw",
        }, 3,
    ),
)  # fmt: skip


class StoreComparison(Struct, frozen=True):
    """How the views differ from the topics; all but the first must be 0."""

    store_rows: int
    store_missing_rows: int
    """Identities that are on a topic only."""
    store_other_rows: int
    """Rows of no record, of a later copy than the first, with other content, or there again."""
    first: dict[str, list[str]]
    """Identities of the first few that differ, by view."""

    @property
    def same(self) -> bool:
        """Whether each record has its row, once."""
        return not (self.store_missing_rows or self.store_other_rows)


def lay_tables(clickhouse: ClickHouse) -> None:
    """Create the tables.

    Raises:
        StoreError: The store failed.
    """
    with closing(open_store(clickhouse)) as store:
        apply(store, clickhouse.database)


def compare_store(kafka: Kafka, clickhouse: ClickHouse) -> StoreComparison:
    """Hold all rows of the views against the topics, read whole.

    Raises:
        StoreError: The store failed.
    """
    with closing(open_store(clickhouse)) as store:
        found = {view.name: store.query(_select(view)).rows for view in VIEWS}
    return compare_rows(
        {view.name: expected_rows(view, records_of(kafka, view.topic)) for view in VIEWS}, found
    )


def expected_rows(view: View, records: Mapping[int, Iterable[Any]]) -> dict[Identity, Row]:
    """What a topic's records, by partition and in the order of offsets, must come to: their first copies."""
    fields_of = attrgetter(*view.columns.values())
    rows: dict[Identity, Row] = {}
    for partition, of_partition in records.items():
        for record in of_partition:
            fields = fields_of(view.decode(record.value))
            row = (partition, record.offset, *(x.hex() if isinstance(x, bytes) else x for x in fields))
            rows.setdefault(view.identity(row), row)
    return rows


def compare_rows(
    expected: Mapping[str, Mapping[Identity, Row]], found: Mapping[str, Sequence[Row]]
) -> StoreComparison:
    """Hold the rows of each view, by its name, against those that must be there."""
    missing_rows = other_rows = 0
    first = {}
    for view in VIEWS:
        wanted, rows = expected[view.name], found[view.name]
        missing = wanted.keys() - map(view.identity, rows)
        other = Counter(rows) - Counter(wanted.values())
        missing_rows += len(missing)
        other_rows += other.total()
        if differing := missing | set(map(view.identity, other)):
            first[view.name] = sorted(map(str, differing))[:SHOWN]
    return StoreComparison(sum(map(len, found.values())), missing_rows, other_rows, first)


def _select(view: View) -> str:
    return f"SELECT topic_partition, topic_offset, {', '.join(view.columns)} FROM {view.name}"
