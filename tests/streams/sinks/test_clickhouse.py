"""The store over a ClickHouse server, by the native protocol.

Debian's server is of 2018: it has no DateTime64, Map, codecs or deduplication tokens, so a reduced DDL lies
under the same code here. Tokens, the real DDL and the queries are tested on the embedded engine.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import orjson
import pytest
from msgspec.structs import replace

from schemas.outcomes import Outcome
from streams.embedded.process import Process, free_port
from streams.settings import ClickHouse
from streams.sinks.clickhouse import ClickHouseStore
from streams.sinks.store import RefusedError, UncertainError
from streams.sinks.writer import Writer

CONFIG = """
<yandex>
    <logger><level>warning</level><console>1</console></logger>
    <listen_host>127.0.0.1</listen_host>
    <tcp_port>{port}</tcp_port>
    <path>{data_dir}/</path>
    <tmp_path>{data_dir}/tmp/</tmp_path>
    <mark_cache_size>67108864</mark_cache_size>
    <users_config>{users_path}</users_config>
</yandex>
"""
USERS = """
<yandex>
    <users><default>
        <password></password><profile>default</profile><quota>default</quota>
        <networks><ip>127.0.0.1</ip></networks>
    </default></users>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
</yandex>
"""
OUTCOMES = """
CREATE TABLE outcomes (
    outcome_id String, kind String, ts_ms Int64, shop_id String, decision_id String, exposure_id String,
    user_id String, ad_id String, promotion_id String, campaign_id String, slot_id String, position UInt16,
    propensity Float64, revenue_micros Int64, delay_ms Int64, order_id String,
    topic_partition UInt16, topic_offset Int64
) ENGINE = MergeTree ORDER BY outcome_id
"""
OUTCOME = Outcome(
    outcome_id="click-clicks-1-7", kind="click", ts_ms=1_790_000_000_123, shop_id="main",
    decision_id="views-1-3-0", exposure_id="views-1-4", user_id="u1", ad_id="a1", promotion_id="",
    campaign_id="c1", slot_id="", position=0, propensity=0.0, revenue_micros=0, delay_ms=900, order_id="",
)  # fmt: skip
VALUE = orjson.dumps({name: getattr(OUTCOME, name) for name in Outcome.__struct_fields__})


@dataclass(frozen=True)
class Server:
    """A running server and how to reach it."""

    process: Process
    settings: ClickHouse


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private server with an empty data directory."""
    program = shutil.which("clickhouse-server")
    if program is None:
        pytest.skip("clickhouse-server is not installed")
    root, port = tmp_path_factory.mktemp("server"), free_port()
    (root / "data").mkdir()
    (root / "users.xml").write_text(USERS)
    config = root / "config.xml"
    config.write_text(CONFIG.format(port=port, data_dir=root / "data", users_path=root / "users.xml"))

    def accepts() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    command = [program, f"--config-file={config}"]
    with Process("the ClickHouse server", command, root / "server.log", ready=accepts) as process:
        yield Server(process, ClickHouse(host="127.0.0.1", port=port))


@pytest.fixture
def server_store(server: Server, database: str) -> Iterator[ClickHouseStore]:
    """A store over a new database of the server."""
    with closing(ClickHouseStore(replace(server.settings, database=database))) as store:
        store.create_database(database)
        yield store


def test_records_arrive_as_rows(server_store: ClickHouseStore) -> None:
    """Every field of the struct, and where the record was."""
    server_store.execute(OUTCOMES)
    assert 2 == Writer(server_store, lambda _: True).write("outcomes", 1, [(7, VALUE), (9, VALUE)])
    result = server_store.query("SELECT * FROM outcomes ORDER BY topic_offset")
    fields = orjson.loads(VALUE)
    expected = [fields | {"topic_partition": 1, "topic_offset": offset} for offset in (7, 9)]
    assert expected == [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def test_a_server_that_is_away_is_waited_for(server: Server, server_store: ClickHouseStore) -> None:
    """The block is written once the server is back, by the same store."""
    server_store.execute(OUTCOMES)
    server.process.stop()

    def start_server(seconds: float) -> bool:
        server.process.start()
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
