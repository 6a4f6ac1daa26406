from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import TARGETS, Catalog, ConversionError, Request
from models.hashing import stable_key
from schemas.bounds import MAX_MICROS
from schemas.catalog import Ad, Campaign, Item, Promotion, Rate, Shop, Switch, entry_key

T0_MS = 1_700_000_000_000  # 2023-11-14
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

words = st.sampled_from(["", "a", "b", "c"])
targets = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2).map(tuple)
shops = st.sampled_from(["main", "other"])
campaigns = st.builds(
    Campaign,
    campaign_id=st.sampled_from(["c1", "c2"]),
    shop_id=shops,
    start_ms=st.integers(0, 5),
    end_ms=st.integers(0, 5),
    active=st.booleans(),
)
ads = st.builds(
    Ad,
    ad_id=st.sampled_from([f"ad{i}" for i in range(6)]),
    campaign_id=st.sampled_from(["c1", "c2", "c3"]),
    bid_micros=st.integers(0, 10),
    shop_id=shops,
    slots=targets,
    pages=targets,
    categories=targets,
    devices=targets,
    countries=targets,
    active=st.booleans(),
)
promotions = st.builds(
    Promotion,
    promotion_id=st.sampled_from([f"p{i}" for i in range(4)]),
    campaign_id=st.sampled_from(["c1", "c2", "c3"]),
    shop_id=shops,
    slots=targets,
    pages=targets,
    categories=targets,
    active=st.booleans(),
)
requests = st.builds(
    Request, shop_id=shops, slot_id=words, page=words, category=words, device=words, country=words
)
entries = st.one_of(campaigns, ads, promotions)
changes = st.lists(st.tuples(entries, st.booleans()), max_size=20)


def catalog_of(*entries):
    catalog = Catalog(bits=10)
    catalog.extend(entries)
    return catalog


def after(changes):
    """A catalogue that was asked after each change, and the entries that remain, by key."""
    catalog, remaining = Catalog(bits=10), {}
    for entry, is_removal in changes:
        if is_removal:
            catalog.remove(entry_key(entry))
            remaining.pop(entry_key(entry), None)
        else:
            catalog.put(entry)
            remaining[entry_key(entry)] = entry
        catalog.candidates(Request("main", "", ""))
    return catalog, remaining


def is_live(entry, remaining):
    campaign = remaining.get(f"campaign:{entry.shop_id}:{entry.campaign_id}")
    return entry.active and (campaign is None or campaign.active)


def matches(entry, request, fields):
    pairs = [(getattr(entry, plural), getattr(request, word)) for plural, word in fields.items()]
    return entry.shop_id == request.shop_id and all(not words or word in words for words, word in pairs)


PLACES = {"slots": "slot_id", "pages": "page", "categories": "category"}
PEOPLE = {"devices": "device", "countries": "country"}


@given(changes, requests)
def test_candidates_are_those_of_a_search_through_all_ads(changes, request):
    """Whatever was put and removed, a request finds the live ads that match, by ad id, with their rows."""
    catalog, remaining = after(changes)
    expected = sorted(
        entry.ad_id
        for entry in remaining.values()
        if isinstance(entry, Ad) and is_live(entry, remaining) and matches(entry, request, PLACES | PEOPLE)
    )
    found = catalog.candidates(request)
    assert expected == found.ids
    assert [catalog.ad_row(request.shop_id, ad_id) for ad_id in expected] == found.rows.tolist()
    assert [remaining[f"ad:{request.shop_id}:{ad_id}"].bid_micros for ad_id in expected] == catalog.ads[
        "bid_micros"
    ][found.rows].tolist()


def test_words_that_no_ad_has_take_no_room():
    """Shops and words of requests come from outside: all of no ad share one answer a field."""
    catalog = Catalog(18)
    catalog.put(Ad(ad_id="a1", campaign_id="c", bid_micros=1, categories=("shoes",)))
    for number in range(100):
        word = f"w{number}"
        catalog.candidates(Request("main", word, word, word, word, word))
        catalog.candidates(Request(word, word, word, word, word, word))
    catalog.candidates(Request("main", "", "", "shoes"))
    assert 2 * len(TARGETS) + 1 == len(catalog._matches)


