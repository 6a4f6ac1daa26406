"""Applying a mapping."""

import json

import orjson
import pytest
from foreign_by_hand import BY_HAND
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adoption.applying import TopicRules, UnmappableError
from streams.adoption.mapping import loads
from streams.bench.adoption import shipped
from streams.bench.foreign import SHAPES, generate

RULES = {shape: TopicRules(shipped(shape).topics[0]) for shape in SHAPES}
SAMPLES = {shape: [value for _, value in generate(shape, 400, seed=3)] for shape in SHAPES}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

ORDER = """
[[topics]]
name = "shop"
[[topics.rules]]
event = "purchase"
when = { "$.type" = ["order", 7] }
has = ["$.order"]
fields.event_id = { place = true }
fields.user_id = { path = ["$.user.login", "$.user.cookie"] }
fields.ts_ms = { path = "$.at", as = "s" }
fields.order_id = { path = "$.order.id" }
fields.amount_micros = { path = "$.order.total", as = "units" }
fields.currency = { path = "$.order.currency", as = "upper", default = "EUR" }
[[topics.rules.lines]]
each = "$.order.rows"
fields.item_id = { path = "$.sku" }
fields.quantity = { path = "$.n", default = 1 }
fields.unit_price_micros = { path = "$.price", as = "cents" }
[[topics.rules.lines]]
fields.item_id = { value = "shipping" }
fields.quantity = { value = 1 }
fields.unit_price_micros = { path = "$.order.shipping", as = "units", default = 0 }
[[topics.rules]]
event = "view"
when = { "$.type" = ["page"] }
fields.event_id = { join = ["$.user.cookie", "$.at"], as = "digest" }
fields.user_id = { path = "$.user.cookie" }
fields.ts_ms = { path = "$.at", as = "s" }
fields.page = { path = "$.page", words = { pdp = "item" } }
consent = [
    { path = "$.agreed.stored", words = { Yes = "profile" }, default = "" },
    { path = "$.agreed.ads", words = { Yes = "personalisation" }, default = "" },
]
[[topics.rules]]
event = "ignore"
when = { "$.type" = ["ping"] }
"""
NO_KIND = "Expected a kind of record that the mapping has a rule for - at "
SHOP = TopicRules(loads(ORDER).topics[0])


def reason_of(rules, raw):
    """Why a record becomes no event; None where it becomes one or is ignored."""
    try:
        rules.event(raw, 0, 0)
    except UnmappableError as error:
        return str(error)
    return None


def order(**changes):
    """An order of the shop, with changes."""
    rows = [{"sku": "a", "n": 2, "price": 150}, {"sku": 5, "price": 99}]
    details = {"id": "o-1", "total": 3.99, "rows": rows} | changes.pop("order", {})
    record = {
        "type": "order",
        "at": 1_748_851_200.5,
        "user": {"cookie": "c-1", "login": None},
        "order": details,
    }
    return orjson.dumps(record | changes)


def rows(*elements):
    """An order of some rows."""
    return order(order={"rows": list(elements)})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mapped_event_equals_the_one_made_by_hand(shape):
    """Every record of a shape becomes exactly the event of the contract that its fields say."""
    expected = [BY_HAND[shape](orjson.loads(value)) for value in SAMPLES[shape]]
    assert expected == [RULES[shape].event(value, 0, 0) for value in SAMPLES[shape]]


def test_an_order_has_a_line_for_each_row_and_those_of_its_own():
    """Places, alternatives, defaults, lists and constants come together in one event."""
    event = SHOP.event(order(), 3, 17)
    assert ("shop-3-17", "c-1", 1_748_851_200_500, "EUR") == (
        event.event_id, event.user_id, event.ts_ms, event.currency,
    )  # fmt: skip
    lines = [(line.item_id, line.quantity, line.unit_price_micros) for line in event.lines]
    assert [("a", 2, 1_500_000), ("5", 1, 990_000), ("shipping", 1, 0)] == lines


