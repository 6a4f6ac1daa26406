"""Sending as a client does, and what is checked before."""

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from msgspec.json import encode
from traffic import T0_MS, click, exposure, purchase, refund, view

from schemas.catalog import Ad, Switch
from streams import send as module
from streams.processor.arrival import decode
from streams.routing import MAX_RECORD_BYTES
from streams.send import TOPIC_NUMBERS, Fault, SendError, faults, numbered, send
from streams.settings import Settings

GOOD = [
    encode(record)
    for record in (
        view(T0_MS, slots="ap"),
        exposure(T0_MS, decision_id="views-0-0-0"),
        click(T0_MS, kind="item"),
        purchase(T0_MS),
        refund(T0_MS),
        Ad("a1", "c1", 1),
        Switch("s1", True, "me", "why", T0_MS),
    )
]
SETTINGS = Settings()


def found(*lines: bytes) -> list[Fault]:
    """The faults of a file, at the time of its events."""
    return list(faults(numbered("f", lines), SETTINGS, T0_MS))


def reasons(*lines: bytes) -> list[str]:
    return [fault.reason for fault in found(*lines)]


def test_what_a_worker_can_use_has_no_fault() -> None:
    """Every kind of event and entry; blank lines are none."""
    assert [] == found(*GOOD, b"\n", b"  \n")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD[0].replace(b'"u1"', b'""'), "Expected `str` of length >= 1 - at `$.user_id`"),
        (GOOD[0].replace(b'"home"', b'"attic"'), "Expected a known word - at `$.page`"),
        (GOOD[2].replace(b'"item"', b'"ad"'), "Expected `decision_id` or `exposure_id` on a click of kind"),
        (b'{"type":"ad","ad_id":"a1"}', "Object missing required field `campaign_id`"),
        (b'{"type":"visit"}', "Expected a known word - at `$.type`"),
        (b'{"type":7}', "Expected `str` - at `$.type`"),
        (b"{}", "Object missing required field `type`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"type":"view"', "Input data was truncated"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b'{"type":' + b"[" * 100_000, "recursion"),
        (
            encode(view(T0_MS + 600_001)),
            "Expected `int` <= the broker's time + 600000 ms - at `$.ts_ms`",
        ),
        (
            GOOD[0].replace(b'"event_id"', b'"x":"' + b"y" * MAX_RECORD_BYTES + b'","event_id"'),
            f"Expected at most {MAX_RECORD_BYTES} bytes, got ",
        ),
    ],
)  # fmt: skip
def test_a_fault_says_where_and_why(line: bytes, reason: str) -> None:
    """Its line among others, and the sentence of the dead letter that it would become."""
    (fault,) = found(GOOD[0], b"\n", line)
    assert ("f", 3) == (fault.file, fault.line)
    assert reason in fault.reason


@given(
    st.sampled_from(GOOD[:5]).map(orjson.loads),
    st.dictionaries(
        st.sampled_from(["type", "user_id", "ts_ms", "page", "slots", "kind", "lines", "currency"]),
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=70) | st.lists(st.none(), max_size=2)
        | st.sampled_from(["view", "click", "refund", "ad", "item", "cart", "EUR"]),
        max_size=3,
    ),
)  # fmt: skip
def test_an_event_has_a_fault_where_a_worker_would_refuse_it(
    event: dict[str, Any], changes: dict[str, Any]
) -> None:
    """No more and no less, whatever is wrong with it."""
    line = orjson.dumps(
        event | {k: v for k, v in changes.items() if not isinstance(v, int) or abs(v) < 2**63}
    )
    ((_, _, record),) = numbered("f", [line])
    if record.topic not in TOPIC_NUMBERS:
        assert [] == found(line)
        return
    arrival = decode(TOPIC_NUMBERS[record.topic], 0, 0, T0_MS, record.value, 600_000)
    assert (arrival.event is None) == bool(found(line))


@pytest.mark.parametrize("start", [b"", b"\n \n"])
def test_one_object_may_take_many_lines(start: bytes) -> None:
    """It is sent as one line, whatever spaces a person has put in."""
    pretty = start + msgspec.json.format(GOOD[3], indent=4)
    ((_, _, record),) = numbered("f", pretty.splitlines(keepends=True))
    assert (GOOD[3], b"u1") == (record.value, record.key)


def test_a_broken_first_line_is_not_taken_for_the_beginning_of_an_object() -> None:
    """The lines behind it stay what they are."""
    assert [(1, "Input data was truncated")] == [
        (fault.line, fault.reason) for fault in found(b'{"type":"view"\n', GOOD[0] + b"\n", GOOD[2])
    ]


class FailingFuture:
    """A record whose confirmation fails, or does not."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout_s: float) -> None:
        if self._error:
            raise self._error


class FailingProducer:
    """A client that confirms so many records and then fails."""

    errors: Iterator[Exception | None] = iter(())

    def __init__(self, **_: object) -> None:
        pass

    def send(self, topic: str, **_: object) -> FailingFuture:
        return FailingFuture(next(self.errors))

    def close(self, timeout: float) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            KafkaTimeoutError(),
            "f, line 2 was not confirmed (KafkaTimeoutError); 1 record was",
        ),
        (
            MessageSizeTooLargeError(),
            "f, line 2 is larger than the broker takes; 1 record was",
        ),
    ],
)
def test_a_record_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    """With what was confirmed before it, and whether to send all of it again."""
    monkeypatch.setattr(module, "KafkaProducer", FailingProducer)
    monkeypatch.setattr(FailingProducer, "errors", iter([None, error, None]))
    monkeypatch.setattr(module, "open_admin", AllTopics)
    with pytest.raises(SendError) as raised:
        send(numbered("f", GOOD[:3]), SETTINGS)
    assert str(raised.value).startswith(said)


class AllTopics:
    """A broker that has every topic."""

    def __init__(self, kafka: object) -> None:
        pass

    def __enter__(self) -> "AllTopics":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def list_topics(self) -> list[str]:
        return [*TOPIC_NUMBERS, "catalog"]
