"""From a page view's slot to a decision with its audit record."""

from typing import Any, NamedTuple

import numpy as np

from models.catalog import Catalog, Request
from models.hashing import stable_key
from models.placement import MILLION, OUTSIDE_FLIGHT, POLICY, REASONS, SHARES, draw
from models.promotion import HOLDOUT_POLICY, NONE, is_held_out, uniform
from models.promotion import POLICY as PROMOTION_POLICY
from models.serving import ServingWeights
from schemas.events import Slot, View
from streams.processor.output import Output, encode, message_key
from streams.processor.sites import Site
from streams.processor.tape import NOTHING, Tape
from streams.settings import Deciding
from streams.state.rows import NOBODY

PAUSED_POLICY = "paused-1"


class Asked(NamedTuple):
    """A slot whose decision is still to be written."""

    decision_id: str
    view: View
    slot: Slot
    user: int
    site: Site
    ranking: int
    """Its number on the tape; ``NOTHING`` where a promotion was asked for."""
    contextual: bool
    """Nothing that is known of the user may be used."""

    @property
    def user_id(self) -> str:
        """Who asked; empty for nobody."""
        return "" if self.user == NOBODY else self.view.user_id


class Decider:
    """Makes the decisions of one partition.

    It reads the tape's rankings, catalogue and weights and changes none of them. The draw is seeded by the
    decision's identity: the same state gives the same decision.
    """

    def __init__(
        self, tape: Tape, catalog: Catalog, weights: ServingWeights, output: Output, settings: Deciding
    ) -> None:
        self.tape = tape
        self.catalog = catalog
        self.weights = weights
        self.output = output
        self.settings = settings
        self._asked: list[Asked] = []

    def asked(
        self, decision_id: str, view: View, slot: Slot, site: Site, profile: int, request: int, user: int
    ) -> None:
        """A slot asks for a decision: note what has to be computed for it.

        ``profile`` and ``request`` are the rows of the user and of what is known at the request. Without a
        profile (``NOTHING``) the decision is contextual.
        """
        contextual = profile == NOTHING
        ticket = self._ticket(decision_id) if slot.kind == "ad" else NOTHING
        key = NOBODY if contextual else user
        ranking = self.tape.request(profile, view.ts_ms, request, site, slot.position, key, ticket)
        self._asked.append(Asked(decision_id, view, slot, user, site, ranking, contextual))

    def write(self) -> None:
        """Write the decisions on all that was asked, now that the rankings are known."""
        for asked in self._asked:
            if self.catalog.is_paused(asked.view.shop_id):
                decision = self._paused(asked)
            else:
                decision = self._promotion(asked) if asked.ranking == NOTHING else self._placement(asked)
            self.output.decisions.append((message_key(asked.user_id), decision))
        self._asked.clear()

    def _placement(self, asked: Asked) -> bytes:
        """The ad that was drawn for a slot; ``none`` where no candidate can compete."""
        ids = asked.site.ids
        chosen, competing, p_click, ecpm_micros, reasons, propensity, all_shares = self.tape.ranking(
            asked.ranking
        )
        if chosen == NOTHING:
            chosen_id, campaign_id, price_micros = NONE, "", 0
            chance, p_chosen, shares = 1.0, 0.0, []
        else:
            ad = self.catalog.live_ads[asked.site.rows[chosen]]
            shares = all_shares.tolist()
            chosen_id, campaign_id, price_micros = ad.ad_id, ad.campaign_id, ad.bid_micros
            chance, p_chosen = float(propensity[chosen]), float(p_click[chosen])
        return encode(
            {
                **_asker(asked, "placement"),
                "chosen_id": chosen_id,
                "campaign_id": campaign_id,
                "propensity": chance,
                "policy": POLICY,
                "model_version": self.weights.version,
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
                "contributions": dict(zip(SHARES, shares, strict=False)),
            }
        )

    def _promotion(self, asked: Asked) -> bytes:
        """Choose a promotion, or none, for a slot."""
        view = asked.view
        # Who is held out stays so without personalisation: that is drawn, and goes by nothing that is known.
        # Nobody in particular cannot stay anything, and is no part of the experiment.
        held_out = asked.user != NOBODY and is_held_out(
            asked.user, self.settings.holdout_share, self.settings.salt
        )
        request = Request(view.shop_id, asked.slot.slot_id, view.page, view.category)
        matching = self.catalog.promotions(request)
        running = [
            promotion
            for promotion, campaign in matching
            if campaign.start_ms <= view.ts_ms and (not campaign.end_ms or view.ts_ms < campaign.end_ms)
        ]
        ids = [NONE, *(promotion.promotion_id for promotion in running)]
        propensity = [MILLION] + [0] * len(running) if held_out else uniform(len(ids))
        index = draw(np.array(propensity), self._ticket(asked.decision_id))
        waiting = {promotion.promotion_id for promotion, _ in matching}.difference(ids)
        rejected = {REASONS[OUTSIDE_FLIGHT]: sorted(waiting)} if waiting else {}
        return encode(
            {
                **_asker(asked, "promotion"),
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

    def _paused(self, asked: Asked) -> bytes:
        """The answer of a shop that is paused: ``none`` for certain, and no candidates."""
        kind = "promotion" if asked.ranking == NOTHING else "placement"
        return encode(
            {
                **_asker(asked, kind),
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


def _asker(asked: Asked, kind: str) -> dict[str, Any]:
    """The fields of a decision that say what it answers."""
    view, slot = asked.view, asked.slot
    return {
        "decision_id": asked.decision_id,
        "kind": kind,
        "ts_ms": view.ts_ms,
        "shop_id": view.shop_id,
        "user_id": asked.user_id,
        "event_id": view.event_id,
        "slot_id": slot.slot_id,
        "position": slot.position,
        "page": view.page,
        "basis": "contextual" if asked.contextual else "personal",
    }


def _rejected(ids: list[str], reasons: np.ndarray) -> dict[str, list[str]]:
    return {
        name: [ids[i] for i in np.flatnonzero(reasons == code)]
        for code, name in REASONS.items()
        if (reasons == code).any()
    }