@given(changes, requests)
def test_promotions_are_those_of_a_search_through_all_promotions(changes, request):
    """Whatever was put and removed, a request finds the live promotions that match, by promotion id."""
    catalog, remaining = after(changes)
    expected = sorted(
        entry.promotion_id
        for entry in remaining.values()
        if isinstance(entry, Promotion) and is_live(entry, remaining) and matches(entry, request, PLACES)
    )
    assert expected == [promotion.promotion_id for promotion, _ in catalog.promotions(request)]


def test_a_flight_is_that_of_the_campaign():
    """An ad starts and ends with its campaign; without an end, or without a campaign, it runs on."""
    catalog = catalog_of(
        Campaign("c1", start_ms=5, end_ms=9),
        Campaign("c2", start_ms=7),
        Ad("a1", "c1", 1),
        Ad("a2", "c2", 1),
        Ad("a3", "unknown", 1),
    )
    starts, ends = catalog.ads["start_ms"].tolist(), catalog.ads["end_ms"].tolist()
    assert ([5, 7, 0], 9) == (starts, ends[0])
    assert min(ends[1:]) > T0_MS


def test_names_of_what_is_not_live_are_still_known():
    """A click may come after the ad was stopped: its name and campaign can still be said."""
    catalog = catalog_of(Ad("a1", "c1", 1, active=False), Promotion("p1", "c2", active=False))
    assert ["a1", "p1", ""] == [catalog.name_of(stable_key(name)) for name in ("a1", "p1", "x")]
    assert ["c1", "c2", ""] == [
        catalog.campaign_of("main", "a1", ""),
        catalog.campaign_of("main", "", "p1"),
        catalog.campaign_of("main", "x", ""),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        Shop("s:1"),
        Campaign("c:1", "s:1"),
        Ad("a:1", "c", 1, "s:1"),
        Promotion("p", "c", "s:1"),
        Item("i", "s"),
    ],
)
def test_an_entry_is_removed_by_its_key(entry):
    """The key of the Kafka record deletes what was put, colons in ids included."""
    catalog = catalog_of(entry)
    catalog.remove(entry_key(entry))
    assert {} == catalog.entries


def test_removing_what_is_not_there_changes_nothing():
    """A deletion of an unknown key, or of none of our kinds, is ignored."""
    catalog = catalog_of(Ad("a1", "c1", 1))
    for key in ("ad:main:a2", "ad", "", "budget:main:b1"):
        catalog.remove(key)
    assert ["a1"] == catalog.candidates(Request("main", "", "")).ids


ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland", "Europe/Berlin")


@given(st.sampled_from(ZONES), st.integers(T0_MS, T0_MS + 800 * DAY_MS))
def test_a_day_is_a_calendar_day_of_the_shop(zone, ts_ms):
    """Days are counted in the shop's time zone, summer time included."""
    local = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).date()
    epoch = datetime.fromtimestamp(0, UTC).date()
    assert (local - epoch).days == catalog_of(Shop("main", time_zone=zone)).day("main", ts_ms)


