"""The closed set of conversions."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adoption.conversions import CONVERT, EPOCH

TIMES_MS = st.integers(946_684_800_000, 4_102_444_800_000)
JSON = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({}) | st.just([])
    | st.from_regex(r"[+-]?\d{1,400}(\.\d+)?([eE]\d{1,6})?", fullmatch=True)
)  # fmt: skip


@pytest.mark.parametrize("name", CONVERT)
@given(value=JSON)
def test_whatever_comes_it_is_converted_or_refused_in_a_sentence(name, value):
    """There is a text or a number, or a ValueError that shows nothing of the value."""
    try:
        converted = CONVERT[name](value)
    except ValueError as error:
        converted = f"refused: {error}"
    assert isinstance(converted, str | int | float)
    if str(converted).startswith("refused: "):
        shown = json.dumps(value) if not isinstance(value, str) else value
        assert converted.startswith("refused: Expected ")
        assert len(shown) < 9 or shown not in converted


@given(TIMES_MS)
def test_every_way_to_write_a_time_is_the_same_time(ts_ms):
    """Seconds, milliseconds, microseconds, as numbers or digits, and ISO 8601 with and without a zone."""
    time = EPOCH + timedelta(milliseconds=ts_ms)
    texts = [time.isoformat(), time.replace(tzinfo=None).isoformat(), f"{time:%Y-%m-%d %H:%M:%S.%f} UTC"]
    assert {ts_ms} == {CONVERT["iso8601"](text) for text in texts}
    assert ts_ms == CONVERT["s"](ts_ms / 1000) == CONVERT["s"](f"{ts_ms // 1000}.{ts_ms % 1000:03}")
    assert ts_ms == CONVERT["us"](1000 * ts_ms + 999) == CONVERT["us"](str(1000 * ts_ms))
    assert ts_ms == CONVERT["ms"](ts_ms) == CONVERT["ms"](str(ts_ms))


def test_a_zone_is_minded():
    """A time with another zone's offset is that moment."""
    expected = int(datetime(2025, 6, 2, 6, tzinfo=UTC).timestamp() * 1000)
    assert expected == CONVERT["iso8601"]("2025-06-02T08:00:00+02:00")


@given(st.integers(0, 10**13))
def test_money_loses_nothing(cents):
    """An amount as decimal text, in units or hundredths, is the same micros to the last digit."""
    text = f"{cents // 100}.{cents % 100:02}"
    assert (
        10_000 * cents
        == CONVERT["units"](text)
        == CONVERT["cents"](cents)
        == CONVERT["micros"](10_000 * cents)
    )


def test_an_id_that_came_as_a_float_is_refused():
    """Its last digits may be lost, and two users would be one."""
    with pytest.raises(ValueError, match="Expected `str` or `int`, got `float`"):
        CONVERT["text"](1e17)
