"""What a request's words come to: hashed once, matched with the ads once, then remembered."""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from models.catalog import Catalog, Request
from models.features import WORDS, Buckets, request_buckets
from models.hashing import stable_key
from schemas.events import Exposure, View
from streams.processor.output import encode

MAX_SITES = 100_000
"""A shop has thousands: pages x slots x categories x devices x countries x segments."""
MAX_CANDIDATES = 4096
"""Ads that one request may match; those behind, by ``ad_id``, are not looked at."""
FIRST_ROWS = 256

Number = TypeVar("Number", np.uint8, np.uint32, np.int64)


class Site(NamedTuple):
    """All about a request but its position, its user and its time."""

    number: int
    """Its place in the arrays of ``Sites``."""
    ids: list[str]
    """Names of the live ads that match, in the order of their rows."""
    rows: npt.NDArray[np.int64]
    """Their rows in ``Catalog.ads``."""


class Sites:
    """The sites of requests, as of the newest catalogue, and what a kernel needs of them.

    Attributes
    ----------
    words
        uint32[n, len(WORDS)]: ``models.features.request_buckets`` of each site.
    spans
        int64[n, 2]: where each site's candidates begin and end in ``candidates``.
    candidates
        int64[m]: rows in ``Catalog.ads``, one site after the other.
    id_spans
        int64[n, 2]: where the names of each site's candidates begin and end in ``ids``.
    ids
        uint8[m]: these names as a JSON list, one site after the other.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._forget()

    def refresh(self) -> None:
        """Take up the newest catalogue; sites that were given out before are not to be used afterwards."""
        if self._version != self.catalog.version or len(self._sites) >= MAX_SITES:
            self._forget()

    def of(self, event: View | Exposure, slot_id: str) -> Site:
        """The site of a page view's slot, or of an exposure."""
        key = (
            event.shop_id, event.page, slot_id, event.device, event.country, event.category, event.segments,
        )  # fmt: skip
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = self._make(event, slot_id)
        return site

    def _forget(self) -> None:
        self._version = self.catalog.version
        self._sites: dict[tuple[str | tuple[str, ...], ...], Site] = {}
        self.words: Buckets = np.zeros((FIRST_ROWS, len(WORDS)), np.uint32)
        self.spans: npt.NDArray[np.int64] = np.zeros((FIRST_ROWS, 2), np.int64)
        self.candidates: npt.NDArray[np.int64] = np.zeros(FIRST_ROWS, np.int64)
        self.id_spans: npt.NDArray[np.int64] = np.zeros((FIRST_ROWS, 2), np.int64)
        self.ids: npt.NDArray[np.uint8] = np.zeros(FIRST_ROWS, np.uint8)
        self._end = self._ids_end = 0

    def _make(self, event: View | Exposure, slot_id: str) -> Site:
        catalog, number = self.catalog, len(self._sites)
        segments = (*event.segments, "", "", "", "")[:4]
        texts = (event.shop_id, event.page, slot_id, event.device, event.country, event.category, *segments)
        words: Buckets = np.zeros(len(WORDS), np.uint32)
        request_buckets(np.array([stable_key(text) for text in texts]), catalog.mask, words)
        found = catalog.candidates(
            Request(event.shop_id, slot_id, event.page, event.category, event.device, event.country)
        )
        rows = found.rows[:MAX_CANDIDATES]
        end = self._end + len(rows)
        self.words = _with_room(self.words, number + 1)
        self.spans = _with_room(self.spans, number + 1)
        self.candidates = _with_room(self.candidates, end)
        self.words[number] = words
        self.spans[number] = self._end, end
        self.candidates[self._end : end] = rows
        self._end = end
        ids = found.ids[:MAX_CANDIDATES]
        text = np.frombuffer(encode(ids), np.uint8)
        ids_end = self._ids_end + len(text)
        self.id_spans = _with_room(self.id_spans, number + 1)
        self.ids = _with_room(self.ids, ids_end)
        self.id_spans[number] = self._ids_end, ids_end
        self.ids[self._ids_end : ids_end] = text
        self._ids_end = ids_end
        return Site(number, ids, rows)


def _with_room(array: npt.NDArray[Number], size: int) -> npt.NDArray[Number]:
    """The array, or one of twice the size with the same beginning."""
    if size <= len(array):
        return array
    grown = np.zeros((max(2 * len(array), size), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
