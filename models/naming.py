"""What a bucket means, as catalogue and feature spec tell: a hash cannot be undone, only done again."""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from models.catalog import ad_words
from models.features import AD, CONTEXT, CROSSED, CROSSES, DERIVED, cross_bucket
from models.hashing import bucket_of, stable_key
from models.profiles import PAGE_CODES
from schemas.catalog import Ad, Entry, Item, Promotion

MAX_POSITION = 50
MAX_BIN = 31
"""Of the binned numbers; ``models.features.log_bin`` ends at 30."""
MAX_CROSSED = 200_000
"""Pairs of one cross that are tried."""


def names(entries: Iterable[Entry], bits: int) -> dict[int, list[str]]:
    """By bucket the features that hash to it, as ``feature=value``; several are a collision.

    Ids, categories and the words that ads are targeted at come from the catalogue; pages, positions and
    bins from the spec. Users, segments and words that no entry names stay without a name.
    """
    words = _vocabulary(list(entries))
    mask = (1 << bits) - 1
    found: dict[int, list[str]] = {}
    buckets: dict[str, dict[str, int]] = {}
    for field, feature in enumerate((*CONTEXT, *AD)):
        tokens = words.get(feature, {"missing": 0})
        buckets[feature] = {word: int(bucket_of(field, token, mask)) for word, token in tokens.items()}
        for word, bucket in buckets[feature].items():
            found.setdefault(bucket, []).append(f"{feature}={word}")
    context, ad = np.zeros(len(CONTEXT), np.uint32), np.zeros(len(AD), np.uint32)
    for number, (left, right) in enumerate(CROSSED):
        if len(buckets[left]) * len(buckets[right]) > MAX_CROSSED:
            continue
        pairs = product(buckets[left].items(), buckets[right].items())
        for (left_word, left_bucket), (right_word, right_bucket) in pairs:
            ad[AD.index(left)], context[CONTEXT.index(right)] = left_bucket, right_bucket
            bucket = int(cross_bucket(number, context, ad, mask))
            found.setdefault(bucket, []).append(f"{CROSSES[number]}={left_word} x {right_word}")
    return found


def _vocabulary(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """By feature its words and their tokens, as they are hashed."""
    words: dict[str, set[str]] = {name: set() for name in (*CONTEXT, *AD)}
    words["page"].update(PAGE_CODES)
    for entry in entries:
        words["shop"].add(entry.shop_id)
        if isinstance(entry, Ad | Promotion):
            words["slot"].update(entry.slots)
            words["category"].update(entry.categories)
        if isinstance(entry, Ad):
            words["device"].update(entry.devices)
            words["country"].update(entry.countries)
            for feature, word in zip(AD, ad_words(entry), strict=True):
                words[feature].add(word)
            words["category"].add(entry.category)
        if isinstance(entry, Item):
            words["category"].add(entry.category)
    tokens = {name: {word: stable_key(word) for word in found if word} for name, found in words.items()}
    for found in tokens.values():
        found["missing"] = 0
    return tokens | {name: dict(_numbers(name)) for name in ("bias", "position", *DERIVED)}


def _numbers(feature: str) -> Iterator[tuple[str, int]]:
    """Values of a feature that is a number, as ``models.features`` makes tokens of them."""
    if feature == "bias":
        yield "1", 0
    elif feature == "position":
        yield from ((str(position), position + 1) for position in range(MAX_POSITION))
    elif feature == "hour":
        yield from ((str(hour), hour) for hour in range(24))
    else:
        yield from ((f"bin {number}", number) for number in range(MAX_BIN))
