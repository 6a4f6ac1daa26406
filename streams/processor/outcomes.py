"""What became of decisions, and what is to be learned from it, as records."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from models.catalog import Catalog
from models.hashing import stable_key
from schemas.events import Event
from schemas.outcomes import Invalid, Outcome
from streams.processor.consent import NOBODY_SUFFIX
from streams.processor.examples import ID_AT
from streams.processor.output import Output, encode, message_key
from streams.processor.records import (
    CLICKED,
    CLICKER_ROW,
    CREDITED,
    EVENT,
    EXPOSED,
    ORDER_ROW,
    ORDERED,
    REFUNDED,
    UNFOUNDED,
    Records,
    Told,
)
from streams.state.partition import PartitionState
from streams.state.rows import NO_OFFSET, NOBODY

SAMPLE_SEED = 1
"""Of the hash that samples negatives: the challenger's sample must not depend on it."""
INVALID: tuple[Invalid, ...] = (
    "", "impossible_timing", "rate", "no_exposure", "no_decision", "repeated", "no_page_view",
)  # fmt: skip
"""By the codes of ``streams.processor.records``."""
KINDS: dict[int, Literal["click", "purchase", "refund", "credit"]] = {
    CLICKED: "click", UNFOUNDED: "click", ORDERED: "purchase", REFUNDED: "refund", CREDITED: "credit",
}  # fmt: skip


class Seen(Struct, frozen=True, gc=False):
    """An event of the run that is under way."""

    event: Event
    offset: int
    user: int
    """Its key; ``NOBODY`` where nothing of the user is to be kept."""

    @property
    def user_id(self) -> str:
        """Empty for nobody."""
        return "" if self.user == NOBODY else self.event.user_id


class Outcomes:
    """Writes the outcomes and examples of one partition.

    Names are made of a partition and an offset. A row that `headrace repartition` has moved says in its
    ``origin`` which partition that is: 0 is this one, else its number + 1.
    """

    def __init__(
        self, partition: int, catalog: Catalog, state: PartitionState, output: Output,
        negative_sample: float = 1.0,
    ) -> None:  # fmt: skip
        self.partition = partition
        self.catalog = catalog
        self.state = state
        self.output = output
        self.negative_weight = 1.0 / negative_sample
        self._negatives_below = math.ceil(negative_sample * 2**63)

    def partition_of(self, origin: int) -> int:
        """The partition that an origin names."""
        return origin - 1 if origin else self.partition

    def write(self, records: Records, seen: Sequence[Seen]) -> None:
        """Write all that was told of a run of events."""
        told, rows = records.outcomes()
        for what, reference, invalid in told:
            if what == EXPOSED:
                self._exposed(seen[reference], INVALID[invalid])
            else:
                self._followed(Told._make(rows[reference]), seen)
        text, examples = records.text(), self.output.examples
        for start, id_end, weight_at, end, sampled, weight in records.examples():
            if sampled:
                if not self.keeps_negative(text[start + ID_AT : id_end].decode()):
                    continue
                weight = self.negative_weight
            examples.append((None, b"%b%r%b" % (text[start:weight_at], weight, text[weight_at:end])))

    def keeps_negative(self, example_id: str) -> bool:
        """Whether an exposure without a click is among the sample that is learned; told by its identity.

        Those that are kept have ``negative_weight``, which is all of the correction: what is learned are the
        probabilities of all exposures, and nothing is added at serving.
        """
        return self.negative_weight == 1.0 or stable_key(example_id, SAMPLE_SEED) < self._negatives_below

    def _exposed(self, seen: Seen, invalid: Invalid) -> None:
        """It was shown, or is said to have been."""
        exposure: Any = seen.event
        user_id = "" if seen.user == NOBODY else exposure.user_id
        ad_id, promotion_id = exposure.ad_id, exposure.promotion_id
        exposure_id, decision_id = f"views-{self.partition}-{seen.offset}", exposure.decision_id
        if not user_id and not decision_id.endswith(NOBODY_SUFFIX):
            decision_id = ""  # that of a user who has withdrawn consent
        campaign_id = self.catalog.campaign_of(exposure.shop_id, ad_id, promotion_id)
        outcome = Outcome(
            f"exposure-{exposure_id}", "exposure", exposure.ts_ms, exposure.shop_id, decision_id, exposure_id,
            user_id, ad_id, promotion_id, campaign_id, exposure.slot_id, exposure.position,
            exposure.propensity or 0.0, 0, 0, "", invalid,
        )  # fmt: skip
        self.output.outcomes.append((message_key(user_id), encode(outcome)))

    def _followed(self, told: Told, seen: Sequence[Seen]) -> None:
        """It was clicked, the click earned an order, that was paid back, or the click was taken back."""
        shop_id, user_id, order_id = self._who(told, seen)
        kind = KINDS[told.what]
        topic = "purchases" if told.what in (ORDERED, REFUNDED) else "clicks"
        outcome_id = f"{kind}-{topic}-{self.partition_of(told.cause_origin)}-{told.cause_offset}"
        decision_id = exposure_id = ad_id = promotion_id = campaign_id = ""
        if told.what != UNFOUNDED:  # of what is not known to have been shown, what was named is not repeated
            name = self.catalog.name_of(told.shown)
            ad_id, promotion_id = (name, "") if told.is_ad else ("", name)
            if told.request_offset != NO_OFFSET:
                suffix = NOBODY_SUFFIX if told.nobody else ""
                request_at = self.partition_of(told.request_origin)
                decision_id = f"views-{request_at}-{told.request_offset}-{told.request_slot}{suffix}"
            exposure_id = f"views-{self.partition_of(told.exposure_origin)}-{told.exposure_offset}"
            campaign_id = self.catalog.campaign_of(shop_id, ad_id, promotion_id)
        outcome = Outcome(
            outcome_id, kind, told.ts_ms, shop_id, decision_id, exposure_id, user_id, ad_id, promotion_id,
            campaign_id, "", 0, 0.0, told.revenue_micros, told.delay_ms, order_id, INVALID[told.invalid],
        )  # fmt: skip
        self.output.outcomes.append((message_key(user_id), encode(outcome)))

    def _who(self, told: Told, seen: Sequence[Seen]) -> tuple[str, str, str]:
        """Shop, user and order; empty where the row that says so has made room for another."""
        if told.who == EVENT:
            event = seen[told.at].event
            return event.shop_id, "" if told.nobody else event.user_id, ""
        if told.who == CLICKER_ROW:
            row = self.state.clickers.rows[told.at]
            return str(row["shop_id"]), str(row["user_id"]), ""
        if told.who == ORDER_ROW:
            row = self.state.purchases.rows[told.at]
            return str(row["shop_id"]), str(row["user_id"]), str(row["order_id"])
        return "", "", ""
