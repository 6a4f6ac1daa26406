from collections import Counter
from statistics import mean

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from schemas.catalog import Ad, Promotion
from schemas.events import Click, Event, Exposure, Purchase, View, decode_click, decode_purchase, decode_view
from streams.bench.mix import USERS, Mix, generate
from streams.bench.shop import CATEGORIES, COUNTRIES, DEVICES, PAGES, Targeting, ad_slot

DECODERS = {"views": decode_view, "clicks": decode_click, "purchases": decode_purchase}
EVENTS = 40_000
seeds = st.integers(min_value=0, max_value=2**32)


class Located(Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    bytes: int
    event: Event


def located(mix: Mix) -> list[Located]:
    return [
        Located(topic, partition, offset, len(value), DECODERS[topic](value))
        for (topic, partition), rows in mix.records.items()
        for offset, (_, value, _) in enumerate(rows)
    ]


def ads(mix: Mix) -> list[Ad]:
    return [entry for entry in mix.catalog if isinstance(entry, Ad)]


@pytest.fixture(scope="module")
def mix() -> Mix:
    return generate(EVENTS, seed=7)


@pytest.fixture(scope="module")
def rows(mix: Mix) -> list[Located]:
    return located(mix)


def test_kinds_have_their_shares(rows: list[Located]) -> None:
    """Views, exposures, clicks and purchases come in the shares that the design states."""
    counts = Counter(type(row.event) for row in rows)
    shares = {kind: count / EVENTS for kind, count in counts.items()}
    assert pytest.approx({View: 0.50, Exposure: 0.35, Click: 0.12, Purchase: 0.03}, abs=0.01) == shares


def test_activity_follows_zipfs_law(rows: list[Located]) -> None:
    """The k-th most active of 100,000 users has 1/k of the first one's events, that is 8.3% / k of all."""
    events = Counter(row.event.user_id for row in rows)
    shares = [events[f"u{rank - 1:06d}"] / EVENTS for rank in (1, 2, 3, 4)]
    harmonic = sum(1 / rank for rank in range(1, USERS + 1))
    assert pytest.approx([1 / rank / harmonic for rank in (1, 2, 3, 4)], abs=0.006) == shares


def test_views_ask_for_decisions(rows: list[Located]) -> None:
    """Half of the page views ask for one placement, one in twenty for a promotion."""
    views = [row.event for row in rows if isinstance(row.event, View)]
    asked = Counter(slot.kind for view in views for slot in view.slots)
    assert pytest.approx(0.5, abs=0.01) == asked["ad"] / len(views)
    assert pytest.approx(0.05, abs=0.005) == asked["promotion"] / len(views)


def test_a_third_of_the_exposures_is_foreign(rows: list[Located]) -> None:
    """About a third of the exposures are another system's and state its propensity."""
    exposures = [row.event for row in rows if isinstance(row.event, Exposure)]
    foreign = [exposure for exposure in exposures if exposure.propensity is not None]
    assert pytest.approx(1 / 3, abs=0.04) == len(foreign) / len(exposures)


def test_a_third_of_the_clicks_is_on_ads(rows: list[Located]) -> None:
    """About a third of the clicks are on ads or promotions."""
    kinds = [row.event.kind for row in rows if isinstance(row.event, Click)]
    assert pytest.approx(1 / 3, abs=0.04) == sum(kind in ("ad", "promotion") for kind in kinds) / len(kinds)


def test_orders_have_one_to_five_lines(rows: list[Located]) -> None:
    """Purchases of every length from 1 to 5 lines come, and no other."""
    lengths = {len(row.event.lines) for row in rows if isinstance(row.event, Purchase)}
    assert {1, 2, 3, 4, 5} == lengths


def test_events_have_their_size(rows: list[Located]) -> None:
    """Events take 180 to 300 bytes on average of every kind but orders, which take what their lines take."""
    sizes = {
        kind: mean(row.bytes for row in rows if type(row.event) is kind) for kind in (View, Exposure, Click)
    }
    assert {kind: size for kind, size in sizes.items() if 180 <= size <= 300} == sizes
    assert sum(180 <= row.bytes <= 300 for row in rows) / EVENTS > 0.8


def test_about_twenty_of_two_hundred_ads_are_eligible(mix: Mix, rows: list[Located]) -> None:
    """Of 200 ads about 20 match a request for a placement, and there are 10 promotions."""
    targeting = Targeting(ads(mix))
    eligible = [
        len(targeting.eligible(slot.slot_id, view.page, view.category, view.device, view.country))
        for view in (row.event for row in rows)
        if isinstance(view, View)
        for slot in view.slots
        if slot.kind == "ad"
    ]
    assert len(ads(mix)) == 200
    assert sum(isinstance(entry, Promotion) for entry in mix.catalog) == 10
    assert pytest.approx(20, abs=1.5) == mean(eligible)


@given(seed=seeds)
@settings(max_examples=5, deadline=None)
def test_every_request_has_an_eligible_ad(seed: int) -> None:
    """Whatever the seed, no combination of page, category, device and country is without an ad."""
    targeting = Targeting(ads(generate(0, seed)))
    fewest = min(
        len(targeting.eligible(ad_slot(page), page, category, device, country))
        for page in PAGES
        for category in CATEGORIES
        for device in DEVICES
        for country in COUNTRIES
    )
    assert fewest > 0


@given(seed=seeds, partitions=st.integers(min_value=1, max_value=12))
@settings(max_examples=8, deadline=None)
def test_echoed_decisions_were_asked_for(seed: int, partitions: int) -> None:
    """Every echoed decision names an earlier view of the same user, by its partition, offset and slot."""
    everything = located(generate(3000, seed, partitions))
    asked = {
        f"views-{row.partition}-{row.offset}-{index}": (row.event, slot)
        for row in everything
        if isinstance(row.event, View)
        for index, slot in enumerate(row.event.slots)
    }
    echoes = [row.event for row in everything if isinstance(row.event, Exposure) and row.event.decision_id]
    assert len(echoes) > 100
    for echo in echoes:
        view, slot = asked[echo.decision_id]
        assert view.ts_ms <= echo.ts_ms
        assert (view.user_id, view.page, slot.slot_id) == (echo.user_id, echo.page, echo.slot_id)
        assert ("ad" if echo.ad_id else "promotion") == slot.kind


@given(seed=seeds)
@settings(max_examples=8, deadline=None)
def test_clicks_on_ads_were_shown(seed: int) -> None:
    """Every click on an ad or promotion names an earlier exposure of the same user with the same content."""
    everything = located(generate(6000, seed))
    shown = {
        exposure.decision_id or exposure.event_id: exposure
        for exposure in (row.event for row in everything)
        if isinstance(exposure, Exposure)
    }
    clicks = [
        row.event
        for row in everything
        if isinstance(row.event, Click) and row.event.kind in ("ad", "promotion")
    ]
    assert clicks
    for click in clicks:
        exposure = shown[click.decision_id or click.exposure_id]
        assert exposure.ts_ms <= click.ts_ms
        assert (exposure.user_id, exposure.ad_id, exposure.promotion_id) == (
            click.user_id,
            click.ad_id,
            click.promotion_id,
        )


def test_partitions_are_in_time_order_and_hold_their_users(mix: Mix) -> None:
    """Every partition is in time order and holds exactly the users whose key hashes to it."""
    for (_, partition), rows in mix.records.items():
        times = [ts_ms for _, _, ts_ms in rows]
        assert sorted(times) == times
        assert {partition} == {(murmur2(key) & 0x7FFFFFFF) % 8 for key in {key for key, _, _ in rows}}


def test_event_ids_are_unique(rows: list[Located]) -> None:
    """No two events share an ``event_id``."""
    assert len({row.event.event_id for row in rows}) == EVENTS


@given(seed=seeds, events=st.integers(min_value=0, max_value=2000))
@settings(max_examples=8, deadline=None)
def test_a_longer_mix_begins_with_the_shorter(seed: int, events: int) -> None:
    """The same seed gives the same catalogue and records, and more events only add to their ends."""
    short, long = generate(events, seed), generate(events + 500, seed)
    assert short.catalog == long.catalog
    assert short.records == {key: long.records[key][: len(rows)] for key, rows in short.records.items()}
