"""How the plain peer decides: River's FTRL, the catalogue, and the same audit record as Headrace's."""

from math import exp
from random import Random
from zlib import crc32

from river import linear_model, optim

from schemas.catalog import Ad, Entry, Promotion
from streams.bench.plain_profile import Event, Features, Request, ad_features, joined, request_features
from streams.bench.shop import Targeting
from streams.settings import Deciding


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
        self.promotions = [entry for entry in catalog if isinstance(entry, Promotion)]
        self.ads = {entry.ad_id: entry for entry in catalog if isinstance(entry, Ad)}
        self.targeting = Targeting(list(self.ads.values()))
        self.ad_features = {ad_id: ad_features(ad) for ad_id, ad in self.ads.items()}
        self.campaigns = {ad_id: ad.campaign_id for ad_id, ad in self.ads.items()}
        self.campaigns |= {each.promotion_id: each.campaign_id for each in self.promotions}

    def features(self, request: Request, of_request: Features, ad_id: str) -> Features:
        """All features of one ad for one request."""
        return joined(request, of_request, self.ads[ad_id], self.ad_features[ad_id])


class Decider:
    """Makes the decisions of all partitions."""

    def __init__(self, shop: Shop, model: Model, settings: Deciding) -> None:
        self.shop = shop
        self.model = model
        self.settings = settings
        self.random = Random(settings.salt)

    def place(self, decision_id: str, event: Event, slot: Event, request: Request) -> Event:
        """Place an ad by a floored softmax of the expected value per thousand exposures."""
        ads = self.shop.targeting.eligible(
            slot["slot_id"], event["page"], event["category"], event["device"], event["country"]
        )
        of_request = request_features(request)
        candidates = [self.shop.features(request, of_request, ad.ad_id) for ad in ads]
        p_click = [self.model.predict(features) for features in candidates]
        scores = [round(1000 * ad.bid_micros * p) for ad, p in zip(ads, p_click, strict=True)]
        best, floor = max(scores), self.settings.floor
        odds = [exp((score / best - 1) / self.settings.temperature) for score in scores]
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

    def promote(self, decision_id: str, event: Event, slot: Event) -> Event:
        """Offer each promotion, or none, with the same probability; nothing to users in the holdout."""
        user = f"{self.settings.salt}/{event['user_id']}"
        if crc32(user.encode()) < self.settings.holdout_share * 2**32:
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
                "score_micros": [],
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
