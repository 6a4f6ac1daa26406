"""From a page view's slot to a decision with its audit record."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from models.catalog import Catalog, Request
from models.hashing import stable_key
from models.placement import MILLION, OUTSIDE_FLIGHT, POLICY, REASONS, draw
from models.promotion import HOLDOUT_POLICY, NONE, is_held_out, uniform
from models.promotion import POLICY as PROMOTION_POLICY
from models.serving import ServingWeights
from schemas.decisions import Candidates, Decision, DecisionKind
from schemas.events import Slot, View
from streams.processor.output import Output, encode, message_key
from streams.processor.rankings import NO_AD, Ranking, Rankings
from streams.processor.sites import Site
from streams.settings import Deciding
from streams.state.rows import NOBODY

PAUSED_POLICY = "paused-1"
NO_CONTRIBUTIONS: dict[str, float] = {}


class Asked(Struct, frozen=True, gc=False):
    """A slot whose decision is still to be written."""

    decision_id: str
    view: View
    slot: Slot
    user: int
    site: Site
    contextual: bool
    """Nothing that is known of the user may be used."""

    @property
    def user_id(self) -> str:
        """Who asked; empty for nobody."""
        return "" if self.user == NOBODY else self.view.user_id


class Decider:
    """Makes the decisions of one partition.

    It reads rankings, catalogue and weights and changes none of them. The draw is seeded by the decision's
    identity: the same state gives the same decision.
    """

    def __init__(self, catalog: Catalog, weights: ServingWeights, output: Output, settings: Deciding) -> None:
        self.catalog = catalog
        self.weights = weights
        self.output = output
        self.settings = settings

    def ticket(self, decision_id: str) -> int:
        """What is drawn with for a decision."""
        return stable_key(f"{self.settings.salt}/{decision_id}") % MILLION

    def write(self, asked: Iterable[Asked], rankings: Rankings) -> None:
        """Write the decisions on all that was asked, now that the rankings are known."""
        ranked = rankings.all()
        for one in asked:
            ranking = next(ranked) if one.slot.kind == "ad" else None
            if self.catalog.is_paused(one.view.shop_id):
                decision = self._paused(one)
            else:
                decision = self._promotion(one) if ranking is None else self._placement(one, ranking)
            self.output.decisions.append((message_key(one.user_id), decision))

    def _placement(self, asked: Asked, ranking: Ranking) -> bytes:
        """The ad that was drawn for a slot; ``none`` where no candidate can compete."""
        ids = asked.site.ids
        rejected = _rejected(ids, ranking.reasons()) if ranking.competing < len(ids) else {}
        if ranking.chosen == NO_AD:
            return self._decision(asked, "placement", NONE, "", 1.0, POLICY, ranking.candidates, rejected)
        ad = self.catalog.live_ads[asked.site.rows[ranking.chosen]]
        return self._decision(
            asked, "placement", ad.ad_id, ad.campaign_id, ranking.propensity, POLICY, ranking.candidates,
            rejected, ad.bid_micros, ranking.p_click, ranking.logit, ranking.contributions,
        )  # fmt: skip

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
        index = draw(np.array(propensity), self.ticket(asked.decision_id))
        waiting = {promotion.promotion_id for promotion, _ in matching}.difference(ids)
        rejected = {REASONS[OUTSIDE_FLIGHT]: sorted(waiting)} if waiting else {}
        policy = HOLDOUT_POLICY if held_out else PROMOTION_POLICY
        campaign_id = running[index - 1].campaign_id if index else ""
        shares = [share / MILLION for share in propensity]
        candidates = Candidates(ids, [], [], shares)
        return self._decision(
            asked, "promotion", ids[index], campaign_id, shares[index], policy, candidates, rejected
        )

    def _paused(self, asked: Asked) -> bytes:
        """The answer of a shop that is paused: ``none`` for certain, and no candidates."""
        kind: DecisionKind = "placement" if asked.slot.kind == "ad" else "promotion"
        return self._decision(asked, kind, NONE, "", 1.0, PAUSED_POLICY, Candidates([], [], [], []), {})

    def _decision(
        self, asked: Asked, kind: DecisionKind, chosen_id: str, campaign_id: str, propensity: float,
        policy: str, candidates: Candidates, rejected: dict[str, list[str]], price_micros: int = 0,
        p_click: float = 0.0, logit: float = 0.0, contributions: dict[str, float] = NO_CONTRIBUTIONS,
    ) -> bytes:  # fmt: skip
        view, slot = asked.view, asked.slot
        return encode(
            Decision(
                asked.decision_id, kind, view.ts_ms, view.shop_id, asked.user_id, view.event_id, slot.slot_id,
                slot.position, view.page, chosen_id, campaign_id, propensity, policy, self.weights.version,
                price_micros, p_click, logit, candidates, rejected, contributions,
                "contextual" if asked.contextual else "personal",
            )
        )  # fmt: skip


def _rejected(ids: list[str], reasons: list[int]) -> dict[str, list[str]]:
    return {
        name: [ids[i] for i, reason in enumerate(reasons) if reason == code]
        for code, name in REASONS.items()
        if code in reasons
    }
