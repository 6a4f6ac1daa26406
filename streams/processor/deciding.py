"""From a page view's slot to a decision with its audit record."""

from typing import NamedTuple

import numpy as np

from models.catalog import Catalog, Request
from models.hashing import stable_key
from models.placement import MILLION, OUTSIDE_FLIGHT, POLICY, REASONS, SHARES, draw
from models.promotion import HOLDOUT_POLICY, NONE, is_held_out, uniform
from models.promotion import POLICY as PROMOTION_POLICY
from models.serving import ServingWeights
from schemas.decisions import Candidates, Decision, DecisionKind
from schemas.events import Slot, View
from streams.processor.output import Output, encode, message_key
from streams.processor.sites import Site
from streams.processor.tape import NOTHING, Tape
from streams.settings import Deciding
from streams.state.rows import NOBODY

PAUSED_POLICY = "paused-1"
NO_CONTRIBUTIONS: dict[str, float] = {}


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
        ranking = self.tape.ranking(asked.ranking)
        chosen, competing, p_click, ecpm_micros, reasons, propensity, shares = ranking
        candidates = Candidates(ids, p_click, ecpm_micros, propensity)
        rejected = _rejected(ids, reasons) if competing < len(ids) else {}
        if chosen == NOTHING:
            return self._decision(asked, "placement", NONE, "", 1.0, POLICY, candidates, rejected)
        ad = self.catalog.live_ads[asked.site.rows[chosen]]
        return self._decision(
            asked, "placement", ad.ad_id, ad.campaign_id, propensity[chosen], POLICY, candidates, rejected,
            ad.bid_micros, p_click[chosen], sum(shares), dict(zip(SHARES, shares, strict=True)),
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
        index = draw(np.array(propensity), self._ticket(asked.decision_id))
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
        kind: DecisionKind = "promotion" if asked.ranking == NOTHING else "placement"
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

    def _ticket(self, decision_id: str) -> int:
        return stable_key(f"{self.settings.salt}/{decision_id}") % MILLION


def _rejected(ids: list[str], reasons: list[int]) -> dict[str, list[str]]:
    return {
        name: [ids[i] for i, reason in enumerate(reasons) if reason == code]
        for code, name in REASONS.items()
        if code in reasons
    }
