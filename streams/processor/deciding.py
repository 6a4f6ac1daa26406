"""From a page view's slot to a decision with its audit record."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.catalog import Catalog, Request
from models.features import CONTEXT, FEATURES, context_buckets, join_buckets
from models.hashing import stable_key
from models.placement import MILLION, OUTSIDE_FLIGHT, POLICY, REASONS, draw, place
from models.promotion import HOLDOUT_POLICY, NONE, is_held_out, uniform
from models.promotion import POLICY as PROMOTION_POLICY
from models.serving import ServingWeights
from schemas.events import Slot, View
from streams.processor.output import encode
from streams.processor.sites import Site, Sites
from streams.settings import Deciding
from streams.state.pool import Pool

PAUSED_POLICY = "paused-1"
MAX_CANDIDATES = 4096
"""Ads that one request may match; those behind, by ``ad_id``, are not looked at."""


class Scores(NamedTuple):
    """What the ranking kernel says of each candidate; see ``models.placement.rank``."""

    p_click: npt.NDArray[np.float64]
    ecpm_micros: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.int64]
    propensity: npt.NDArray[np.float64]


class Decider:
    """Makes the decisions of one partition.

    It reads profiles, catalogue and weights and changes none of them. The draw is seeded by the
    decision's identity: the same state gives the same decision.
    """

    def __init__(self, profiles: Pool, catalog: Catalog, weights: ServingWeights, settings: Deciding) -> None:
        self.profiles = profiles
        self.catalog = catalog
        self.weights = weights
        self.settings = settings
        self.sites = Sites(catalog)
        self._context = np.zeros(len(CONTEXT), np.uint32)
        self._buckets = np.zeros(len(FEATURES), np.uint32)
        self._shares = np.zeros(len(FEATURES))
        self._scores: dict[int, Scores] = {}

    def context(
        self, site: Site, position: int, ts_ms: int, user: int, profile: int
    ) -> npt.NDArray[np.uint32]:
        """Context buckets of a request (or of an exposure that stands for one); valid until the next call.

        ``user`` is the user's key, ``profile`` the slot of the user's row.
        """
        context_buckets(
            self.profiles.rows, profile, site.words, position, user, ts_ms, self.catalog.mask, self._context
        )
        return self._context

    def example_buckets(self, context: np.ndarray, shop_id: str, ad_id: str) -> np.ndarray | None:
        """All buckets of a context with an ad, valid until the next call; None if the ad is not live."""
        row = self.catalog.ad_row(shop_id, ad_id)
        if row is None:
            return None
        join_buckets(context, self.catalog.ads, row, self.catalog.mask, self._buckets)
        return self._buckets

    def placement(
        self, decision_id: str, view: View, slot: Slot, site: Site, context: npt.NDArray[np.uint32]
    ) -> bytes:
        """Choose an ad for a slot; ``none`` where no candidate can compete, or while the shop is paused."""
        if self.catalog.is_paused(view.shop_id):
            return self._paused("placement", decision_id, view, slot)
        settings, catalog, weights = self.settings, self.catalog, self.weights
        ids, rows = site.ids[:MAX_CANDIDATES], site.rows[:MAX_CANDIDATES]
        scores = self._scores.get(len(ids)) or self._new_scores(len(ids))
        p_click, ecpm_micros, reasons, propensity = scores
        chosen, competing = place(
            weights.table, context, site.ads, rows, view.ts_ms, catalog.mask, settings.shortlist,
            settings.temperature, settings.floor, self._ticket(decision_id),
            p_click, ecpm_micros, reasons, propensity, self._shares,
        )  # fmt: skip
        if chosen < 0:
            chosen_id, campaign_id, price_micros = NONE, "", 0
            chance, p_chosen, shares = 1.0, 0.0, []
        else:
            ad = catalog.live_ads[rows[chosen]]
            shares = self._shares.tolist()
            chosen_id, campaign_id, price_micros = ad.ad_id, ad.campaign_id, ad.bid_micros
            chance, p_chosen = float(propensity[chosen]), float(p_click[chosen])
        return encode(
            {
                "decision_id": decision_id,
                "kind": "placement",
                "ts_ms": view.ts_ms,
                "shop_id": view.shop_id,
                "user_id": view.user_id,
                "event_id": view.event_id,
                "slot_id": slot.slot_id,
                "position": slot.position,
                "page": view.page,
                "chosen_id": chosen_id,
                "campaign_id": campaign_id,
                "propensity": chance,
                "policy": POLICY,
                "model_version": weights.version,
                "price_micros": price_micros,
                "p_click": p_chosen,
                "logit": sum(shares),
                "candidates": {
                    "ids": ids,
                    "p_click": p_click,
                    "score_micros": ecpm_micros,
                    "propensity": propensity,
                },
                "rejected": _rejected(ids, reasons) if competing < len(ids) else {},
                "contributions": dict(zip(FEATURES, shares, strict=False)),
            }
        )

    def promotion(self, decision_id: str, view: View, slot: Slot, user: int) -> bytes:
        """Choose a promotion, or none, for a slot."""
        if self.catalog.is_paused(view.shop_id):
            return self._paused("promotion", decision_id, view, slot)
        held_out = is_held_out(user, self.settings.holdout_share, self.settings.salt)
        request = Request(view.shop_id, slot.slot_id, view.page, view.category)
        matching = self.catalog.promotions(request)
        running = [
            promotion
            for promotion, campaign in matching
            if campaign.start_ms <= view.ts_ms and (not campaign.end_ms or view.ts_ms < campaign.end_ms)
        ]
        ids = [NONE, *(promotion.promotion_id for promotion in running)]
        propensity = [MILLION] + [0] * len(running) if held_out else uniform(len(ids))
        index = draw(np.array(propensity), self._ticket(decision_id))
        waiting = {promotion.promotion_id for promotion, _ in matching}.difference(ids)
        rejected = {REASONS[OUTSIDE_FLIGHT]: sorted(waiting)} if waiting else {}
        return encode(
            {
                "decision_id": decision_id,
                "kind": "promotion",
                "ts_ms": view.ts_ms,
                "shop_id": view.shop_id,
                "user_id": view.user_id,
                "event_id": view.event_id,
                "slot_id": slot.slot_id,
                "position": slot.position,
                "page": view.page,
                "chosen_id": ids[index],
                "campaign_id": running[index - 1].campaign_id if index else "",
                "propensity": propensity[index] / MILLION,
                "policy": HOLDOUT_POLICY if held_out else PROMOTION_POLICY,
                "model_version": self.weights.version,
                "price_micros": 0,
                "p_click": 0.0,
                "logit": 0.0,
                "candidates": {
                    "ids": ids,
                    "p_click": [],
                    "score_micros": [],
                    "propensity": [share / MILLION for share in propensity],
                },
                "rejected": rejected,
                "contributions": {},
            }
        )

    def _paused(self, kind: str, decision_id: str, view: View, slot: Slot) -> bytes:
        """The answer of a shop that is paused: ``none`` for certain, without a look at model or catalogue."""
        return encode(
            {
                "decision_id": decision_id,
                "kind": kind,
                "ts_ms": view.ts_ms,
                "shop_id": view.shop_id,
                "user_id": view.user_id,
                "event_id": view.event_id,
                "slot_id": slot.slot_id,
                "position": slot.position,
                "page": view.page,
                "chosen_id": NONE,
                "campaign_id": "",
                "propensity": 1.0,
                "policy": PAUSED_POLICY,
                "model_version": self.weights.version,
                "price_micros": 0,
                "p_click": 0.0,
                "logit": 0.0,
                "candidates": {"ids": [], "p_click": [], "score_micros": [], "propensity": []},
                "rejected": {},
                "contributions": {},
            }
        )

    def _ticket(self, decision_id: str) -> int:
        return stable_key(f"{self.settings.salt}/{decision_id}") % MILLION

    def _new_scores(self, count: int) -> Scores:
        """Arrays for that many candidates, to be used again and again."""
        scores = self._scores[count] = Scores(
            np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)
        )
        return scores


def _rejected(ids: list[str], reasons: np.ndarray) -> dict[str, list[str]]:
    return {
        name: [ids[i] for i in np.flatnonzero(reasons == code)]
        for code, name in REASONS.items()
        if (reasons == code).any()
    }
