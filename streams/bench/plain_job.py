"""Headrace's job in the straightforward Python of a good engineer, with River; what the plain Faust app runs.

It decides, joins and accounts as Headrace does. It does less elsewhere, all of it in its favour: no
conversion model, no examples, no dead letters, no refunds, currencies or time zones; the click model and the
known event ids are in memory only; what waits for a partner that never comes is kept for ever.
"""

from collections.abc import Iterator, MutableMapping
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import Any, NamedTuple

from schemas.topics import DECISIONS, OUTCOMES
from streams.bench.plain_deciding import Decider
from streams.bench.plain_profile import (
    Event,
    Features,
    Profile,
    Request,
    advance,
    count,
    like,
    new_profile,
    request_features,
    request_of,
)
from streams.settings import Processing

VIEW_WEIGHT, CLICK_WEIGHT, PURCHASE_WEIGHT = 1.0, 3.0, 10.0  # what each adds to a category's affinity

Result = tuple[str, Event]
"""A topic, and a record for it."""


class Tables(NamedTuple):
    """The state that survives a crash: Faust's tables, or dictionaries in a test.

    All partitions share them. Values are plain JSON; one that has changed is assigned again, which is what
    makes Faust log it.
    """

    profiles: MutableMapping[str, Profile]
    """By user."""
    requests: MutableMapping[str, Request]
    """What was known when an ad was asked for, by decision."""
    exposures: MutableMapping[str, dict[str, Any]]
    """What was shown and not yet clicked, by what its click will name."""
    early_clicks: MutableMapping[str, dict[str, Any]]
    """Clicks that came before their exposure, by what they name."""
    clicks: MutableMapping[str, list[dict[str, Any]]]
    """Clicks that may earn an order, by user."""
    orders: MutableMapping[str, dict[str, Any]]
    """Orders that wait for the clicks before them, by ``purchases-<partition>-<offset>``."""


