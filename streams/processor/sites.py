"""What a request's words come to: hashed once, matched with the ads once, then remembered."""

from typing import NamedTuple

import numpy as np

from models.catalog import Catalog, Request
from models.features import WORDS, Buckets, request_buckets
from models.hashing import stable_key
from schemas.events import Exposure, View

MAX_SITES = 100_000
"""A shop has thousands: pages x slots x categories x devices x countries x segments."""


class Site(NamedTuple):
    """All about a request but its position, its user and its time."""

    words: Buckets
    """``models.features.request_buckets``."""
    ads: np.ndarray
    """The catalogue's live ads, dtype ``models.catalog.ADS``."""
    rows: np.ndarray
    """Those of them that match, int64[n]."""
    ids: list[str]
    """Their names."""


class Sites:
    """The sites of one partition's requests, as of the newest catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._version = catalog.version
        self._sites: dict[tuple[str | tuple[str, ...], ...], Site] = {}

    def of(self, event: View | Exposure, slot_id: str) -> Site:
        """The site of a page view's slot, or of an exposure."""
        if self._version != self.catalog.version or len(self._sites) >= MAX_SITES:
            self._version = self.catalog.version
            self._sites.clear()
        key = (
            event.shop_id, event.page, slot_id, event.device, event.country, event.category, event.segments,
        )  # fmt: skip
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = self._make(event, slot_id)
        return site

    def _make(self, event: View | Exposure, slot_id: str) -> Site:
        catalog = self.catalog
        segments = (*event.segments, "", "", "", "")[:4]
        texts = (event.shop_id, event.page, slot_id, event.device, event.country, event.category, *segments)
        words = np.zeros(len(WORDS), np.uint32)
        request_buckets(np.array([stable_key(text) for text in texts]), catalog.mask, words)
        found = catalog.candidates(
            Request(event.shop_id, slot_id, event.page, event.category, event.device, event.country)
        )
        return Site(words, catalog.ads, found.rows, found.ids)
