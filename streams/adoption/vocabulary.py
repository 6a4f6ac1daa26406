"""The names that other systems give to what the contract has.

Taken from the public schemas of Google Analytics 4 (BigQuery export), Snowplow (atomic events and the
ecommerce plugin), Segment (ecommerce spec) and the RetailRocket data set. Names are compared without case
and signs (``name_of``); where there are several, an earlier one is preferred.
"""

import re

from streams.adoption.paths import Select, Steps

_SIGNS = re.compile(r"[^a-z0-9]")
_VERSION = re.compile(r"(_\d+)+$")
ORDINARY_LENGTH = 24
"""A name that holds a schema's, as Snowplow's contexts do, is longer: its last word says what it is."""

EVENT_NAMES = (
    "eventname", "eventtype", "event", "type", "actiontype", "action", "activity", "eventaction",
    "kind", "name",
)  # fmt: skip
"""Of the field that tells the kinds of events of one topic apart."""

FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("eventid", "eventuuid", "messageid", "insertid", "hitid", "uuid", "guid", "id"),
    "user_id": (
        "userid", "customerid", "visitorid", "domainuserid", "userpseudoid", "anonymousid", "clientid",
        "distinctid", "fullvisitorid", "memberid", "accountid", "shopperid", "profileid", "cookieid", "uid",
    ),
    "anonymous_id": (
        "anonymousid", "userpseudoid", "domainuserid", "clientid", "fullvisitorid", "visitorid", "cookieid",
        "deviceid",
    ),
    "ts_ms": (
        "eventtimestamp", "eventtime", "derivedtstamp", "collectortstamp", "originaltimestamp", "timestamp",
        "timestampms", "tsms", "ts", "occurredat", "eventts", "createdat", "datetime", "time", "sentat",
        "receivedat", "dvcecreatedtstamp",
    ),
    "shop_id": ("shopid", "storeid", "tenantid", "marketplaceid"),
    "session_id": ("sessionid", "domainsessionid", "gasessionid", "visitid"),
    "item_id": (
        "itemid", "productid", "sku", "itemsku", "productsku", "skuid", "articleid", "asin", "contentid",
    ),
    "category": ("itemcategory", "productcategory", "category", "categoryname", "categoryid", "categorycode"),
    "price_micros": ("itemprice", "productprice", "price", "unitprice", "saleprice"),
    "unit_price_micros": ("itemprice", "productprice", "unitprice", "price", "saleprice"),
    "quantity": ("quantity", "itemquantity", "productquantity", "qty"),
    "device": ("devicecategory", "devicetype", "dvcetype", "device", "formfactor"),
    "country": ("geocountry", "country", "countrycode"),
    "order_id": ("orderid", "transactionid", "ordernumber", "trorderid", "purchaseid", "invoiceno"),
    "amount_micros": (
        "purchaserevenue", "transactionrevenue", "revenue", "ordertotal", "transactiontotal", "trtotal",
        "totalamount", "grandtotal", "totalprice", "total", "amount", "value",
    ),
    "currency": ("currency", "currencycode", "transactioncurrency", "ordercurrency", "trcurrency"),
    "coupon_id": ("couponid", "couponcode", "coupon", "discountcode", "promocode", "vouchercode"),
    "discount_micros": ("discountamount", "orderdiscount", "transactiondiscountamount", "discount"),
    "propensity": ("propensity", "propensityscore"),
    "ad_id": ("adid", "creativeid", "bannerid"),
    "promotion_id": ("promotionid", "promoid"),
    "slot_id": ("slotid", "creativeslot", "placementid"),
    "decision_id": ("decisionid",),
    "position": ("position", "index", "rank"),
}  # fmt: skip

REFUND_NAMES = {"amount_micros": ("refundvalue", "refundamount", *FIELD_NAMES["amount_micros"])}

PAGE_NAMES = ("pagetype", "pagecategory", "pagekind", "page")
"""Of a field that says what kind of page it is."""
BATCH_NAMES = ("batcheventindex", "batchpageid", "batchorderingid", "eventbundlesequenceid", "sequencenumber")
"""Of fields that tell apart events that were sent together at one time."""

VIEWS: dict[str, str] = {
    "pageview": "other", "view": "item", "page": "other", "screenview": "other", "screen": "other",
    "viewitem": "item", "productview": "item", "productviewed": "item", "productdetail": "item",
    "viewitemlist": "listing", "listview": "listing", "productlistviewed": "listing",
    "categoryview": "listing", "viewcategory": "listing",
    "search": "search", "viewsearchresults": "search", "productssearched": "search", "sitesearch": "search",
    "viewcart": "cart", "cartviewed": "cart",
    "begincheckout": "checkout", "checkoutstep": "checkout", "checkoutstarted": "checkout",
    "addshippinginfo": "checkout", "addpaymentinfo": "checkout",
}  # fmt: skip
"""Kinds of events that are page views, and of which page."""

CLICKS: dict[str, str] = {
    "addtocart": "add_to_cart", "productadded": "add_to_cart", "cartadd": "add_to_cart", "add": "add_to_cart",
    "selectitem": "item", "listclick": "item", "productclicked": "item", "productclick": "item",
    "itemclick": "item",
}  # fmt: skip
"""Kinds of events that are clicks, and on what."""

PURCHASES = frozenset(
    {"purchase", "transaction", "order", "ordercompleted", "orderplaced", "buy", "ecommercepurchase"}
)
REFUNDS = frozenset({"refund", "orderrefunded", "productrefund"})

EXPOSURES = frozenset({"exposure", "impression", "adimpression", "adview", "bannerview"})

WITHOUT_USE = frozenset(
    {
        "sessionstart", "sessionend", "firstvisit", "firstopen", "userengagement", "scroll", "pageping",
        "removefromcart", "productremoved", "addtowishlist", "filedownload", "formstart", "formsubmit",
        "videostart", "videoprogress", "videocomplete", "linkclick", "submitform", "focusform", "changeform",
        "login", "signup", "share", "identify", "group", "applicationerror", "viewpromotion", "promoview",
        "selectpromotion", "promoclick", "click",
    }
)  # fmt: skip
"""Well-known kinds that the contract has nothing for; a promotion's view has no propensity."""


def name_of(text: str) -> str:
    """A name as names are compared.

    >>> name_of("Event_Name")
    'eventname'
    """
    return _SIGNS.sub("", text.lower())


def names_of(steps: Steps) -> tuple[str, str]:
    """The name at a path's end, and the same with that of what it is part of.

    >>> names_of(("device", "category"))
    ('category', 'devicecategory')
    >>> names_of(("contexts_com_example_ecommerce_product_1", 0, "id"))
    ('id', 'productid')
    """
    keys = [_key(step) for step in steps if not isinstance(step, int)]
    if len(keys) > 1 and isinstance(steps[-2], str) and steps[-2] == "value" and len(keys) > 2:
        keys = keys[:-2]  # `params[key=page].value.string_value` is called `page`
    own = name_of(keys[-1]) if keys else ""
    return own, (_owner(keys[-2]) if len(keys) > 1 else "") + own


def _key(step: object) -> str:
    return step.value if isinstance(step, Select) else str(step)


def _owner(key: str) -> str:
    key = _VERSION.sub("", key)
    if len(key) > ORDINARY_LENGTH:
        key = key.rpartition("_")[2]
    return name_of(key).removesuffix("s")
