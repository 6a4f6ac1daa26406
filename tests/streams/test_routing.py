"""Where lines go."""

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import CATALOG, VIEWS
from streams.routing import Record, partition_of, route

TS_MS = 1_700_000_000_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
heads = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["view", "exposure", "click", "purchase", "refund", "ad", "shop"])
        | json_values,
        "user_id": st.text(max_size=70) | json_values,
        "ts_ms": st.integers() | json_values,
        "item_id": json_values,
    },
)


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("view", "views"),
        ("exposure", "views"),
        ("click", "clicks"),
        ("purchase", "purchases"),
        ("refund", "purchases"),
    ],
)
def test_an_event_goes_to_the_topic_of_its_type(kind: str, topic: str) -> None:
    """Under its user's key, at its own time, as the bytes it is."""
    line = f'{{"type": "{kind}", "user_id":"ü1", "ts_ms": {TS_MS}, "else": [1.50]}}'.encode()
    assert [Record(topic, "ü1".encode(), line, TS_MS)] == list(route([line + b"\r\n"]))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"type":"shop","shop_id":"s"}', b"shop:s:s"),
        (b'{"type":"ad","ad_id":"a","campaign_id":"c","bid_micros":1}', b"ad:main:a"),
        (b'{"type":"item","item_id":"i","shop_id":"s"}', b"item:s:i"),
    ],
)
def test_an_entry_goes_to_the_catalogue_under_its_key(line: bytes, key: bytes) -> None:
    """Catalogue entries are compacted by the key that the contract gives them."""
    assert [Record(CATALOG.name, key, line, None)] == list(route([line]))


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"\xff",
        b"[]",
        b'"view"',
        b'{"type":"visit"}',
        b'{"user_id":"u1"}',
        b'{"type":"item"}',
        b'{"type":7}',
        b'{"type":' + b"[" * 100_000,
    ],
)
def test_what_has_no_topic_goes_to_views_without_a_key(line: bytes) -> None:
    """No JSON, an unknown type or an entry without a key: a worker is to dead-letter it."""
    assert [Record(VIEWS.name, None, line, None)] == list(route([line]))


@pytest.mark.parametrize(
    ("line", "key", "ts_ms"),
    [
        (b'{"type":"click","user_id":"u1","ts_ms":"soon"}', b"u1", None),
        (b'{"type":"click","user_id":"u1","ts_ms":true}', b"u1", None),
        (b'{"type":"click","user_id":"u1","ts_ms":1700000000}', b"u1", None),
        (b'{"type":"click","user_id":5,"ts_ms":1700000000000}', None, TS_MS),
        (b'{"type":"click","user_id":"","ts_ms":1700000000000}', None, TS_MS),
    ],
)
def test_a_broken_event_keeps_its_topic(line: bytes, key: bytes | None, ts_ms: int | None) -> None:
    """So that the reason of its dead letter is the event's fault and not the topic's."""
    assert [Record("clicks", key, line, ts_ms)] == list(route([line]))


def test_blank_lines_are_no_records() -> None:
    """The empty line at the end of many files is none of a worker's business."""
    assert [] == list(route([b"", b"\n", b"  \r\n"]))


@given(st.lists(st.binary() | heads.map(msgspec.json.encode)))
def test_no_line_is_lost_or_changed(lines: list[bytes]) -> None:
    """Every line that is not blank comes out once, in order, byte for byte."""
    expected = [line.rstrip(b"\r\n") for line in lines if line.strip()]
    assert expected == [record.value for record in route(lines)]


@given(st.text(min_size=1).map(lambda text: text.encode("utf-8", "ignore")), st.integers(1, 64))
def test_keys_go_where_kafka_puts_them(key: bytes, partitions: int) -> None:
    """The partition is that of Kafka's default partitioner."""
    everywhere = list(range(partitions))
    assert DefaultPartitioner()(key, everywhere, everywhere) == partition_of(key, partitions)
