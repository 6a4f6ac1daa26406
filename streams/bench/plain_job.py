"""Headrace's job in the straightforward Python of a good engineer, with River; what the plain Faust app runs.

It does less than Headrace: no outcomes, no conversion model, no dead letters, no time zones, and its state is
plain dictionaries that are neither bounded nor kept for a restart. All of that is in its favour.
"""

from collections import deque
from collections.abc import Iterator
from math import exp
from random import Random
from zlib import crc32

from river import linear_model, optim

from schemas.catalog import Ad, Entry, Promotion
from streams.bench.plain_profile import Context, Event, Features, Profile, ad_features, context_of, joined
from streams.bench.shop import Targeting
from streams.settings import Deciding

VIEW_WEIGHT, CLICK_WEIGHT, PURCHASE_WEIGHT = 1.0, 3.0, 10.0  # what each adds to a category's affinity


class Model:
    """River's FTRL for the click probability, with the features of Headrace as strings."""

    def __init__(self) -> None:
        self.river = linear_model.LogisticRegression(optimizer=optim.FTRLProximal())
        self.learned = 0

    def predict(self, features: Features) -> float:
        return float(self.river.predict_proba_one(features)[True])

    def learn(self, features: Features, clicked: bool) -> None:
        self.river.learn_one(features, clicked)
        self.learned += 1

    def contributions(self, features: Features) -> dict[str, float]:
        """Share of each feature in the logit; they sum to it."""
        weights = self.river.weights
        return {name: weights.get(name, 0.0) for name in features} | {"intercept": self.river.intercept}


class Shop:
    """The catalogue with what can be prepared: the targeting index and every ad's own features."""

    def __init__(self, catalog: list[Entry]) -> None:
        ads = [entry for entry in catalog if isinstance(entry, Ad)]
        self.targeting = Targeting(ads)
        self.promotions = [entry for entry in catalog if isinstance(entry, Promotion)]
        self.ads = {ad.ad_id: ad for ad in ads}
        self.ad_features = {ad.ad_id: ad_features(ad) for ad in ads}

    def features(self, context: Context, ad_id: str) -> Features:
        """All features of one ad in one context."""
        return joined(context, self.ads[ad_id], self.ad_features[ad_id])


