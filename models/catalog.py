"""The catalogue as the policies use it: arrays of ads, and an index from a request to its candidates."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from models.features import AD, ad_buckets
from models.hashing import stable_key
from schemas.bounds import MAX_MICROS
from schemas.catalog import Ad, Campaign, Entry, Promotion, Shop, Switch, entry_key

ADS = np.dtype(
    [
        ("bid_micros", "i8"),
        ("start_ms", "i8"),
        ("end_ms", "i8"),  # first millisecond after the flight
        ("buckets", "u4", (len(AD),)),
    ],
    align=True,
)
"""One ad as the ranking kernel reads it; flights are those of the campaign."""

OPEN_END_MS = 2**62
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MAX_CACHED_REQUESTS = 100_000
NO_ROWS = 0, 0
TARGETS = "slots", "pages", "categories", "devices", "countries"
"""Of an ad, for the fields of ``Request`` behind the shop."""


class ConversionError(ValueError):
    """An amount cannot be said in the shop's base currency."""


class Request(NamedTuple):
    """What targeting looks at."""

    shop_id: str
    slot_id: str
    page: str
    category: str = ""
    device: str = ""
    country: str = ""


class Candidates(NamedTuple):
    """Ads that match a request."""

    rows: npt.NDArray[np.int64]
    """Their rows in ``Catalog.ads``."""
    ids: list[str]


