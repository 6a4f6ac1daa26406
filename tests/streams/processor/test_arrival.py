import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode
from traffic import T0_MS, TOPICS, click, exposure, purchase, refund, view

from schemas.dead_letters import DeadLetter
from streams.processor.arrival import decode

MAX_AHEAD_MS = 10_000
VIEWS, CLICKS, PURCHASES = range(3)
SHOWN = encode(exposure(T0_MS, propensity=0.5))
TOO_LONG = b'"%b"' % (65 * b"u")
TIME = b"1748851200000"
GOOD = b'{"type":"view","event_id":"e","user_id":"u","ts_ms":1748851200000,"page":"home"}'


def decoded(topic, raw, ts_ms=T0_MS):
    return decode(topic, 3, 7, ts_ms, raw, MAX_AHEAD_MS)


@pytest.mark.parametrize(
    "event",
    [
        view(T0_MS, slots="ap", segments=("new",)),
        exposure(T0_MS, propensity=0.5),
        click(T0_MS, decision_id="views-0-0-0"),
        purchase(T0_MS, currency="EUR"),
        refund(T0_MS),
    ],
    ids=lambda event: type(event).__name__.lower(),
)
def test_an_event_comes_out_as_it_was_sent(event):
    """Each kind of event is read from the topic that it belongs to."""
    arrival = decoded(TOPICS[type(event)], encode(event))
    assert (event, "", 3, 7) == (arrival.event, arrival.reason, arrival.partition, arrival.offset)


@pytest.mark.parametrize(
    ("topic", "raw", "reason"),
    [
        (VIEWS, None, "Input data was truncated"),
        (VIEWS, GOOD[:-1], "Input data was truncated"),
        (VIEWS, b"[]", "Expected `object`, got `array`"),
        (VIEWS, GOOD.replace(b'"user_id":"u",', b""), "Object missing required field `user_id`"),
        (VIEWS, GOOD.replace(b'"u"', b"7"), "Expected `str`, got `int` - at `$.user_id`"),
        (VIEWS, GOOD.replace(b'"u"', b'""'), "Expected `str` of length >= 1 - at `$.user_id`"),
        (VIEWS, GOOD.replace(b'"u"', TOO_LONG), "Expected `str` of length <= 64 - at `$.user_id`"),
        (VIEWS, GOOD.replace(TIME, b"946684799999"), "Expected `int` >= 946684800000 - at `$.ts_ms`"),
        (VIEWS, GOOD.replace(TIME, b'"now"'), "Expected `int`, got `str` - at `$.ts_ms`"),
        (VIEWS, GOOD.replace(b"home", b"mypage"), "Expected a known word - at `$.page`"),
        (CLICKS, GOOD, "Expected a known word - at `$.type`"),
        (VIEWS, GOOD.replace(b'"u"', b'"\\ud800"'), "JSON is malformed: unexpected end of escaped utf-16"),
        (
            VIEWS,
            SHOWN.replace(b'"propensity":0.5', b'"propensity":NaN'),
            "JSON is malformed: invalid character",
        ),
        (
            VIEWS,
            SHOWN.replace(b'"propensity":0.5', b'"propensity":0'),
            "Expected `float` > 0.0 - at `$.propensity`",
        ),
        (
            VIEWS,
            SHOWN.replace(b',"propensity":0.5', b""),
            "Expected `decision_id` or `propensity`, got neither",
        ),
        (VIEWS, b'{"a":' * 5000, "maximum recursion depth exceeded while deserializing an object"),
    ],
)  # fmt: skip
def test_a_broken_record_says_why(topic, raw, reason):
    """What cannot be used is no event, with a reason in the documented form."""
    arrival = decoded(topic, raw)
    assert arrival.event is None
    assert arrival.reason.startswith(reason)


@given(st.sampled_from([VIEWS, CLICKS, PURCHASES]), st.binary(max_size=60))
def test_no_bytes_raise(topic, raw):
    """Whatever a record holds, it is an event or has a reason."""
    arrival = decoded(topic, raw)
    assert (arrival.event is None) == bool(arrival.reason)


@given(st.sampled_from([b'"home"', b'"view"', b'"u"', TIME]), st.text("xyz`' -", min_size=9))
def test_a_reason_quotes_nothing_of_the_event(replaced, secret):
    """Whichever field has a wrong word in it, the word is not in the reason."""
    arrival = decoded(VIEWS, GOOD.replace(replaced, b'"%b"' % secret.encode()))
    assert secret not in arrival.reason


def test_a_text_that_is_no_utf_8_is_called_that():
    """In the decoder's words, which are not those for an unknown word."""
    arrival = decoded(VIEWS, GOOD.replace(b'"u"', b'"\xff"'))
    assert re.match("Invalid UTF-8 encoded string$|'utf-8' codec can't decode byte 0xff", arrival.reason)


@pytest.mark.parametrize(
    ("ts_ms", "usable"),
    [(T0_MS, True), (T0_MS - MAX_AHEAD_MS, True), (T0_MS - MAX_AHEAD_MS - 1, False), (-1, True)],
)
def test_a_time_too_far_ahead_of_the_brokers_is_refused(ts_ms, usable):
    """An event may be ahead of the broker's time by the bound; where the broker gave no time, by any."""
    arrival = decoded(VIEWS, GOOD, ts_ms)
    reason = "" if usable else "Expected `int` <= the broker's time + 10000 ms - at `$.ts_ms`"
    assert (usable, reason) == (arrival.event is not None, arrival.reason)


def test_a_dead_letter_has_the_bytes_as_they_came():
    """The letter names the record, the broker's time (0 where unknown) and the reason."""
    raw = b"\xff\x00 not json"
    arrival = decoded(CLICKS, raw, ts_ms=-1)
    assert DeadLetter("clicks", 3, 7, 0, "why", raw) == arrival.dead_letter("why")
