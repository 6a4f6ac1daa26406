"""Who and what there is in a synthetic shop: users, ads, promotions, items, with what drives them."""

import numpy as np

from schemas.catalog import Ad, Campaign, Entry, Item, Promotion, Shop
from schemas.events import Page
from streams.simulate.configuration import Configuration
from streams.simulate.randomness import Floats, generator, place_of

PAGES: tuple[Page, ...] = ("home", "listing", "search", "item", "cart")
PAGE_SHARES = np.array([0.15, 0.25, 0.20, 0.35, 0.05])
POSITIONS = np.array([1, 3, 3, 1, 1])
"""Slots for ads on a page of each kind."""
ITEM_PAGE = PAGES.index("item")
CATEGORIES = ("shoes", "dresses", "shirts", "bags", "watches", "beauty", "sports", "toys", "garden", "books")
DEVICES = ("mobile", "desktop", "tablet")
DEVICE_SHARES = np.array([0.65, 0.30, 0.05])
COUNTRIES = ("DE", "FR", "ES", "IT", "NL")
COUNTRY_SHARES = np.array([0.4, 0.2, 0.15, 0.15, 0.1])
FORMATS = ("picture", "carousel", "video", "text")
USUAL_DEVICE_SHARE = 0.8
"""Sessions on the user's usual device; the others are on any."""
BIDS_MICROS = (100_000, 900_000)
PRICE_MEDIAN, PRICE_SD = 30.0, 0.6
"""Of items, in units of the currency; the spread is that of the logarithm."""
EPOCHS = 2
"""Ads' appeal before and after a drift."""


def slot_id(page: Page, position: int) -> str:
    """The slot for an ad at a position of a page."""
    return f"{page}-{position}"


def offer_slot_id(page: Page) -> str:
    """The slot for a promotion on a page."""
    return f"{page}-offer"


