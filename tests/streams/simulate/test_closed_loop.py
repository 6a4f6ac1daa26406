"""The closed loop, with a decider that is a double."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace
from tolerance import assert_rates

from schemas.events import Click, Event, Exposure, Purchase, View
from streams.simulate.closed_loop import ClosedLoop, Decided
from streams.simulate.configuration import changed, load
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, OfferTruth, Truth, UserTruth

MINUTE_MS = 60_000
PATIENCE_MS = 10_000
TURN_MS = 5_000

Decide = Callable[[View], list[Decided]]


def decisions(view: View, ad: str, promotion: str) -> list[Decided]:
    """Always the same answer, with a propensity to be told by."""
    return [
        Decided(
            f"d-{view.event_id}-{place}", view.event_id, slot.slot_id, ad if slot.kind == "ad" else promotion,
            0.25,
        )
        for place, slot in enumerate(view.slots)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Shop:
    """A shop of which a few hours pass in each test."""
    base = load("base")
    return Shop(replace(base, shop=replace(base.shop, sessions_per_day=40_000.0)), seed=3)


def run(
    shop: Shop, decide: Decide, minutes: int = 20, delay_ms: int = 0
) -> tuple[ClosedLoop, list[Event], list[Truth]]:
    """Let time pass turn by turn; decisions come ``delay_ms`` after the turn that asked."""
    truths: list[Truth] = []
    loop = ClosedLoop(shop, PATIENCE_MS, tell=truths.append)
    events: list[Event] = []
    for now_ms in range(shop.traffic.start_ms, shop.traffic.start_ms + minutes * MINUTE_MS, TURN_MS):
        due = loop.due(now_ms)
        assert all(event.ts_ms <= now_ms for event in due)
        events += due
        views = [event for event in due if isinstance(event, View)]
        loop.decide([each for view in views for each in decide(view)], now_ms + delay_ms)
    return loop, events, truths


def test_what_is_decided_is_shown(shop: Shop) -> None:
    """Every answered request becomes an exposure that echoes it, in its slot, after the decision."""
    loop, events, truths = run(shop, lambda view: decisions(view, "ad-0007", "promotion-01"))
    views = {event.event_id: event for event in events if isinstance(event, View)}
    shown = [event for event in events if isinstance(event, Exposure)]
    assert shown
    for event in shown:
        view = views["v" + event.decision_id[3 : event.decision_id.rindex("-")]]
        slot = view.slots[int(event.decision_id.rsplit("-", 1)[1])]
        assert (view.user_id, slot.slot_id, slot.position) == (event.user_id, event.slot_id, event.position)
        assert (event.ad_id or event.promotion_id) == ("ad-0007" if slot.kind == "ad" else "promotion-01")
        assert event.ts_ms > view.ts_ms
        assert event.propensity is None
    assert loop.counts["shown"] >= len(shown)
    told = {truth.decision_id for truth in truths if isinstance(truth, ExposureTruth | OfferTruth)}
    assert {event.decision_id for event in shown} <= told


def test_users_answer_to_what_was_really_chosen(shop: Shop) -> None:
    """Clicks are as many as the truth of the chosen ad says, whichever it is; they name its decision."""
    rates = []
    world = shop.world
    for ad in (world.quality[0].argmax(), world.quality[0].argmin()):
        _, events, truths = run(
            shop, lambda view, ad=ad: decisions(view, world.ad_ids[ad], "none"), minutes=60
        )  # type: ignore[misc]
        told = [truth for truth in truths if isinstance(truth, ExposureTruth)]
        clicked, p = (np.array([getattr(t, name) for t in told]) for name in ("clicked", "p_click"))
        assert_rates(clicked, p, np.array([truth.position for truth in told]))
        due = {t.decision_id for t in told if t.clicked}
        clicks = {e.decision_id for e in events if isinstance(e, Click) and e.kind == "ad"}
        assert clicks <= due
        assert len(clicks) > 0.9 * len(due)
        rates.append(p.mean())
    assert rates[0] > 1.5 * rates[1]


def test_two_policies_meet_the_same_users(shop: Shop) -> None:
    """Views do not depend on what is shown, and the same choice has the same outcome."""
    _, first, _ = run(shop, lambda view: decisions(view, "ad-0007", "none"), minutes=10)
    _, second, _ = run(shop, lambda view: decisions(view, "ad-0008", "promotion-00"), minutes=10)
    _, again, _ = run(shop, lambda view: decisions(view, "ad-0007", "none"), minutes=10)
    assert first == again
    assert first != second
    assert [e for e in first if isinstance(e, View)] == [e for e in second if isinstance(e, View)]


def test_only_the_first_copy_counts(shop: Shop) -> None:
    """A decision that comes again, also with another choice, changes nothing and is counted."""
    once, events, _ = run(shop, lambda view: decisions(view, "ad-0007", "none"), minutes=10)
    twice, again, _ = run(
        shop,
        lambda view: decisions(view, "ad-0007", "none") + decisions(view, "ad-0008", "promotion-01"),
        minutes=10,
    )
    assert events == again
    assert twice.counts.pop("copies") > 100
    assert once.counts == twice.counts


def test_nobody_waits_for_ever(shop: Shop) -> None:
    """Without decisions nothing is shown, requests are given up, and people order what they want."""
    loop, events, truths = run(shop, lambda view: [], minutes=60)
    assert not any(isinstance(event, Exposure) for event in events)
    assert {"unanswered"} == set(loop.counts)
    offers = [truth for truth in truths if isinstance(truth, OfferTruth)]
    assert {("none", 0.0, "")} == {(offer.arm, offer.propensity, offer.decision_id) for offer in offers}
    ordered = {offer.session_id for offer in offers if offer.ordered}
    orders = {event.session_id for event in events if isinstance(event, Purchase)}
    assert len(ordered & orders) > 0.3 * len(ordered) > 0


def test_too_late_is_too_late(shop: Shop) -> None:
    """A decision after the patience, or on another's view, is unmatched."""
    loop = ClosedLoop(shop, PATIENCE_MS)
    start_ms = shop.traffic.start_ms
    views = [event for event in loop.due(start_ms + MINUTE_MS) if isinstance(event, View) and event.slots]
    loop.due(start_ms + 3 * MINUTE_MS)
    answers = decisions(views[0], "ad-0007", "none")
    loop.decide([*answers, Decided("d", "another", "home-1", "ad-0007", 1.0)], start_ms + 3 * MINUTE_MS)
    assert len(answers) + 1 == loop.counts["unmatched"]