class Job:
    """The whole job over one partition, going on from what the tables hold of it."""

    def __init__(self, partition: int, tables: Tables, decider: Decider, processing: Processing) -> None:
        self.partition = partition
        self.tables = tables
        self.decider = decider
        self.lateness_ms = int(processing.lateness_s * 1000)
        self.click_window_ms = int(processing.click_window_s * 1000)
        self.attribution_window_ms = int(processing.attribution_window_s * 1000)
        self.seen: set[str] = set()
        self.exposures_due = [
            (self._exposure_due_ms(exposure), identity)
            for identity, exposure in tables.exposures.items()
            if exposure["shown"]["exposure_id"].startswith(f"views-{partition}-")
        ]
        self.orders_due = [
            (self._order_due_ms(order), cause)
            for cause, order in tables.orders.items()
            if cause.startswith(f"purchases-{partition}-")
        ]
        heapify(self.exposures_due)
        heapify(self.orders_due)

    def handle(self, event: Event, offset: int) -> Iterator[Result]:
        """Take one event; yields the decisions that it asks for and the outcomes that it brings about."""
        if event["event_id"] in self.seen:
            return
        self.seen.add(event["event_id"])
        user_id = event["user_id"]
        profile = self.tables.profiles.get(user_id)
        if profile is None:
            profile = new_profile(event["ts_ms"])
        advance(profile, event["ts_ms"])
        match event["type"]:
            case "view":
                yield from self._view(event, offset, profile)
            case "exposure":
                yield from self._exposure(event, offset, profile)
            case "click":
                yield from self._click(event, offset, profile)
            case "purchase":
                self._purchase(event, offset, profile)
        self.tables.profiles[user_id] = profile

    def _view(self, event: Event, offset: int, profile: Profile) -> Iterator[Result]:
        yield from self._pass_time(event["ts_ms"])
        profile["session_views"] += 1
        count(profile, "views")
        like(profile, event.get("category", ""), event.get("price_micros", 0), VIEW_WEIGHT)
        for index, slot in enumerate(event.get("slots", ())):
            decision_id = f"views-{self.partition}-{offset}-{index}"
            if slot.get("kind", "ad") == "ad":
                request = self.tables.requests[decision_id] = request_of(event, slot, profile)
                yield DECISIONS.name, self.decider.place(decision_id, event, slot, request)
            else:
                yield DECISIONS.name, self.decider.promote(decision_id, event, slot)

    def _exposure(self, event: Event, offset: int, profile: Profile) -> Iterator[Result]:
        yield from self._pass_time(event["ts_ms"])
        decision_id, ad_id = event.get("decision_id", ""), event.get("ad_id", "")
        promotion_id = event.get("promotion_id", "")
        count(profile, "exposures")
        if decision_id:
            count(profile, "own_exposures")
        exposure = {
            "ts_ms": event["ts_ms"],
            "shown": {
                "shop_id": event.get("shop_id", "main"),
                "decision_id": decision_id,
                "exposure_id": f"views-{self.partition}-{offset}",
                "user_id": event["user_id"],
                "ad_id": ad_id,
                "promotion_id": promotion_id,
                "campaign_id": self.decider.shop.campaigns[ad_id or promotion_id],
            },
            "features": self._features_of(event, profile) if ad_id else {},
        }
        yield _outcome(
            "exposure", exposure["shown"]["exposure_id"], event["ts_ms"], exposure["shown"],
            slot_id=event["slot_id"], position=event.get("position", 0),
            propensity=event.get("propensity", 0.0),
        )  # fmt: skip
        identity = decision_id or event["event_id"]
        click = self.tables.early_clicks.pop(identity, None)
        if click is not None and self._in_window(exposure, click):
            yield self._join(exposure, click)
        else:
            self.tables.exposures[identity] = exposure
            heappush(self.exposures_due, (self._exposure_due_ms(exposure), identity))

    def _click(self, event: Event, offset: int, profile: Profile) -> Iterator[Result]:
        count(profile, "clicks")
        like(profile, event.get("category", ""), event.get("price_micros", 0), CLICK_WEIGHT)
        if event.get("decision_id"):
            count(profile, "own_clicks")
        if event["kind"] in ("ad", "promotion"):
            identity = event.get("decision_id") or event["exposure_id"]
            click = {"ts_ms": event["ts_ms"], "cause": f"clicks-{self.partition}-{offset}"}
            exposure = self.tables.exposures.get(identity)
            if exposure is None:
                self.tables.early_clicks[identity] = click
            elif self._in_window(exposure, click):
                del self.tables.exposures[identity]
                yield self._join(exposure, click)

    def _purchase(self, event: Event, offset: int, profile: Profile) -> None:
        profile["last_purchase_ms"] = event["ts_ms"]
        count(profile, "purchases")
        count(profile, "spend", event["amount_micros"])
        for line in event["lines"]:
            like(profile, line.get("category", ""), line["unit_price_micros"], PURCHASE_WEIGHT)
        cause = f"purchases-{self.partition}-{offset}"
        order = self.tables.orders[cause] = {
            "ts_ms": event["ts_ms"],
            "user_id": event["user_id"],
            "order_id": event["order_id"],
            "revenue_micros": event["amount_micros"],
        }
        heappush(self.orders_due, (self._order_due_ms(order), cause))

    def _pass_time(self, now_ms: int) -> Iterator[Result]:
        """Do what is due before ``now_ms``.

        Time is that of `views`: Faust reads the topics as they come, and the two small ones run far ahead.
        """
        while self.orders_due and self.orders_due[0][0] < now_ms:
            _, cause = heappop(self.orders_due)
            order = self.tables.orders.pop(cause, None)
            if order is not None:
                yield from self._attribute(order, cause)
        while self.exposures_due and self.exposures_due[0][0] < now_ms:
            _, identity = heappop(self.exposures_due)
            exposure = self.tables.exposures.pop(identity, None)
            if exposure is not None:
                self._learn(exposure, clicked=False)

    def _join(self, exposure: dict[str, Any], click: dict[str, Any]) -> Result:
        """A click and its exposure are both here: a positive example, which may earn an order."""
        self._learn(exposure, clicked=True)
        shown, ts_ms = exposure["shown"], click["ts_ms"]
        # An order that is still to be attributed is at most so much older than what is shown now.
        oldest_ms = exposure["ts_ms"] - self.lateness_ms - self.attribution_window_ms
        earlier = self.tables.clicks.get(shown["user_id"], ())
        self.tables.clicks[shown["user_id"]] = [
            *(each for each in earlier if each["ts_ms"] >= oldest_ms),
            {"ts_ms": ts_ms, "shown": shown},
        ]
        return _outcome("click", click["cause"], ts_ms, shown, delay_ms=ts_ms - exposure["ts_ms"])

    def _attribute(self, order: dict[str, Any], cause: str) -> Iterator[Result]:
        """Attribute an order to the user's last click before it inside the window, if there is one."""
        ts_ms = order["ts_ms"]
        earning = [
            click
            for click in self.tables.clicks.get(order["user_id"], ())
            if 0 <= ts_ms - click["ts_ms"] <= self.attribution_window_ms
        ]
        if earning:
            click = max(earning, key=itemgetter("ts_ms"))
            yield _outcome(
                "purchase", cause, ts_ms, click["shown"], delay_ms=ts_ms - click["ts_ms"],
                revenue_micros=order["revenue_micros"], order_id=order["order_id"],
            )  # fmt: skip

    def _features_of(self, exposure: Event, profile: Profile) -> Features:
        """Features of the ad shown, as they were when we decided, or now for another system's choice."""
        request = self.tables.requests.pop(exposure.get("decision_id", ""), None)
        if request is None:
            request = request_of(exposure, exposure, profile)
        return self.decider.shop.features(request, request_features(request), exposure["ad_id"])

    def _learn(self, exposure: dict[str, Any], clicked: bool) -> None:
        if exposure["features"]:
            self.decider.model.learn(exposure["features"], clicked)

    def _in_window(self, exposure: dict[str, Any], click: dict[str, Any]) -> bool:
        delay_ms: int = click["ts_ms"] - exposure["ts_ms"]
        return 0 <= delay_ms <= self.click_window_ms

    def _exposure_due_ms(self, exposure: dict[str, Any]) -> int:
        return int(exposure["ts_ms"]) + self.click_window_ms + self.lateness_ms

    def _order_due_ms(self, order: dict[str, Any]) -> int:
        return int(order["ts_ms"]) + self.lateness_ms


def _outcome(kind: str, cause: str, ts_ms: int, shown: dict[str, str], **fields: str | float) -> Result:
    """The record that ``schemas.outcomes.Outcome`` describes."""
    outcome = {
        "outcome_id": f"{kind}-{cause}",
        "kind": kind,
        "ts_ms": ts_ms,
        **shown,
        "slot_id": "",
        "position": 0,
        "propensity": 0.0,
        "revenue_micros": 0,
        "delay_ms": 0,
        "order_id": "",
        "invalid": "",
    }
    return OUTCOMES.name, outcome | fields