@pytest.mark.parametrize("zone", ["", "Nowhere/None", "America", "../etc/passwd"])
def test_a_day_without_a_usable_time_zone_is_one_of_utc(zone):
    """A shop whose time zone is none, and a shop that is not in the catalogue, count days by UTC."""
    catalog = catalog_of(Shop("main", time_zone=zone))
    assert [T0_MS // DAY_MS] * 2 == [catalog.day(shop, T0_MS) for shop in ("main", "unknown")]


def test_a_changed_time_zone_takes_effect():
    """The next event after a change of the shop counts by the new time zone."""
    catalog = catalog_of(Shop("main"))
    midnight_ms = T0_MS // DAY_MS * DAY_MS
    before = catalog.day("main", midnight_ms)
    catalog.put(Shop("main", time_zone="America/New_York"))
    assert before - 1 == catalog.day("main", midnight_ms)


RATES = (
    Rate("EUR", "2023-11-14", 1_100_000),
    Rate("EUR", "2023-11-16", 1_200_000),
    Rate("JPY", "2023-11-01", 7_000),
)
MIDNIGHT_MS = 1_699_920_000_000  # 2023-11-14


@pytest.mark.parametrize(
    ("currency", "ts_ms", "expected"),
    [
        ("", MIDNIGHT_MS, 1_000_001),
        ("USD", MIDNIGHT_MS, 1_000_001),
        ("EUR", MIDNIGHT_MS, 1_100_001),
        ("EUR", MIDNIGHT_MS + 2 * DAY_MS - 1, 1_100_001),
        ("EUR", MIDNIGHT_MS + 2 * DAY_MS, 1_200_001),
        ("JPY", MIDNIGHT_MS, 7_000),
    ],
)
def test_an_amount_is_converted_by_the_newest_rate_of_its_time(currency, ts_ms, expected):
    """A rate holds from its date (UTC) until the next; fractions of a micro are dropped."""
    catalog = catalog_of(Shop("main", "USD", rates=RATES[::-1]))
    assert expected == catalog.to_base_micros("main", currency, ts_ms, 1_000_001)


@pytest.mark.parametrize(("currency", "ts_ms"), [("EUR", MIDNIGHT_MS - 1), ("GBP", MIDNIGHT_MS)])
def test_a_currency_without_a_rate_is_refused(currency, ts_ms):
    """Before its first rate, and without any, a currency cannot be used; the error says which was meant."""
    catalog = catalog_of(Shop("main", "USD", rates=RATES))
    expected = f"Expected `USD` or a currency with a rate in the catalogue, got `{currency}`"
    with pytest.raises(ConversionError, match=expected):
        catalog.to_base_micros("main", currency, ts_ms, 1)


def test_an_amount_beyond_the_bound_after_conversion_is_refused():
    """What fits the contract in its own currency must fit in the base currency, where it is summed."""
    catalog = catalog_of(Shop("main", "IDR", rates=(Rate("KWD", "2023-11-01", 50_000 * 10**6),)))
    assert MAX_MICROS == catalog.to_base_micros("main", "KWD", T0_MS, MAX_MICROS // 50_000)
    with pytest.raises(ConversionError, match=f"Expected at most {MAX_MICROS} micros of `IDR`, got more"):
        catalog.to_base_micros("main", "KWD", T0_MS, MAX_MICROS // 50_000 + 1)


def test_an_unknown_shop_takes_every_currency_as_its_own():
    """Without a catalogue entry there is no base currency to convert to."""
    assert 7 == Catalog(bits=10).to_base_micros("main", "EUR", T0_MS, 7)


switches = st.builds(
    Switch,
    switch_id=st.sampled_from(["s1", "s2", "s3", "s4"]),
    paused=st.booleans(),
    by=st.just("somebody"),
    reason=st.just("because"),
    ts_ms=st.just(T0_MS),
    shop_id=st.sampled_from(["", "main", "other"]),
)


@given(st.lists(st.tuples(switches, st.booleans()), max_size=20))
def test_the_newest_switch_of_a_shop_or_of_all_shops_pauses_it(changes):
    """Of those that remain the last that came holds, whether they were removed or sent again meanwhile."""
    catalog, remaining = Catalog(bits=10), []
    for switch, is_removal in changes:
        key = entry_key(switch)
        remaining = [each for each in remaining if entry_key(each) != key]
        if is_removal:
            catalog.remove(key)
        else:
            catalog.put(switch)
            remaining.append(switch)
        newest = {each.shop_id: each.paused for each in remaining}
        for shop in ("main", "other", "a third"):
            assert (newest.get("", False) or newest.get(shop, False)) == catalog.is_paused(shop)


def test_a_switch_outdates_nothing_that_was_derived_from_the_catalogue():
    """No array is built anew for it, however large the catalogue."""
    catalog = catalog_of(Ad("ad1", "c1", 1))
    version = catalog.version
    catalog.put(Switch("s1", True, "somebody", "because", T0_MS))
    assert (version, True) == (catalog.version, catalog.is_paused("main"))
