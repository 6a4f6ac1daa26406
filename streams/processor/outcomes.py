"""What became of decisions, and what is to be learned from it, as records."""

import math
from typing import Literal

from models.catalog import Catalog
from models.hashing import stable_key
from schemas.events import Exposure
from schemas.examples import Example, Source
from schemas.model import Task
from schemas.outcomes import Invalid, Outcome
from streams.processor.consent import NOBODY_SUFFIX
from streams.processor.output import Output, encode, message_key
from streams.processor.pairs import Clicked, Shown
from streams.processor.tape import Tape
from streams.state.rows import NOBODY

SAMPLE_SEED = 1
"""Of the hash that samples negatives: the challenger's sample must not depend on it."""
NO_OFFSET = -1
"""Of a partner that has not come; of a request: another system had chosen."""


class Outcomes:
    """Writes the outcomes and examples of one partition.

    Names are made of a partition and an offset. A row that `headrace repartition` has moved says in its
    ``origin`` which partition that is: 0 is this one, else its number + 1.
    """

    def __init__(
        self, partition: int, catalog: Catalog, tape: Tape, output: Output, negative_sample: float = 1.0
    ) -> None:
        self.partition = partition
        self.catalog = catalog
        self.tape = tape
        self.output = output
        self.negative_weight = 1.0 / negative_sample
        self._negatives_below = math.ceil(negative_sample * 2**63)
        self._examples: list[tuple[Task, str, int, int, int, Literal[0, 1], float, int]] = []

    def partition_of(self, origin: int) -> int:
        """The partition that an origin names."""
        return origin - 1 if origin else self.partition

    def place(self, row: Shown | Clicked) -> str:
        """Partition and offset of the event that a row is of."""
        return f"{self.partition_of(row.origin)}-{row.offset}"

    def exposed(self, exposure: Exposure, offset: int, user_id: str, invalid: Invalid = "") -> None:
        """It was shown, or is said to have been; ``user_id`` is empty where that is not to be kept."""
        ad_id, promotion_id = exposure.ad_id, exposure.promotion_id
        exposure_id, decision_id = f"views-{self.partition}-{offset}", exposure.decision_id
        if not user_id and not decision_id.endswith(NOBODY_SUFFIX):
            decision_id = ""  # that of a user who has withdrawn consent
        campaign_id = self.catalog.campaign_of(exposure.shop_id, ad_id, promotion_id)
        outcome = Outcome(
            f"exposure-{exposure_id}", "exposure", exposure.ts_ms, exposure.shop_id, decision_id, exposure_id,
            user_id, ad_id, promotion_id, campaign_id, exposure.slot_id, exposure.position,
            exposure.propensity or 0.0, 0, 0, "", invalid,
        )  # fmt: skip
        self.output.outcomes.append((message_key(user_id), encode(outcome)))

    def followed(
        self, kind: Literal["click", "purchase", "refund", "credit"], cause: str, ts_ms: int, shop_id: str,
        user_id: str, click: Clicked, delay_ms: int, revenue_micros: int = 0, order_id: str = "",
        invalid: Invalid = "",
    ) -> None:  # fmt: skip
        """It was clicked, the click earned an order, that was paid back, or the click was taken back.

        ``cause`` is the place of the event, ``<topic>-<partition>-<offset>``; ``click`` is a joined row.
        """
        name = self.catalog.name_of(click.shown)
        ad_id, promotion_id = (name, "") if click.is_ad else ("", name)
        decision_id = ""
        if click.request_offset != NO_OFFSET:
            suffix = NOBODY_SUFFIX if click.user == NOBODY else ""
            request_at = self.partition_of(click.request_origin)
            decision_id = f"views-{request_at}-{click.request_offset}-{click.request_slot}{suffix}"
        exposure_id = f"views-{self.partition_of(click.exposure_origin)}-{click.exposure_offset}"
        campaign_id = self.catalog.campaign_of(shop_id, ad_id, promotion_id)
        outcome = Outcome(
            f"{kind}-{cause}", kind, ts_ms, shop_id, decision_id, exposure_id, user_id, ad_id,
            promotion_id, campaign_id, "", 0, 0.0, revenue_micros, delay_ms, order_id, invalid,
        )  # fmt: skip
        self.output.outcomes.append((message_key(user_id), encode(outcome)))

    def unfounded(self, cause: str, ts_ms: int, shop_id: str, user_id: str, invalid: Invalid) -> None:
        """An invalid click on what is not known to have been shown: what it names is not repeated."""
        outcome = Outcome(
            f"click-{cause}",
            "click",
            ts_ms,
            shop_id,
            "",
            "",
            user_id,
            "",
            "",
            "",
            "",
            0,
            0.0,
            0,
            0,
            "",
            invalid,
        )
        self.output.outcomes.append((message_key(user_id), encode(outcome)))

    def example(
        self, task: Task, place: str, ts_ms: int, request_offset: int, features: int, label: Literal[0, 1],
        weight: float = 1.0, age_ms: int = 0,
    ) -> None:  # fmt: skip
        """There is something to learn; ``place`` is ``<partition>-<offset>-<what was learned there>``.

        ``features`` is the number that the tape gave them.
        """
        self._examples.append((task, place, ts_ms, request_offset, features, label, weight, age_ms))

    def keeps_negative(self, place: str) -> bool:
        """Whether an exposure without a click is among the sample that is learned; told by its identity.

        Those that are kept have ``negative_weight``, which is all of the correction: what is learned are the
        probabilities of all exposures, and nothing is added at serving.
        """
        return self.negative_weight == 1.0 or stable_key(f"ctr-{place}", SAMPLE_SEED) < self._negatives_below

    def write_examples(self) -> None:
        """Write all that was to be learned, now that its features are known."""
        for task, place, ts_ms, request_offset, features, label, weight, age_ms in self._examples:
            source: Source = "foreign" if request_offset == NO_OFFSET else "own"
            example = Example(
                f"{task}-{place}", task, ts_ms, label, weight, source, self.tape.features(features), age_ms
            )
            self.output.examples.append((None, encode(example)))
        self._examples.clear()
