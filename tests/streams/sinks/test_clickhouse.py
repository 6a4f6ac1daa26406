"""The store over a ClickHouse server, by the native protocol.

Debian's server is of 2018: it has no DateTime64, Map, codecs or deduplication tokens, so a reduced DDL lies
under the same code here. Tokens, the real DDL and the queries are tested on the embedded engine.
"""

from collections.abc import Iterator
from contextlib import closing

import orjson
import pytest
from msgspec.json import encode
from msgspec.structs import replace
from reduced_tables import create_reduced_tables

from schemas.dead_letters import DeadLetter
from schemas.model import Progress, encode_model_record
from schemas.outcomes import Outcome
from streams.embedded.clickhouse import Server
from streams.embedded.process import free_port
from streams.settings import ClickHouse
from streams.sinks.clickhouse import ClickHouseStore
from streams.sinks.store import RefusedError, UncertainError
from streams.sinks.writer import Writer

OUTCOME = Outcome(
    outcome_id="click-clicks-1-7", kind="click", ts_ms=1_790_000_000_123, shop_id="main",
    decision_id="views-1-3-0", exposure_id="views-1-4", user_id="u1", ad_id="a1", promotion_id="",
    campaign_id="c1", slot_id="", position=0, propensity=0.0, revenue_micros=0, delay_ms=900, order_id="",
)  # fmt: skip
PROGRESS = Progress(
    task="ctr", model="mean", version=-1, ts_ms=1_790_000_000_123, examples=0, positives=0, log_loss=None,
    auc=None, calibration=None, scored_share=1.0, learned_share=0.5, weight_sum=0.0, loss_sum=0.0,
    prediction_sum=0.0, label_sum=0.0,
)  # fmt: skip
VALUE = orjson.dumps({name: getattr(OUTCOME, name) for name in Outcome.__struct_fields__})


@pytest.fixture
def server_store(clickhouse_server: Server, database: str) -> Iterator[ClickHouseStore]:
    """A store over the reduced tables in a new database of the server."""
    with closing(ClickHouseStore(replace(clickhouse_server.settings, database=database))) as store:
        store.create_database(database)
        create_reduced_tables(store)
        yield store


def test_records_arrive_as_rows(server_store: ClickHouseStore) -> None:
    """Every field of the struct, and where the record was."""
    assert 2 == Writer(server_store, lambda _: True).write("outcomes", 1, [(7, VALUE), (9, VALUE)])
    result = server_store.query("SELECT * FROM outcomes ORDER BY topic_offset")
    fields = orjson.loads(VALUE)
    expected = [fields | {"topic_partition": 1, "topic_offset": offset} for offset in (7, 9)]
    assert expected == [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def test_what_may_be_missing_is_null(server_store: ClickHouseStore) -> None:
    """A model that has learned nothing yet has no loss."""
    assert 1 == Writer(server_store, lambda _: True).write("model", 0, [(3, encode_model_record(PROGRESS))])
    columns = "model, version, log_loss, learned_share"
    assert [("mean", -1, None, 0.5)] == server_store.query(f"SELECT {columns} FROM model_progress").rows


def test_bytes_that_are_no_text_arrive(server_store: ClickHouseStore) -> None:
    """What was no event is kept; it is the tables of newer servers that decode it."""
    letter = DeadLetter("views", 2, 7, 1_790_000_000_123, "Expected `object`", b"\xff\x00")
    assert 1 == Writer(server_store, lambda _: True).write("dead-letters", 2, [(0, encode(letter))])
    columns = "source_topic, source_offset, reason, raw_base64"
    assert [("views", 7, "Expected `object`", "/wA=")] == (
        server_store.query(f"SELECT {columns} FROM dead_letters").rows
    )


def test_a_server_that_is_away_is_waited_for(
    clickhouse_server: Server, server_store: ClickHouseStore
) -> None:
    """The block is written once the server is back, by the same store."""
    clickhouse_server.kill()

    def start_server(seconds: float) -> bool:
        clickhouse_server.start()
        return False

    assert 1 == Writer(server_store, start_server).write("outcomes", 1, [(7, VALUE)])
    assert [(1,)] == server_store.query("SELECT count() FROM outcomes").rows


def test_a_block_is_one_part(server_store: ClickHouseStore) -> None:
    """The driver does not split what is to be stored whole."""
    server_store.execute("CREATE TABLE kept (x Array(Float64)) ENGINE = MergeTree ORDER BY tuple()")
    server_store.insert("kept", {"x": [[0.5, 0.25], []] * 50_000}, "t")
    parts = "SELECT rows FROM system.parts WHERE table = 'kept' AND database = currentDatabase() AND active"
    assert [(100_000,)] == server_store.query(parts).rows


def test_times_are_text(server_store: ClickHouseStore) -> None:
    """As the embedded engine gives them."""
    sql = "SELECT toDateTime('2026-09-21 14:13:20', 'UTC'), toDate('2026-09-21')"
    assert [("2026-09-21 14:13:20", "2026-09-21")] == server_store.query(sql).rows


def test_wrong_sql_is_refused(server_store: ClickHouseStore) -> None:
    """The message is the server's, on one line."""
    with pytest.raises(RefusedError, match=r"^ClickHouse error 60: .*nowhere") as caught:
        server_store.query("SELECT x FROM nowhere")
    assert 1 == len(str(caught.value).splitlines())


def test_a_value_that_does_not_fit_is_refused_and_not_told(server_store: ClickHouseStore) -> None:
    """The column is named; nothing is stored."""
    server_store.execute("CREATE TABLE kept (x UInt16) ENGINE = MergeTree ORDER BY x")
    with pytest.raises(RefusedError, match="Block t for kept: a value does not fit column x"):
        server_store.insert("kept", {"x": [1, 70_000]}, "t")
    assert [(0,)] == server_store.query("SELECT count() FROM kept").rows


def test_nobody_at_the_address_leaves_the_outcome_unknown() -> None:
    """The caller is to try again."""
    settings = ClickHouse(host="127.0.0.1", port=free_port())
    with closing(ClickHouseStore(settings)) as store, pytest.raises(UncertainError, match="did not answer"):
        store.execute("SELECT 1")
