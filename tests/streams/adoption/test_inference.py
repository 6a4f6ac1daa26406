"""What a sample proposes."""

import orjson
import pytest
from foreign_by_hand import BY_HAND
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adoption.applying import TopicRules
from streams.adoption.inference import propose
from streams.adoption.proposal import to_mapping, to_toml
from streams.bench.foreign import generate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
FOUND = (
    "user_id", "ts_ms", "page", "kind", "item_id", "price_micros", "order_id", "amount_micros", "lines",
    "currency", "device", "country", "category",
)  # fmt: skip
NAMES = st.sampled_from(
    ["event", "type", "user_id", "timestamp", "price", "items", "id", "orderid", "revenue"]
)


def records(shape, count=500):
    """Decoded records of a shape."""
    return [orjson.loads(value) for _, value in generate(shape, count, seed=5)]


def proposal(topic, sample):
    """The rules that a sample proposes, by what tells them."""
    return {
        tuple(value for values in rule.when.values() for value in values): rule
        for rule in propose(topic, sample).rules
    }


@pytest.mark.parametrize("shape", ["snowplow", "ga4"])
def test_the_proposal_for_a_known_shape_maps_it_as_by_hand(shape):
    """Kind, user, time, item, price, order and lines are found; ids may be made otherwise."""
    sample = records(shape)
    mapping = to_mapping([propose(shape, sample)])
    rules = TopicRules(mapping.topics[0])
    for record in sample:
        expected, event = BY_HAND[shape](record), rules.event(orjson.dumps(record), 0, 0)
        assert type(expected) is type(event)
        for name in FOUND:
            assert getattr(expected, name, None) == getattr(event, name, None)


def test_an_order_without_prices_waits_for_a_person():
    """Nobody but a person can say that an unknown price is 0; all the rest is proposed."""
    rule = proposal("rr", records("retailrocket", 2_000))["transaction",]
    assert "purchase" == rule.event
    assert ["quantity", "unit_price_micros", "amount_micros"] == [
        each.split("`")[1] for each in rule.to_decide
    ]
    assert '# event = "purchase"' in to_toml([propose("rr", records("retailrocket", 2_000))])


def test_kinds_that_are_numbers_are_told_by_what_comes_with_them():
    """The one with an order's id is an order; the others are guessed and left to a person."""
    codes = {"view": 0, "addtocart": 1, "transaction": 2}
    sample = [record | {"event": codes[record["event"]]} for record in records("retailrocket", 2_000)]
    rules = proposal("rr", sample)
    assert {(0,): "view", (1,): "click", (2,): "purchase"} == {
        when: rule.event for when, rule in rules.items()
    }
    assert all(rule.to_decide[0].startswith("whether it is") for when, rule in rules.items() if when != (2,))


def test_an_order_of_several_records_becomes_several_orders():
    """Under one order's id only the first record would count."""
    sample = records("retailrocket", 4_000)
    orders = [record for record in sample if record["event"] == "transaction"]
    for number, record in enumerate(orders):
        record["transactionid"] = number // 2
    order = next(field for field in proposal("rr", sample)["transaction",].fields if field.name == "order_id")
    assert ("$.transactionid", "$.itemid") == order.source.join


def test_whole_numbers_of_money_are_left_to_a_person():
    """Units and cents look alike."""
    sample = [
        record | {"ecommerce": (record["ecommerce"] or {}) | {"purchase_revenue": 1999}}
        for record in records("ga4")
    ]
    for record in sample:
        record["event_params"] = [each for each in record["event_params"] if each["key"] != "value"]
    rule = proposal("ga4", sample)["purchase",]
    assert any("units of the currency, or cents" in reason for reason in rule.to_decide)


def test_what_is_not_known_is_shown_and_left_to_a_person():
    """A kind that no schema has is not ignored in silence."""
    sample = [*records("ga4", 300), *[record | {"event_name": "spin_wheel"} for record in records("ga4", 50)]]
    rule = proposal("ga4", sample)["spin_wheel",]
    assert ("ignore", 50, True) == (rule.event, rule.records, bool(rule.to_decide))


def test_the_same_sample_proposes_the_same():
    """There is no chance in it."""
    assert to_toml([propose("ga4", records("ga4"))]) == to_toml([propose("ga4", records("ga4"))])


@settings(max_examples=25)
@given(st.lists(st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=5), max_size=5))
def test_whatever_records_come_the_proposal_is_a_mapping(sample):
    """Names and values of any kind give TOML that can be read."""
    made = to_mapping([propose("topic", sample)])
    assert made is None or made.topics


@pytest.mark.parametrize(("known", "expected"), [(True, "$.anonymousId"), (False, None)])
def test_a_pseudonym_beside_the_user_is_the_id_before_the_login(known, expected):
    """Where the pseudonym is the only user there is, it is the user."""
    sample = [
        {
            "event": "Product Viewed", "messageId": f"m{n}", "anonymousId": f"a{n % 7}",
            "timestamp": "2026-01-01T00:00:00Z", "properties": {"product_id": "p1"},
        } | ({"userId": f"u{n % 5}"} if known else {})
        for n in range(100)
    ]  # fmt: skip
    ((_, rule),) = proposal("segment", sample).items()
    found = {field.name: field.source.path for field in rule.fields}
    assert (expected, "$.userId" if known else "$.anonymousId") == (
        found.get("anonymous_id"), found["user_id"],
    )  # fmt: skip