class Catalog:
    """All entries of all shops; ``put`` and ``remove`` take effect at the next request.

    An ad or promotion is live while it and its campaign are active. Ads are numbered anew on each change;
    the number of an ad is its row in ``ads``.
    """

    def __init__(self, bits: int) -> None:
        self.mask = (1 << bits) - 1
        self.entries: dict[str, Entry] = {}
        """By Kafka key."""
        self._switches: dict[str, Switch] = {}
        """By Kafka key, in the order in which they came."""
        self._paused: frozenset[str] = frozenset()
        self._version = 0
        self._stale = True
        self._days: dict[tuple[str, int], int] = {}

    def put(self, entry: Entry) -> None:
        """Add or replace an entry."""
        key = entry_key(entry)
        self.entries[key] = entry
        if isinstance(entry, Switch):
            self._switches.pop(key, None)
            self._switches[key] = entry
            self._switched()
        else:
            self._changed()

    def remove(self, key: str) -> None:
        """Remove the entry with a Kafka key; unknown keys are ignored."""
        if self._switches.pop(key, None):
            self._switched()
        elif key in self.entries:
            self._changed()
        self.entries.pop(key, None)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add many entries."""
        for entry in entries:
            self.put(entry)

    def is_paused(self, shop_id: str) -> bool:
        """Whether decisions of a shop are paused, by its own switch or by that of all shops."""
        paused = self._paused
        return bool(paused) and ("" in paused or shop_id in paused)

    def candidates(self, request: Request) -> Candidates:
        """The live ads whose targeting matches, in order of ``ad_id``."""
        if self._stale:
            self._rebuild()
        found = self._candidates.get(request)
        if found is None:
            if len(self._candidates) >= MAX_CACHED_REQUESTS:
                self._candidates.clear()
            shop = self._shop_rows.get(request.shop_id, NO_ROWS)
            words = zip(TARGETS, request[1:], strict=True)
            matching = np.logical_and.reduce([self._matching(shop, field, word) for field, word in words])
            rows = shop[0] + np.flatnonzero(matching)
            ids = [self.live_ads[row].ad_id for row in rows.tolist()]
            found = self._candidates[request] = Candidates(rows, ids)
        return found

    def _matching(self, shop: tuple[int, int], field: str, word: str) -> npt.NDArray[np.bool_]:
        """Which of a shop's ads a request's word does not rule out; all words of no ad have one answer."""
        key = shop, field, word if (shop[0], field, word) in self._targeted else None
        found = self._matches.get(key)
        if found is None:
            targets = [getattr(ad, field) for ad in self.live_ads[slice(*shop)]]
            found = self._matches[key] = np.array([_matches(each, word) for each in targets], np.bool_)
        return found

    def promotions(self, request: Request) -> list[tuple[Promotion, Campaign]]:
        """Live promotions whose targeting matches, with their campaigns, in order of ``promotion_id``."""
        if self._stale:
            self._rebuild()
        found = self._promotions.get(request)
        if found is None:
            if len(self._promotions) >= MAX_CACHED_REQUESTS:
                self._promotions.clear()
            found = self._promotions[request] = [
                (promotion, campaign)
                for promotion, campaign in self._live_promotions
                if promotion.shop_id == request.shop_id
                and _matches(promotion.slots, request.slot_id)
                and _matches(promotion.pages, request.page)
                and _matches(promotion.categories, request.category)
            ]
        return found

    @property
    def version(self) -> int:
        """Rises with each change; what was derived from an earlier version is stale."""
        if self._stale:
            self._rebuild()
        return self._version

    @property
    def ads(self) -> npt.NDArray[np.void]:
        """Rows of dtype ``ADS``, one a live ad."""
        if self._stale:
            self._rebuild()
        return self._ads

    def ad_row(self, shop_id: str, ad_id: str) -> int | None:
        """Row of a live ad; None if there is no such ad."""
        if self._stale:
            self._rebuild()
        return self._rows.get((shop_id, ad_id))

    def campaign_of(self, shop_id: str, ad_id: str, promotion_id: str) -> str:
        """Campaign of an ad or promotion, live or not; empty if it is unknown."""
        if self._stale:
            self._rebuild()
        return self._campaign_of.get((shop_id, ad_id, promotion_id), "")

    def name_of(self, token: int) -> str:
        """Id of the ad or promotion with a stable key; empty if it is unknown."""
        if self._stale:
            self._rebuild()
        return self._names.get(token, "")

    def day(self, shop_id: str, ts_ms: int) -> int:
        """Calendar day of the shop's time zone, days since 1970."""
        hour = ts_ms // HOUR_MS
        offset_ms = self._days.get((shop_id, hour))
        if offset_ms is None:
            if len(self._days) >= MAX_CACHED_REQUESTS:
                self._days.clear()
            offset_ms = self._days[shop_id, hour] = self._utc_offset_ms(shop_id, hour)
        return (ts_ms + offset_ms) // DAY_MS

    def to_base_micros(self, shop_id: str, currency: str, ts_ms: int, amount_micros: int) -> int:
        """An amount in the shop's base currency, by the newest rate at that time.

        Raises ``ConversionError`` where the shop has no such rate, or where the amount is then beyond
        the bound of the contract. A shop that is not in the catalogue takes every currency as its own.
        """
        shop = self.entries.get(f"shop:{shop_id}:{shop_id}")
        if not currency or not isinstance(shop, Shop) or currency == shop.currency:
            return amount_micros
        date = datetime.fromtimestamp(ts_ms / 1000, UTC).date().isoformat()
        rates = [rate for rate in shop.rates if rate.currency == currency and rate.date <= date]
        if not rates:
            raise ConversionError(
                f"Expected `{shop.currency}` or a currency with a rate in the catalogue, got `{currency}`"
            )
        converted_micros = amount_micros * max(rates, key=lambda rate: rate.date).micros // 1_000_000
        if converted_micros > MAX_MICROS:
            raise ConversionError(f"Expected at most {MAX_MICROS} micros of `{shop.currency}`, got more")
        return converted_micros

    def _utc_offset_ms(self, shop_id: str, hour: int) -> int:
        shop = self.entries.get(f"shop:{shop_id}:{shop_id}")
        if not isinstance(shop, Shop) or shop.time_zone == "UTC":
            return 0
        try:
            offset = datetime.fromtimestamp(hour * 3600, ZoneInfo(shop.time_zone)).utcoffset()
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a region such as "America"
            return 0
        return int(offset.total_seconds() * 1000) if offset else 0

    def _switched(self) -> None:
        """The newest switch of each shop holds. No ad has changed, so nothing else is rebuilt."""
        newest = {switch.shop_id: switch.paused for switch in self._switches.values()}
        self._paused = frozenset(shop_id for shop_id, paused in newest.items() if paused)

    def _changed(self) -> None:
        self._stale = True
        self._days.clear()

    def _rebuild(self) -> None:
        """Make arrays and index anew after a change."""
        live = sorted(
            (entry for entry in self.entries.values() if isinstance(entry, Ad) and self._is_live(entry)),
            key=lambda ad: (ad.shop_id, ad.ad_id),
        )
        self.live_ads = live
        self._ads = np.zeros(len(live), ADS)
        self._rows = {}
        self._names = {}
        self._campaign_of = {}
        for entry in self.entries.values():
            if isinstance(entry, Ad):
                self._names[stable_key(entry.ad_id)] = entry.ad_id
                self._campaign_of[entry.shop_id, entry.ad_id, ""] = entry.campaign_id
            elif isinstance(entry, Promotion):
                self._names[stable_key(entry.promotion_id)] = entry.promotion_id
                self._campaign_of[entry.shop_id, "", entry.promotion_id] = entry.campaign_id
        self._shop_rows: dict[str, tuple[int, int]] = {}
        # Words that some ad of a shop has, by the shop's first row and the field.
        self._targeted: set[tuple[int, str, str]] = set()
        self._matches: dict[tuple[tuple[int, int], str, str | None], npt.NDArray[np.bool_]] = {}
        for row, ad in enumerate(live):
            campaign = self._campaign(ad)
            first, _ = self._shop_rows.get(ad.shop_id, (row, row))
            self._shop_rows[ad.shop_id] = first, row + 1
            self._targeted.update((first, field, word) for field in TARGETS for word in getattr(ad, field))
            self._rows[ad.shop_id, ad.ad_id] = row
            self._ads[row]["bid_micros"] = ad.bid_micros
            self._ads[row]["start_ms"] = campaign.start_ms
            self._ads[row]["end_ms"] = campaign.end_ms or OPEN_END_MS
            ad_buckets(ad_tokens(ad), self.mask, self._ads[row]["buckets"])
        self._live_promotions = sorted(
            (
                (entry, self._campaign(entry))
                for entry in self.entries.values()
                if isinstance(entry, Promotion) and self._is_live(entry)
            ),
            key=lambda pair: pair[0].promotion_id,
        )
        self._candidates: dict[Request, Candidates] = {}
        self._promotions: dict[Request, list[tuple[Promotion, Campaign]]] = {}
        self._stale = False
        self._version += 1

    def _campaign(self, entry: Ad | Promotion) -> Campaign:
        """The entry's campaign; one that is not in the catalogue runs for ever."""
        found = self.entries.get(f"campaign:{entry.shop_id}:{entry.campaign_id}")
        return found if isinstance(found, Campaign) else Campaign(campaign_id=entry.campaign_id)

    def _is_live(self, entry: Ad | Promotion) -> bool:
        return entry.active and self._campaign(entry).active


def ad_tokens(ad: Ad) -> npt.NDArray[np.int64]:
    """Stable keys of an ad in the order of ``models.features.AD``."""
    return np.array([stable_key(word) for word in ad_words(ad)], dtype=np.int64)


def ad_words(ad: Ad) -> tuple[str, ...]:
    """What an ad says of itself, in the order of ``models.features.AD``; empty is missing."""
    return (ad.ad_id, ad.campaign_id, ad.category, *(*ad.features, "", "", "", "")[:4])


def _matches(targets: tuple[str, ...], word: str) -> bool:
    return not targets or word in targets
