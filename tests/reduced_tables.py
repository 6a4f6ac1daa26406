"""The tables of the sink, in the types of Debian's ClickHouse server, which is of 2018."""

from streams.embedded.clickhouse import BED_DIR
from streams.sinks.clickhouse import ClickHouseStore


def create_reduced_tables(store: ClickHouseStore) -> None:
    """Create ``outcomes``, ``dead_letters`` and ``model_progress``."""
    for path in sorted(BED_DIR.glob("*.sql")):
        store.execute(path.read_text())
