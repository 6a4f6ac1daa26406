"""Events as other systems send them, synthetic and seeded, of three public shapes.

* ``retailrocket``: flat, numbers as ids, an order as one record for each of its items; the columns of
  RetailRocket's ``events.csv`` (Kaggle).
* ``snowplow``: enriched events as the Analytics SDK gives them, with the contexts of the ecommerce plugin
  (github.com/snowplow/iglu-central: ``com.snowplowanalytics.snowplow.ecommerce``).
* ``ga4``: rows of Google Analytics 4's BigQuery export (support.google.com/analytics/answer/7029846), whole
  numbers as texts, as BigQuery's JSON export writes them.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import orjson

START_MS = 1_748_851_200_000  # 2025-06-02T08:00:00Z
STEP_MS = 250
USERS, ITEMS = 2_000, 500
CATEGORIES = ("shoes", "bags", "hats", "coats")
DEVICES = ("mobile", "desktop", "tablet")
COUNTRIES = ("DE", "FR", "NL", "PL")

Record = tuple[bytes, bytes]
"""Key (the user) and value."""


def generate(shape: str, events: int, seed: int) -> Iterator[Record]:
    """The first events of a shape's stream; the same arguments give the same bytes.

    >>> [value[:34] for _, value in generate("retailrocket", 1, seed=1)]
    [b'{"timestamp":1748851200000,"visito']
    """
    random = Random(f"{shape} {seed}")
    make = SHAPES[shape]
    for number in range(events):
        user, record = make(random, START_MS + STEP_MS * number)
        yield user.encode(), orjson.dumps(record)


def _retailrocket(random: Random, ts_ms: int) -> tuple[str, dict[str, Any]]:
    event = random.choices(("view", "addtocart", "transaction"), (92, 6, 2))[0]
    visitor = random.randrange(USERS)
    record = {"timestamp": ts_ms, "visitorid": visitor, "event": event, "itemid": random.randrange(ITEMS)}
    return str(visitor), record | {
        "transactionid": random.randrange(10**6) if event == "transaction" else None
    }


def _snowplow(random: Random, ts_ms: int) -> tuple[str, dict[str, Any]]:
    user = _uuid(random)[:-4] + f"{random.randrange(USERS):04}"
    time = _iso(ts_ms)
    record: dict[str, Any] = {
        "app_id": "shop", "platform": "web", "etl_tstamp": _iso(ts_ms + 2000), "collector_tstamp": time,
        "dvce_created_tstamp": _iso(ts_ms - 40), "event": "unstruct", "event_id": _uuid(random),
        "txn_id": None, "name_tracker": "sp1", "v_tracker": "js-3.24.0", "v_collector": "ssc-3.1.0-kinesis",
        "v_etl": "snowplow-enrich-5.0.0", "user_id": None, "user_ipaddress": "203.0.113.7",
        "domain_userid": user, "domain_sessionidx": random.randrange(1, 9), "network_userid": _uuid(random),
        "geo_country": random.choice(COUNTRIES), "geo_region": "BE", "geo_city": "Berlin",
        "page_url": "https://shop.example/p/7", "page_title": "Shoes", "page_urlpath": "/p/7",
        "mkt_medium": None, "mkt_source": None, "se_category": None, "se_action": None, "se_label": None,
        "se_property": None, "se_value": None, "tr_orderid": None, "tr_total": None,
        "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "br_name": "Firefox", "br_lang": "de", "os_timezone": "Europe/Berlin",
        "dvce_type": random.choice(("Computer", "Mobile", "Tablet")), "dvce_screenwidth": 1920,
        "domain_sessionid": _uuid(random), "derived_tstamp": time,
        "event_vendor": "com.snowplowanalytics.snowplow",
        "event_name": "snowplow_ecommerce_action", "event_format": "jsonschema", "event_version": "1-0-2",
        "contexts_com_snowplowanalytics_snowplow_web_page_1": [{"id": _uuid(random)}],
    }  # fmt: skip
    kind = random.choices(
        (
            "page_view",
            "page_ping",
            "product_view",
            "list_click",
            "add_to_cart",
            "remove_from_cart",
            "transaction",
        ),
        (38, 20, 24, 8, 6, 1, 3),
    )[0]
    if kind in ("page_view", "page_ping"):
        return user, record | {"event": kind, "event_name": kind}
    context = "contexts_com_snowplowanalytics_snowplow_ecommerce_"
    products = [_product(random) for _ in range(random.randint(1, 3) if kind == "transaction" else 1)]
    record[context + "product_1"] = products
    record["unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"] = {
        "type": kind
    }
    if kind == "transaction":
        total = sum(round(100 * each["price"]) * each["quantity"] for each in products) / 100
        order = {
            "transaction_id": _uuid(random),
            "revenue": total,
            "currency": "EUR",
            "payment_method": "card",
        }
        record[context + "transaction_1"] = [order]
    return user, record


def _product(random: Random) -> dict[str, Any]:
    number = random.randrange(ITEMS)
    return {
        "id": f"sku-{number}", "name": f"Item {number}", "category": CATEGORIES[number % len(CATEGORIES)],
        "price": round(5 + number / 7, 2), "currency": "EUR", "quantity": random.randint(1, 3),
        "brand": "Acme",
    }  # fmt: skip


def _ga4(random: Random, ts_ms: int) -> tuple[str, dict[str, Any]]:
    kind = random.choices(
        ("page_view", "view_item", "view_item_list", "select_item", "add_to_cart", "begin_checkout",
         "purchase", "session_start", "user_engagement", "scroll"),
        (30, 20, 8, 6, 6, 3, 3, 8, 10, 6),
    )[0]  # fmt: skip
    user = f"{1_000_000 + random.randrange(USERS)}.{1_748_000_000}"
    params = [
        _param("page_location", "https://shop.example/p/7"),
        _param("page_title", "Shoes"),
        _param("ga_session_id", ts_ms // 1000),
        _param("engaged_session_event", 1),
    ]
    items: list[dict[str, Any]] = []
    ecommerce: dict[str, Any] | None = None
    if kind in ("view_item", "view_item_list", "select_item", "add_to_cart", "begin_checkout", "purchase"):
        count = 1 if kind in ("view_item", "select_item", "add_to_cart") else random.randint(1, 3)
        items = [_item(random) for _ in range(count)]
    if kind in ("view_item", "add_to_cart", "purchase"):
        total = sum(round(100 * each["price"]) * int(each["quantity"]) for each in items) / 100
        params += [_param("currency", "EUR"), _param("value", total)]
        if kind == "purchase":
            number = f"T-{random.randrange(10**9)}"
            params.append(_param("transaction_id", number))
            ecommerce = {
                "total_item_quantity": str(len(items)), "purchase_revenue": total, "tax_value": None,
                "purchase_revenue_in_usd": round(total * 1.1, 2), "unique_items": str(len(items)),
                "transaction_id": number,
            }  # fmt: skip
    return user, {
        "event_date": "20250602", "event_timestamp": str(1000 * ts_ms + random.randrange(1000)),
        "event_name": kind, "event_params": params, "event_bundle_sequence_id": str(random.randrange(10**6)),
        "event_server_timestamp_offset": None, "user_id": None, "user_pseudo_id": user,
        "privacy_info": {"analytics_storage": "Yes", "ads_storage": "Yes", "uses_transient_token": "No"},
        "user_properties": [], "user_first_touch_timestamp": str(1000 * (ts_ms - 86_400_000)),
        "device": {
            "category": random.choice(DEVICES), "operating_system": "Web", "language": "de-de",
            "web_info": {"browser": "Chrome", "browser_version": "126.0", "hostname": "shop.example"},
        },
        "geo": {"continent": "Europe", "country": "Germany", "region": "Berlin", "city": "Berlin"},
        "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "(direct)"},
        "stream_id": "1234567890", "platform": "WEB", "ecommerce": ecommerce, "items": items,
    }  # fmt: skip


def _param(key: str, value: str | int | float) -> dict[str, Any]:
    held: dict[str, Any] = dict.fromkeys(("string_value", "int_value", "float_value", "double_value"))
    if isinstance(value, str):
        held["string_value"] = value
    elif isinstance(value, int):
        held["int_value"] = str(value)
    else:
        held["double_value"] = value
    return {"key": key, "value": held}


def _item(random: Random) -> dict[str, Any]:
    number = random.randrange(ITEMS)
    price = round(5 + number / 7, 2)
    return {
        "item_id": f"SKU{number}", "item_name": f"Item {number}", "item_brand": "Acme",
        "item_variant": "(not set)", "item_category": CATEGORIES[number % len(CATEGORIES)],
        "price_in_usd": round(price * 1.1, 2), "price": price, "quantity": str(random.randint(1, 3)),
        "item_list_name": "(not set)", "item_list_index": "(not set)",
    }  # fmt: skip


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def _iso(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


SHAPES: dict[str, Callable[[Random, int], tuple[str, dict[str, Any]]]] = {
    "retailrocket": _retailrocket,
    "snowplow": _snowplow,
    "ga4": _ga4,
}
