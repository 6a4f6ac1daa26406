"""The open loop: a log, and the truth beside it."""

from collections import Counter
from itertools import pairwise

import pytest
from msgspec.json import encode
from msgspec.structs import replace
from traffic import TOPICS

from models.catalog import Catalog
from models.serving import ServingWeights
from schemas.events import Click, Event, Exposure, Purchase, Refund, View
from streams.processor.arrival import decode
from streams.processor.processor import Processor
from streams.settings import Settings
from streams.simulate.configuration import changed, load
from streams.simulate.log import Entry, log
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, OfferTruth
from streams.simulate.visits import KINDS

EVENTS = 60_000


@pytest.fixture(scope="module")
def small() -> Shop:
    """A shop with few sessions and quick, frequent orders and refunds, some of whose users are bots."""
    base = load("base")
    quick = replace(base.purchases.delay, mean_s=600.0, category_sd=0.0)
    asked = replace(
        base,
        shop=replace(base.shop, sessions_per_day=20_000.0),
        purchases=replace(base.purchases, rate=0.3, delay=quick, refund_share=0.4, refund_delay=quick),
    )
    return Shop(changed(asked, bots_share=0.01), seed=2)


@pytest.fixture(scope="module")
def entries(small: Shop) -> list[Entry]:
    """Its log."""
    return list(log(small, EVENTS))


@pytest.fixture(scope="module")
def events(entries: list[Entry]) -> list[Event]:
    """The events of the log."""
    return [entry.event for entry in entries]


def test_the_same_seed_gives_the_same_bytes(small: Shop, entries: list[Entry]) -> None:
    """Of events and truth; a longer log begins with the shorter one."""
    again = Shop(small.configuration, small.seed)
    for entry, other in zip(log(again, 30_000), entries, strict=False):
        assert encode(entry.event) == encode(other.event)
        assert encode(entry.truth) == encode(other.truth)


def test_events_come_in_time(events: list[Event]) -> None:
    """In the order of event time, each id once, all kinds of them."""
    assert all(before.ts_ms <= after.ts_ms for before, after in pairwise(events))
    assert EVENTS == len({event.event_id for event in events})
    kinds = Counter(type(event) for event in events)
    assert {View, Exposure, Click, Purchase, Refund} == set(kinds)


def test_causes_come_first(events: list[Event]) -> None:
    """A click names an exposure of the same user before it, a refund an order; both follow in the log."""
    seen: dict[str, Event] = {}
    for event in events:
        cause = None
        if isinstance(event, Click) and event.kind in ("ad", "promotion"):
            cause = seen[event.exposure_id]
            assert isinstance(cause, Exposure)
            assert (cause.ad_id, cause.promotion_id) == (event.ad_id, event.promotion_id)
        elif isinstance(event, Refund):
            cause = seen[event.order_id]
            assert isinstance(cause, Purchase)
            assert 0 < event.amount_micros <= cause.amount_micros
        if cause is not None:
            assert (cause.user_id, True) == (event.user_id, cause.ts_ms <= event.ts_ms)
        seen[event.order_id if isinstance(event, Purchase) else event.event_id] = event


def test_exposures_carry_another_systems_choice(small: Shop, events: list[Event]) -> None:
    """With its propensity and without a decision, in a slot that a view of the same session asked for."""
    bots = {small.world.user_ids[user] for user in range(small.world.people, len(small.world.user_ids))}
    slots = {
        (view.session_id, slot.slot_id) for view in events if isinstance(view, View) for slot in view.slots
    }
    shown = [event for event in events if isinstance(event, Exposure) and event.user_id not in bots]
    assert all(event.propensity and not event.decision_id for event in shown)
    assert all((event.session_id, event.slot_id) in slots for event in shown)