class World:
    """All that is drawn once, from configuration and seed. Arrays are in the order of their ids.

    Tastes and appeals have variance 1 a dimension. Users after the first ``people`` are bots.
    """

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.configuration = configuration
        random = generator(seed, "world")
        users, ads, tastes = configuration.users, configuration.ads, configuration.tastes
        self.people = users.count
        count, dimensions = users.count + configuration.bots.count, tastes.dimensions

        self.user_ids = [f"u{number:06d}" for number in range(count)]
        if configuration.bots.count:  # a bot's id tells no one, but must be nobody else's
            self.user_ids = [self.user_ids[place] for place in random.permutation(count)]
        self.activity = np.arange(1, users.count + 1) ** -users.activity_exponent
        self.user_style = random.integers(users.styles, size=count)
        self.user_age = random.integers(users.ages, size=count)
        self.user_device = place_of(DEVICE_SHARES, random.random(count))
        self.user_country = place_of(COUNTRY_SHARES, random.random(count))
        styles = random.standard_normal((users.styles, dimensions))
        ages = random.standard_normal((users.ages, dimensions))
        own = random.standard_normal((count, dimensions))
        self.taste = _mixed(tastes.segment_share, styles[self.user_style], ages[self.user_age], own)
        self.user_click = users.click_sd * random.standard_normal(count)
        self.user_purchase = configuration.purchases.user_sd * random.standard_normal(count)
        interests = random.standard_normal((dimensions, len(CATEGORIES))) / np.sqrt(dimensions)
        self.interest = tastes.interest * self.taste @ interests
        """Of users in categories, in log odds."""

        self.ad_category = np.arange(ads.count) % len(CATEGORIES)
        self.ad_style = random.integers(ads.styles, size=ads.count)
        self.ad_brand = random.integers(ads.brands, size=ads.count)
        self.ad_format = random.integers(len(FORMATS), size=ads.count)
        self.ad_bid_micros = random.integers(*BIDS_MICROS, size=ads.count) // 10_000 * 10_000
        self.appeal = np.stack([self._draw_appeal(random) for _ in range(EPOCHS)])
        """Of ads to tastes, by epoch."""
        self.quality = ads.quality_sd * random.standard_normal((EPOCHS, ads.count))
        self.device_format = ads.device_format_sd * random.standard_normal((len(DEVICES), len(FORMATS)))
        self.ad_purchase = configuration.purchases.ad_sd * random.standard_normal(ads.count)
        self.on_category = self._draw_targets(random, len(CATEGORIES), ads.target_categories)
        self.on_category[np.arange(ads.count), self.ad_category] = True
        self.on_page = self._draw_targets(random, len(PAGES), ads.target_pages)
        self.on_device = self._draw_targets(random, len(DEVICES), ads.target_devices)
        self.click_delay_factor = _factors(random, configuration.clicks.delay.category_sd)
        self.purchase_delay_factor = _factors(random, configuration.purchases.delay.category_sd)
        """By an ad's category: a dearer kind of thing is thought over for longer."""

        promotions = configuration.promotions
        self.user_order = configuration.purchases.user_sd * random.standard_normal(count)
        means = promotions.effect_mean + promotions.effect_sd * random.standard_normal(promotions.count)
        pull = random.standard_normal((dimensions, promotions.count)) / np.sqrt(dimensions)
        personal = _mixed(0.5, self.taste @ pull, None, random.standard_normal((count, promotions.count)))
        self.effect = means + promotions.user_sd * personal
        """Of a promotion on a user's readiness to order, in log odds: users x promotions."""

        prices = np.exp(PRICE_SD * random.standard_normal(configuration.shop.items)) * PRICE_MEDIAN
        self.item_price_micros = np.rint(prices).astype(np.int64) * 1_000_000 + 990_000

        self.ad_ids = [f"ad-{number:04d}" for number in range(ads.count)]
        self.promotion_ids = [f"promotion-{number:02d}" for number in range(promotions.count)]
        self.coupon_ids = [f"SAVE-{number:02d}" for number in range(promotions.count)]
        self.discount_percent = 5 * (np.arange(promotions.count) % 4 + 1)
        self.item_ids = [f"item-{number:05d}" for number in range(configuration.shop.items)]
        self.segments = [
            (f"style-{style}", f"age-{age}")
            for style, age in zip(self.user_style.tolist(), self.user_age.tolist(), strict=True)
        ]

    def eligible(self) -> np.ndarray:
        """Whether an ad's targeting matches: pages x categories x devices x ads, bool."""
        return np.asarray(
            self.on_page.T[:, None, None, :]
            & self.on_category.T[None, :, None, :]
            & self.on_device.T[None, None, :, :]
        )

    def catalog(self) -> list[Entry]:
        """Every entry of the catalogue, all live."""
        shop, ads = self.configuration.shop, self.configuration.ads
        campaigns = [
            Campaign(f"campaign-{number:02d}", shop.shop_id, f"Campaign {number}")
            for number in range(ads.campaigns)
        ]
        return [
            Shop(shop.shop_id, currency=shop.currency),
            *campaigns,
            *(self._ad(number, campaigns[number % len(campaigns)]) for number in range(ads.count)),
            *(
                Promotion(
                    promotion_id,
                    campaigns[number % len(campaigns)].campaign_id,
                    shop.shop_id,
                    kind="percent_off",
                    value=int(self.discount_percent[number]),
                    coupon_ids=(self.coupon_ids[number],),
                )
                for number, promotion_id in enumerate(self.promotion_ids)
            ),
            *(
                Item(item_id, shop.shop_id, CATEGORIES[number % len(CATEGORIES)], price_micros)
                for number, (item_id, price_micros) in enumerate(
                    zip(self.item_ids, self.item_price_micros.tolist(), strict=True)
                )
            ),
        ]

    def items_of(self, categories: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """An item of each category, as the draws of 0 to 1 choose; of any where it has none."""
        stride, total = len(CATEGORIES), len(self.item_ids)
        in_category = (total - categories + stride - 1) // stride
        chosen = categories + stride * np.floor(draws * in_category).astype(np.intp)
        return np.where(in_category > 0, chosen, categories % total)

    def _ad(self, number: int, campaign: Campaign) -> Ad:
        def targets(matches: np.ndarray, words: tuple[str, ...]) -> tuple[str, ...]:
            return () if matches[number].all() else tuple(words[i] for i in np.flatnonzero(matches[number]))

        return Ad(
            self.ad_ids[number],
            campaign.campaign_id,
            bid_micros=int(self.ad_bid_micros[number]),
            shop_id=campaign.shop_id,
            category=CATEGORIES[self.ad_category[number]],
            features=(
                f"style-{self.ad_style[number]}",
                f"brand-{self.ad_brand[number]}",
                FORMATS[self.ad_format[number]],
            ),
            pages=targets(self.on_page, PAGES),
            categories=targets(self.on_category, CATEGORIES),
            devices=targets(self.on_device, DEVICES),
        )

    def _draw_appeal(self, random: np.random.Generator) -> Floats:
        """What the ads have for each taste, after category and style."""
        tastes, ads = self.configuration.tastes, self.configuration.ads
        categories = random.standard_normal((len(CATEGORIES), tastes.dimensions))
        styles = random.standard_normal((ads.styles, tastes.dimensions))
        own = random.standard_normal((ads.count, tastes.dimensions))
        return _mixed(tastes.feature_share, categories[self.ad_category], styles[self.ad_style], own)

    def _draw_targets(self, random: np.random.Generator, words: int, wanted: int) -> np.ndarray:
        """For each ad which words it is for: ``wanted`` of them, all for house ads, which come last."""
        ads = self.configuration.ads
        ranks = random.random((ads.count, words)).argsort(axis=1)
        chosen = ranks < wanted
        chosen[ads.count - ads.house :] = True
        return chosen


def _mixed(share: float, first: Floats, second: Floats | None, own: Floats) -> Floats:
    """Explained parts, of which ``share`` of the variance comes, and an own one; variance 1 in all."""
    explained = first if second is None else (first + second) / np.sqrt(2)
    return np.asarray(np.sqrt(share) * explained + np.sqrt(1 - share) * own)


def _factors(random: np.random.Generator, sd: float) -> Floats:
    """One for each category, log-normal with mean 1."""
    return np.asarray(np.exp(sd * random.standard_normal(len(CATEGORIES)) - sd**2 / 2))