def test_the_first_path_at_which_something_is_counts():
    """A login goes before a cookie, and an empty one is none."""
    logins = ["l-1", "", None]
    users = [SHOP.event(order(user={"login": login, "cookie": "c"}), 0, 0).user_id for login in logins]
    assert ["l-1", "c", "c"] == users


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (order(type="other"), NO_KIND + "`$.order` and `$.type`"),
        (order(type=["order"]), NO_KIND),
        (order(type=True), NO_KIND),
        (order(user={}), "Expected a value of `user_id`, got nothing - at `$.user.login` and `$.user."),
        (order(user={"cookie": 1.5}), "Expected `str` or `int`, got `float` - at `$.user.cookie`"),
        (order(user={"cookie": "u" * 65}), "Expected `str` of length <= 64 for `user_id` - at `$.user."),
        (order(at="soon"), "Expected a number, got `str` - at `$.at`"),
        (order(at=5), "Expected `int` >= 946684800000 for `ts_ms` - at `$.at`"),
        (order(order={"total": -1}), "Expected `int` >= 0 for `amount_micros` - at `$.order.total`"),
        (order(order={"total": 1e300}), "Expected a number, got `float` - at `$.order.total`"),
        (order(order={"currency": "EURO"}), "Expected `str` matching regex '^([A-Z]{3})?$' for `"),
        (rows({"sku": "a", "n": 0, "price": 1}), "Expected `int` >= 1 for `quantity` - at `$.order.rows[0]"),
        (
            rows({"sku": "a", "price": 1}, {"sku": "b"}),
            "Expected a value of `unit_price_micros`, got nothing - at `$.order.rows[1].price`",
        ),
        (rows({"sku": [], "price": 1}), "Expected `str` or `int`, got `array` - at `$.order.rows[0].sku`"),
        (rows(7), "Expected `object`, got another type - at `$.order.rows[0]`"),
        (order(type="page", page="secret"), "Expected a known word of `page` - at `$.page`"),
        (order(type="page", user={}), "Expected a part of an identity, got nothing - at `$.user.cookie`"),
    ],
)  # fmt: skip
def test_a_record_that_becomes_no_event_says_why(raw, reason):
    """The reason is in the grammar of dead letters and names the field of the foreign record."""
    with pytest.raises(UnmappableError) as raised:
        SHOP.event(raw, 0, 0)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("kind", ["order", 7])
def test_rules_hold_for_texts_and_numbers(kind):
    """A kind may be told by either; a number is not its digits."""
    assert "o-1" == SHOP.event(order(type=kind), 0, 0).order_id
    with pytest.raises(UnmappableError):
        SHOP.event(order(type="7"), 0, 0)


@pytest.mark.parametrize(
    ("agreed", "consent"),
    [
        ({}, ()),
        ({"stored": "No", "ads": "Yes"}, ("personalisation",)),
        ({"stored": "Yes"}, ("profile",)),
        ({"stored": "Yes", "ads": "Yes"}, ("profile", "personalisation")),
    ],
)
def test_what_a_record_does_not_grant_is_not_granted(agreed, consent):
    """Each source is a purpose or nothing; a rule that does not say leaves it to the settings."""
    page = {"type": "page", "user": {"cookie": "c"}, "at": 1_767_225_600, "page": "pdp", "agreed": agreed}
    assert consent == SHOP.event(orjson.dumps(page), 0, 0).consent
    assert SHOP.event(order(), 0, 0).consent is None


def test_what_the_mapping_ignores_is_no_event():
    """It has no fault either."""
    assert SHOP.event(b'{"type":"ping"}', 0, 0) is None


@pytest.mark.parametrize("shape", SHAPES)
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(shape, raw):
    """Whatever comes is an event, ignored, or has a reason."""
    assert reason_of(RULES[shape], raw) != ""


@settings(max_examples=50)
@given(st.sampled_from(list(SHAPES)), st.integers(0, 399), st.data())
def test_records_with_anything_in_their_fields_raise_nothing_else(shape, number, data):
    """A real record in which some field holds any JSON is an event, ignored, or has a reason."""
    record = orjson.loads(SAMPLES[shape][number])
    for key in data.draw(st.lists(st.sampled_from(sorted(record)), min_size=1, max_size=3)):
        record[key] = data.draw(JSON)
    assert reason_of(RULES[shape], json.dumps(record).encode()) != ""


@given(st.sampled_from(["type", "at", "user", "page", "order"]), st.text("xyz`' -", min_size=9))
def test_a_reason_quotes_nothing_of_the_record(field, secret):
    """Whichever field has something personal in it, that is not in the reason."""
    inside = {"login": [secret], "cookie": {secret: secret}, "id": [secret], "rows": [secret]}
    for wrong in (secret, inside, [secret]):
        for kind in ("order", "page"):
            raw = orjson.dumps(orjson.loads(order(type=kind)) | {field: wrong})
            assert secret not in (reason_of(SHOP, raw) or "")


@settings(max_examples=30)
@given(st.sampled_from(list(SHAPES)), st.integers(0, 399), st.data())
def test_what_is_skipped_changes_nothing(shape, number, data):
    """Fields that no rule looks at may hold anything."""
    record = orjson.loads(SAMPLES[shape][number])
    expected = RULES[shape].event(orjson.dumps(record), 0, 0)
    record |= data.draw(
        st.dictionaries(st.text("zq", min_size=1), st.text(max_size=3) | st.lists(st.none()), max_size=2)
    )
    assert expected == RULES[shape].event(orjson.dumps(record), 0, 0)