def test_the_truth_says_what_is_in_the_log(entries: list[Entry]) -> None:
    """Clicks and orders of exposures are there when the truth says, unless the log ends before."""
    end_ms = entries[-1].event.ts_ms
    clicks = {e.exposure_id: e for e, _ in entries if isinstance(e, Click) and e.kind == "ad"}
    orders = {e.event_id[2:]: e for e, _ in entries if isinstance(e, Purchase)}
    bought = 0
    for event, truth in entries:
        if not isinstance(event, Exposure) or event.promotion_id:
            continue
        assert isinstance(truth, ExposureTruth)
        assert (event.event_id, event.propensity) == (truth.exposure_id, truth.propensity)
        click_ms = event.ts_ms + truth.click_delay_ms
        if click_ms < end_ms:
            assert truth.clicked == (event.event_id in clicks)
            assert not truth.clicked or click_ms == clicks[event.event_id].ts_ms
        order_ms = click_ms + truth.purchase_delay_ms
        if order_ms < end_ms:
            assert truth.bought == (event.event_id[2:] in orders)
            assert not truth.bought or order_ms == orders[event.event_id[2:]].ts_ms
            bought += truth.bought
    assert bought > 50


def test_offers_have_their_truth(entries: list[Entry]) -> None:
    """On the view that asks, arms and none; what was offered is shown, redeemed and cheaper."""
    offers = {truth.session_id: truth for _, truth in entries if isinstance(truth, OfferTruth)}
    assert {"none"} < {truth.arm for truth in offers.values()}
    shown = {e.session_id: e for e, _ in entries if isinstance(e, Exposure) and e.promotion_id}
    assert all(offers[session].arm == event.promotion_id for session, event in shown.items())
    redeemed = [e for e, _ in entries if isinstance(e, Purchase) and e.coupon_id]
    assert redeemed
    for order in redeemed:
        assert offers[order.session_id].ordered
        assert order.coupon_id[-2:] == offers[order.session_id].arm[-2:]
        full = sum(line.unit_price_micros * line.quantity for line in order.lines) + order.discount_micros
        assert order.amount_micros == full - order.discount_micros
        assert 0 < order.discount_micros < full


def test_a_worker_takes_all_of_it(small: Shop, events: list[Event]) -> None:
    """Nothing becomes a dead letter or a duplicate, and every exposure and click finds its partner."""
    catalog = Catalog(bits=10)
    catalog.extend(small.catalog())
    processor = Processor(0, Settings(), catalog, ServingWeights("ctr", 10))
    taken = events[:8_000]
    processor.process(
        decode(TOPICS[type(event)], 0, offset, event.ts_ms, encode(event), max_ahead_ms=0)
        for offset, event in enumerate(taken)
    )
    counters = processor.state.counters
    assert len(taken) == counters["events"]
    for name in ("dead_letters", "duplicates", "late", "unmatched_exposures", "unmatched_clicks"):
        assert (name, 0) == (name, counters[name])
    asked = sum(len(event.slots) for event in taken if isinstance(event, View))
    assert asked == counters["decisions"] > 0
    assert processor.output.take_committed()[1], "examples"


def test_bots_behave_as_no_person_does(small: Shop, events: list[Event]) -> None:
    """Rapid ones click many times a minute, instant ones at once, viewless ones without any view."""
    first = small.world.people
    kind_of = {
        small.world.user_ids[user]: KINDS[1 + (user - first) % 3]
        for user in range(first, len(small.world.user_ids))
    }
    shown = {event.event_id: event.ts_ms for event in events if isinstance(event, Exposure)}
    delays_ms: dict[str, list[int]] = {kind: [] for kind in KINDS}
    views: Counter[str] = Counter()
    for event in events:
        kind = kind_of.get(event.user_id, "person")
        if isinstance(event, Click) and event.kind == "ad":
            delays_ms[kind].append(event.ts_ms - shown[event.exposure_id])
        views[kind] += isinstance(event, View)
    assert all(delays_ms.values())
    assert 20 > max(delays_ms["instant"])
    assert 150 > max(delays_ms["rapid"])
    assert 0 == views["viewless"] < views["rapid"]
    # Of people next to none is so quick: of 100 clicks with a mean delay of 12 s one comes within 120 ms.
    assert 0.05 > sum(delay < 150 for delay in delays_ms["person"]) / len(delays_ms["person"])
