"""What records of the three foreign shapes must become, written by hand and without the code under test."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from xxhash import xxh3_128_hexdigest

from schemas.events import Click, Event, Line, Purchase, View

CONTEXT = "contexts_com_snowplowanalytics_snowplow_ecommerce_"
ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"


def micros(amount: float) -> int:
    """Exactly, by decimals."""
    return int(Decimal(str(amount)) * 1_000_000)


def retailrocket(record: dict[str, Any]) -> Event:
    """A view, an item into the cart, or an item of an order."""
    visitor, item, kind = str(record["visitorid"]), str(record["itemid"]), record["event"]
    event_id = xxh3_128_hexdigest(f"{visitor}-{record['timestamp']}-{kind}-{item}".encode())
    if kind == "view":
        return View(event_id, visitor, record["timestamp"], "item", item_id=item)
    if kind == "addtocart":
        return Click(event_id, visitor, record["timestamp"], "add_to_cart", item_id=item)
    order = f"{record['transactionid']}-{item}"
    return Purchase(event_id, visitor, record["timestamp"], order, 0, (Line(item, 1, 0),))


def snowplow(record: dict[str, Any]) -> Event | None:
    """Page views and actions of the ecommerce plugin; page pings and removals from the cart are nothing."""
    kind = record[ACTION]["type"] if ACTION in record else record["event_name"]
    if kind in ("page_ping", "remove_from_cart"):
        return None
    ts_ms = round(1000 * datetime.fromisoformat(record["derived_tstamp"]).timestamp())
    head = (record["event_id"], record["domain_userid"], ts_ms)
    where = {"device": record["dvce_type"], "country": record["geo_country"]}
    session = record["domain_sessionid"]
    if kind == "page_view":
        return View(*head, "other", session_id=session, **where)
    products = record[CONTEXT + "product_1"]
    if kind == "transaction":
        order = record[CONTEXT + "transaction_1"][0]
        lines = tuple(
            Line(each["id"], each["quantity"], micros(each["price"]), each["category"]) for each in products
        )
        return Purchase(
            *head,
            order["transaction_id"],
            micros(order["revenue"]),
            lines,
            session_id=session,
            currency="EUR",
        )
    item = {
        "item_id": products[0]["id"],
        "category": products[0]["category"],
        "price_micros": micros(products[0]["price"]),
        "session_id": session,
    }
    if kind == "product_view":
        return View(*head, "item", **item, **where)
    return Click(*head, {"list_click": "item", "add_to_cart": "add_to_cart"}[kind], **item)


def ga4(record: dict[str, Any]) -> Event | None:
    """The recommended ecommerce events; what GA4 collects by itself is nothing."""
    kind, user = record["event_name"], record["user_pseudo_id"]
    if kind in ("session_start", "user_engagement", "scroll"):
        return None
    params = {each["key"]: each["value"] for each in record["event_params"]}
    parts = (user, record["event_timestamp"], kind, record["event_bundle_sequence_id"])
    head = (xxh3_128_hexdigest("-".join(parts).encode()), user, int(record["event_timestamp"]) // 1000)
    where = {"device": record["device"]["category"], "country": "Germany"}
    session = params["ga_session_id"]["int_value"]
    pages = {"page_view": "other", "view_item_list": "listing", "begin_checkout": "checkout"}
    if kind in pages:
        return View(*head, pages[kind], session_id=session, **where)
    if kind == "purchase":
        lines = tuple(
            Line(each["item_id"], int(each["quantity"]), micros(each["price"]), each["item_category"])
            for each in record["items"]
        )
        order = record["ecommerce"]
        return Purchase(
            *head, order["transaction_id"], micros(order["purchase_revenue"]), lines, session_id=session,
            currency=params["currency"]["string_value"],
        )  # fmt: skip
    item = {
        "item_id": record["items"][0]["item_id"],
        "category": record["items"][0]["item_category"],
        "price_micros": micros(record["items"][0]["price"]),
        "session_id": session,
    }
    if kind == "view_item":
        return View(*head, "item", **item, **where)
    return Click(*head, {"select_item": "item", "add_to_cart": "add_to_cart"}[kind], **item)


BY_HAND = {"retailrocket": retailrocket, "snowplow": snowplow, "ga4": ga4}
