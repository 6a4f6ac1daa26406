"""The shop of the standard mix: 200 live ads of which about 20 match a request, 10 promotions, items."""

from random import Random

from schemas.catalog import Ad, Campaign, Entry, Item, Promotion, Shop
from schemas.events import Page

PAGES: tuple[Page, ...] = ("home", "listing", "search", "item", "cart")
PAGE_SHARES = (0.15, 0.25, 0.20, 0.35, 0.05)
CATEGORIES = ("shoes", "dresses", "shirts", "bags", "watches", "beauty", "sports", "toys", "garden", "books")
DEVICES = ("mobile", "desktop", "tablet")
DEVICE_SHARES = (0.65, 0.30, 0.05)
COUNTRIES = ("DE", "FR", "ES", "IT", "NL")
COUNTRY_SHARES = (0.4, 0.2, 0.15, 0.15, 0.1)
SEGMENTS = (("new",), ("returning",), ("returning", "loyal"))
CURRENCY = "EUR"

ADS, CAMPAIGNS, PROMOTIONS, ITEMS = 200, 20, 10, 1000

# An ad stands on 3 of 5 pages' slots, next to 2 or 3 of 10 categories, on 2 of 3 devices or all, in 4 of 5
# countries: about one ad in ten matches a request.
AD_SLOTS, AD_CATEGORIES, AD_DEVICES, AD_COUNTRIES = 3, (2, 3), (2, 3), 4


def ad_slot(page: str) -> str:
    """The slot for an ad on a page."""
    return f"{page}-top"


def draw_catalog(random: Random) -> list[Entry]:
    """Draw every entry of the catalogue, all of shop `main` and live."""
    shop = Shop(shop_id="main", currency=CURRENCY, time_zone="Europe/Berlin")
    campaigns = [Campaign(f"campaign-{n:02d}", name=f"Campaign {n}") for n in range(CAMPAIGNS)]
    promotions = [
        Promotion(
            f"promotion-{n:02d}",
            campaigns[n % CAMPAIGNS].campaign_id,
            kind="percent_off",
            value=5 * (n % 4 + 1),
            coupon_ids=(f"SAVE{n:02d}",),
        )
        for n in range(PROMOTIONS)
    ]
    items = [
        Item(f"item-{n:04d}", category=CATEGORIES[n % len(CATEGORIES)], price_micros=_draw_price(random))
        for n in range(ITEMS)
    ]
    return [shop, *campaigns, *(_draw_ad(random, n) for n in range(ADS)), *promotions, *items]


def _draw_price(random: Random) -> int:
    return round(random.lognormvariate(3.4, 0.6)) * 1_000_000 + 990_000


def _draw_ad(random: Random, number: int) -> Ad:
    return Ad(
        f"ad-{number:03d}",
        f"campaign-{number % CAMPAIGNS:02d}",
        bid_micros=random.randrange(100_000, 900_000, 10_000),
        category=CATEGORIES[number % len(CATEGORIES)],
        features=(f"brand-{random.randrange(40)}", f"style-{random.randrange(8)}"),
        slots=tuple(map(ad_slot, random.sample(PAGES, AD_SLOTS))),
        categories=tuple(random.sample(CATEGORIES, random.choice(AD_CATEGORIES))),
        devices=tuple(random.sample(DEVICES, random.choice(AD_DEVICES))),
        countries=tuple(random.sample(COUNTRIES, AD_COUNTRIES)),
    )


class Targeting:
    """Which ads match a request; answers are remembered, since a shop has few kinds of request.

    An independent reading of the catalogue's targeting, used by the generator and by the plain Faust peer.
    """

    def __init__(self, ads: list[Ad]) -> None:
        self._ads = ads
        self._known: dict[tuple[str, str, str, str, str], list[Ad]] = {}

    def eligible(self, slot_id: str, page: str, category: str, device: str, country: str) -> list[Ad]:
        """Ads whose every target is empty or holds the request's word, in catalogue order."""
        request = (slot_id, page, category, device, country)
        found = self._known.get(request)
        if found is None:
            found = self._known[request] = [
                ad
                for ad in self._ads
                if all(
                    not targets or word in targets
                    for targets, word in zip(
                        (ad.slots, ad.pages, ad.categories, ad.devices, ad.countries), request, strict=True
                    )
                )
            ]
        return found