class Job:
    """The whole job over one partition; the model and the shop are shared by all of them."""

    def __init__(self, shop: Shop, model: Model, deciding: Deciding, click_window_ms: int) -> None:
        self.shop = shop
        self.model = model
        self.deciding = deciding
        self.click_window_ms = click_window_ms
        self.random = Random(deciding.salt)
        self.profiles: dict[str, Profile] = {}
        self.seen: set[str] = set()
        self.requests: dict[str, Context] = {}
        self.exposures: dict[str, Features] = {}
        self.early_clicks: set[str] = set()
        self.windows: deque[tuple[int, str]] = deque()

    def handle(self, event: Event, partition: int, offset: int) -> Iterator[Event]:
        """Take one event; yields the decisions that it asks for."""
        if event["event_id"] in self.seen:
            return
        self.seen.add(event["event_id"])
        profile = self.profiles.get(event["user_id"])
        if profile is None:
            profile = self.profiles[event["user_id"]] = Profile(event["ts_ms"])
        profile.advance(event["ts_ms"])
        match event["type"]:
            case "view":
                yield from self._view(event, profile, partition, offset)
            case "exposure":
                self._exposure(event, profile)
            case "click":
                self._click(event, profile)
            case "purchase":
                self._purchase(event, profile)

    def _view(self, event: Event, profile: Profile, partition: int, offset: int) -> Iterator[Event]:
        self._close_windows(event["ts_ms"])
        profile.session_views += 1
        profile.count("views")
        profile.like(event.get("category", ""), event.get("price_micros", 0), VIEW_WEIGHT)
        for index, slot in enumerate(event.get("slots", ())):
            decision_id = f"views-{partition}-{offset}-{index}"
            if slot.get("kind", "ad") == "ad":
                yield self._place(decision_id, event, slot, profile)
            else:
                yield self._promote(decision_id, event, slot)

    def _exposure(self, event: Event, profile: Profile) -> None:
        self._close_windows(event["ts_ms"])
        profile.count("exposures")
        decision_id = event.get("decision_id")
        if decision_id:
            profile.count("own_exposures")
        ad_id = event.get("ad_id")
        if not ad_id:
            return
        context = self.requests.pop(decision_id, None) if decision_id else None
        features = self.shop.features(context or context_of(event, event, profile), ad_id)
        identity = decision_id or event["event_id"]
        if identity in self.early_clicks:
            self.early_clicks.remove(identity)
            self.model.learn(features, True)
        else:
            self.exposures[identity] = features
            self.windows.append((event["ts_ms"] + self.click_window_ms, identity))

    def _click(self, event: Event, profile: Profile) -> None:
        profile.count("clicks")
        profile.like(event.get("category", ""), event.get("price_micros", 0), CLICK_WEIGHT)
        if event.get("decision_id"):
            profile.count("own_clicks")
        if event["kind"] == "ad":
            identity = event.get("decision_id") or event["exposure_id"]
            features = self.exposures.pop(identity, None)
            if features is None:
                self.early_clicks.add(identity)
            else:
                self.model.learn(features, True)

    def _purchase(self, event: Event, profile: Profile) -> None:
        profile.last_purchase_ms = event["ts_ms"]
        profile.count("purchases")
        profile.count("spend", event["amount_micros"])
        for line in event["lines"]:
            profile.like(line.get("category", ""), line["unit_price_micros"], PURCHASE_WEIGHT)

    def _close_windows(self, now_ms: int) -> None:
        """What was shown and not clicked within the window is a negative example."""
        while self.windows and self.windows[0][0] <= now_ms:
            features = self.exposures.pop(self.windows.popleft()[1], None)
            if features is not None:
                self.model.learn(features, False)

    def _place(self, decision_id: str, event: Event, slot: Event, profile: Profile) -> Event:
        """Place an ad by a floored softmax of the expected value per thousand exposures."""
        ads = self.shop.targeting.eligible(
            slot["slot_id"], event["page"], event["category"], event["device"], event["country"]
        )
        context = self.requests[decision_id] = context_of(event, slot, profile)
        candidates = [self.shop.features(context, ad.ad_id) for ad in ads]
        p_click = [self.model.predict(features) for features in candidates]
        scores = [round(1000 * ad.bid_micros * p) for ad, p in zip(ads, p_click, strict=True)]
        best, floor = max(scores), self.deciding.floor
        odds = [exp((score / best - 1) / self.deciding.temperature) for score in scores]
        total = sum(odds)
        propensity = [(1 - floor) * each / total + floor / len(ads) for each in odds]
        chosen = self.random.choices(range(len(ads)), propensity)[0]
        contributions = self.model.contributions(candidates[chosen])
        return _decision(decision_id, "placement", event, slot) | {
            "chosen_id": ads[chosen].ad_id,
            "campaign_id": ads[chosen].campaign_id,
            "propensity": propensity[chosen],
            "policy": "softmax-ecpm-1",
            "model_version": self.model.learned,
            "price_micros": ads[chosen].bid_micros,
            "p_click": p_click[chosen],
            "logit": sum(contributions.values()),
            "candidates": {
                "ids": [ad.ad_id for ad in ads],
                "p_click": p_click,
                "score_micros": scores,
                "propensity": propensity,
            },
            "rejected": {},
            "contributions": contributions,
        }

    def _promote(self, decision_id: str, event: Event, slot: Event) -> Event:
        """Offer each promotion, or none, with the same probability; nothing to users in the holdout."""
        user = f"{self.deciding.salt}/{event['user_id']}"
        if crc32(user.encode()) < self.deciding.holdout_share * 2**32:
            promotions, policy = [], "holdout-1"
        else:
            promotions, policy = self.shop.promotions, "uniform-1"
        campaigns = {"none": ""} | {each.promotion_id: each.campaign_id for each in promotions}
        ids = list(campaigns)
        chosen_id = self.random.choice(ids)
        return _decision(decision_id, "promotion", event, slot) | {
            "chosen_id": chosen_id,
            "campaign_id": campaigns[chosen_id],
            "propensity": 1 / len(ids),
            "policy": policy,
            "model_version": self.model.learned,
            "price_micros": 0,
            "p_click": 0.0,
            "logit": 0.0,
            "candidates": {
                "ids": ids,
                "p_click": [],
                "score_micros": [0] * len(ids),
                "propensity": [1 / len(ids)] * len(ids),
            },
            "rejected": {},
            "contributions": {},
        }


def _decision(decision_id: str, kind: str, event: Event, slot: Event) -> Event:
    return {
        "decision_id": decision_id,
        "kind": kind,
        "ts_ms": event["ts_ms"],
        "shop_id": event.get("shop_id", "main"),
        "user_id": event["user_id"],
        "event_id": event["event_id"],
        "slot_id": slot["slot_id"],
        "position": slot.get("position", 0),
        "page": event["page"],
    }