def test_nothing_and_the_unknown_show_nothing(shop: Shop) -> None:
    """The choice ``none``, or an ad that this shop does not have, leaves the slot empty."""
    for choice in ("none", "ad-of-another-shop"):
        loop, events, _ = run(shop, lambda view, choice=choice: decisions(view, choice, choice), minutes=4)  # type: ignore[misc]
        assert not any(isinstance(event, Exposure) for event in events)
        assert {"empty"} == set(loop.counts)


def test_nothing_is_seen_before_it_is_decided(shop: Shop) -> None:
    """Where decisions take their time, exposures come no sooner."""
    _, events, _ = run(shop, lambda view: decisions(view, "ad-0007", "none"), minutes=10, delay_ms=3_000)
    view_ms = {event.event_id: event.ts_ms for event in events if isinstance(event, View)}
    waits = [
        event.ts_ms - view_ms["v" + event.decision_id[3 : event.decision_id.rindex("-")]]
        for event in events
        if isinstance(event, Exposure)
    ]
    assert min(waits) >= 3_000


def test_what_came_before_stays_unseen(shop: Shop) -> None:
    """A loop that begins later shows sessions under way, and no event or request of an earlier time."""
    from_ms = shop.traffic.start_ms + 10 * MINUTE_MS
    truths: list[Truth] = []
    loop = ClosedLoop(shop, PATIENCE_MS, tell=truths.append, from_ms=from_ms)
    events = loop.due(from_ms + MINUTE_MS)
    assert from_ms <= min(event.ts_ms for event in events)
    assert any(isinstance(event, View) and not event.event_id.endswith("-0") for event in events)
    assert not any(isinstance(truth, OfferTruth) and truth.ts_ms < from_ms for truth in truths)
    asked = sum(len(event.slots) for event in events if isinstance(event, View))
    loop.due(from_ms + MINUTE_MS + PATIENCE_MS)
    assert loop.counts["unanswered"] >= asked > 0


def test_every_user_is_told_once(shop: Shop) -> None:
    """Before the first of their events; uplifts are those of the shop's model."""
    _, events, truths = run(shop, lambda view: [], minutes=10)
    told = Counter(truth.user_id for truth in truths if isinstance(truth, UserTruth))
    assert {event.user_id for event in events} == set(told)
    assert {1} == set(told.values())
    user = next(truth for truth in truths if isinstance(truth, UserTruth))
    number = shop.world.user_ids.index(user.user_id)
    p = shop.orders.p_order(np.array([number]))[0]
    assert p[1:] - p[0] == pytest.approx(list(user.uplift.values()), abs=1e-8)


def test_bots_come_into_the_loop() -> None:
    """Viewless ones bring exposures of another system; the others click what was decided."""
    base = load("base")
    busy = replace(base, shop=replace(base.shop, sessions_per_day=40_000.0))
    asked = Shop(changed(busy, bots_share=0.05), seed=3)
    _, events, truths = run(asked, lambda view: decisions(view, "ad-0007", "none"), minutes=12)
    bots = {truth.user_id: truth.bot for truth in truths if isinstance(truth, UserTruth) and truth.bot}
    assert {"rapid", "instant", "viewless"} == set(bots.values())
    foreign = [event for event in events if isinstance(event, Exposure) and not event.decision_id]
    assert {"viewless"} == {bots[event.user_id] for event in foreign}
    own = {bots.get(e.user_id, "person") for e in events if isinstance(e, Click) and e.decision_id}
    assert {"person", "rapid", "instant"} == own
