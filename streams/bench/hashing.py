"""The synthetic shop's exposures in the learners' features."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.catalog import Catalog
from models.features import CONTEXT, FEATURES, WORDS, Buckets, context_buckets, join_buckets, request_buckets
from models.hashing import stable_key
from models.profiles import PROFILE
from streams.simulate.randomness import Integers
from streams.simulate.shop import Exposures, Shop
from streams.simulate.world import CATEGORIES, COUNTRIES, DEVICES, PAGES, World, slot_id


def hashed(shop: Shop, exposures: Exposures, bits: int) -> Buckets:
    """Buckets of exposures, uint32[n, len(FEATURES)], as a worker hashes those of users whom it meets first.

    What a profile would say is missing: arrays have no page views and no orders to make profiles of.
    """
    catalog = Catalog(bits)
    catalog.extend(shop.catalog())
    world = shop.world
    rows = np.array([_row(catalog, world, ad_id) for ad_id in world.ad_ids])
    out = np.empty((len(exposures.ad), len(FEATURES)), np.uint32)
    _fill(
        _words(world, exposures), exposures.position.astype(np.int64),
        _keys(world.user_ids)[exposures.user], exposures.ts_ms, catalog.ads, rows[exposures.ad],
        np.zeros(1, PROFILE), catalog.mask, out,
    )  # fmt: skip
    return out


def _row(catalog: Catalog, world: World, ad_id: str) -> int:
    row = catalog.ad_row(world.configuration.shop.shop_id, ad_id)
    assert row is not None
    return row


def _keys(texts: list[str] | tuple[str, ...]) -> Integers:
    return np.array([stable_key(text) for text in texts], np.int64)


def _words(world: World, exposures: Exposures) -> Integers:
    """Stable keys in the order of ``models.features.WORDS``, int64[n, len(WORDS)]."""
    places = 10  # positions on a page are fewer
    slots = _keys([slot_id(page, position) for page in PAGES for position in range(places)])
    columns = {
        "shop": np.full(len(exposures.ad), stable_key(world.configuration.shop.shop_id)),
        "page": _keys(PAGES)[exposures.page],
        "slot": slots[exposures.page * places + exposures.position],
        "device": _keys(DEVICES)[exposures.device],
        "country": _keys(COUNTRIES)[exposures.country],
        "category": _keys(CATEGORIES)[exposures.category],
        "segment_1": _keys([f"style-{i}" for i in range(int(world.user_style.max()) + 1)])[exposures.style],
        "segment_2": _keys([f"age-{i}" for i in range(int(world.user_age.max()) + 1)])[exposures.age],
    }
    missing = np.zeros(len(exposures.ad), np.int64)
    return np.ascontiguousarray(np.stack([columns.get(word, missing) for word in WORDS], axis=1))


@njit(cache=True)
def _fill(  # type: ignore[no-untyped-def]
    words, position, user, ts_ms, ads, ad, profiles: npt.NDArray[Any], mask, out
):
    request, context = np.empty(len(WORDS), np.uint32), np.empty(len(CONTEXT), np.uint32)
    for i in range(len(ad)):
        request_buckets(words[i], mask, request)
        context_buckets(profiles, 0, request, position[i], user[i], ts_ms[i], mask, context)
        join_buckets(context, ads, ad[i], mask, out[i])
