import numpy as np

from models.catalog import Catalog
from models.features import AD, CONTEXT, FEATURES, WORDS, context_buckets, join_buckets, request_buckets
from models.hashing import stable_key
from models.naming import names
from models.profiles import PROFILE
from schemas.catalog import Ad, Campaign

ENTRIES = [
    Campaign("spring"),
    Ad(
        "ad-1", "spring", bid_micros=1, category="shoes", features=("red",), devices=("phone", "tablet"),
        countries=("DE",), slots=("top",),
    ),
    Ad("ad-2", "spring", bid_micros=1, category="hats", categories=("hats",)),
]  # fmt: skip
BITS = 22


def row():
    """Buckets of the first ad on a home page at 13:00, made as a worker makes them."""
    catalog = Catalog(BITS)
    catalog.extend(ENTRIES)
    texts = {"shop": "main", "page": "home", "slot": "top", "device": "phone", "country": "DE"}
    words, context = np.zeros(len(WORDS), np.uint32), np.zeros(len(CONTEXT), np.uint32)
    keys = [stable_key((texts | {"category": "hats"}).get(word, "")) for word in WORDS]
    request_buckets(np.array(keys), catalog.mask, words)
    context_buckets(
        np.zeros(1, PROFILE), 0, words, 2, stable_key("u1"), 13 * 3_600_000, catalog.mask, context
    )
    out = np.zeros(len(FEATURES), np.uint32)
    join_buckets(context, catalog.ads, catalog.ad_row("main", "ad-1"), catalog.mask, out)
    return dict(zip(FEATURES, out.tolist(), strict=True))


def test_a_worker_s_buckets_have_their_names() -> None:
    """All features of an example but the user are named with the value that they were hashed from."""
    called = names(ENTRIES, BITS)
    buckets = row()
    expected = {
        "bias": "1", "shop": "main", "page": "home", "slot": "top", "position": "2", "device": "phone",
        "country": "DE", "category": "hats", "segment_1": "missing", "hour": "13", "click_rate": "bin 0",
        "ad": "ad-1", "campaign": "spring", "ad_category": "shoes", "ad_feature_1": "red",
        "ad_feature_2": "missing", "ad x position": "ad-1 x 2", "ad x device": "ad-1 x phone",
        "ad_category x category": "shoes x hats",
    }  # fmt: skip
    for feature, value in expected.items():
        assert f"{feature}={value}" in called[buckets[feature]], feature
    assert [] == [feature for feature in buckets if feature != "user" and buckets[feature] not in called]
    assert buckets["user"] not in called


def test_collisions_have_several_names() -> None:
    """With few buckets a bucket says all that it may mean."""
    called = names(ENTRIES, 4)
    assert 16 == len(called)
    assert max(len(found) for found in called.values()) > 5


def test_the_words_of_an_ad_are_named_by_its_place() -> None:
    """A word of the content is a feature of its own by its place."""
    named = {name for found in names(ENTRIES, BITS).values() for name in found}
    assert "ad_feature_1=red" in named
    assert "ad_feature_2=red" not in named
    assert {f"{feature}=missing" for feature in AD} <= named
