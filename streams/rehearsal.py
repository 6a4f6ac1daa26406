"""A rehearsal: one visit to a small shop, in memory, before a worker joins its groups.

Numba compiles a kernel when it is first called, which takes a minute for all of them after an installation. A
worker that had joined would let the partitions that it was given wait meanwhile, and its commits with them.
"""

import logging
import time
from collections.abc import Callable, Collection

from msgspec.structs import replace

from models.catalog import Catalog
from models.features import FEATURES
from models.serving import ServingWeights
from schemas.catalog import Ad, Campaign, Promotion
from schemas.events import Click, Event, Exposure, Line, Purchase, Refund, Slot, View
from schemas.examples import Example
from schemas.model import Task, decode_model_record
from streams.agents.learn import learner_of
from streams.processor.arrival import Arrival, decode_identity
from streams.processor.processor import Processor
from streams.settings import Role, Settings

BITS = 10
"""Of the tables of weights: kernels are the same for small ones."""
START_MS = 1_750_000_000_000
LONG_AFTER_MS = START_MS + 365 * 24 * 3600 * 1000
"""Every window has closed by then."""

logger = logging.getLogger(__name__)


def rehearse(settings: Settings, roles: Collection[Role]) -> None:
    """Call every kernel that the roles need; nothing is kept of what comes of it."""
    needed = [rehearsal for role, rehearsal in _REHEARSALS.items() if role in roles]
    if not needed:
        return
    logger.info("preparing kernels: the first start after an installation compiles them, for about a minute")
    started_s = time.monotonic()
    learning = replace(settings.learning, bits=BITS, challenger_sample=1.0)  # River's challenger learns, too
    for rehearsal in needed:
        rehearsal(Settings(learning=learning))
    logger.info("kernels are ready after %.1f s", time.monotonic() - started_s)


def _process(settings: Settings) -> None:
    catalog, weights = Catalog(BITS), ServingWeights("ctr", BITS)
    catalog.extend([Campaign("c"), Ad("a", "c", 1), Promotion("p", "c")])
    processor = Processor(0, settings, catalog, weights)
    processor.process(Arrival(0, 0, offset, 0, b"", event) for offset, event in enumerate(_visit()))
    for offset, (_, value) in enumerate(processor.output.identities):
        processor.process([decode_identity(offset, value)])
    state = processor.state.drain()
    processor.advance(LONG_AFTER_MS)
    after_restart = Processor(0, settings, catalog, weights)
    after_restart.state.restore(state)
    after_restart.restored()


def _visit() -> list[Event]:
    """What a user does who is known from the third event on, in order of time."""
    at, who, decision_id = iter(range(START_MS, LONG_AFTER_MS, 1000)), "anonymous", "views-0-2-0"
    slots = Slot("s"), Slot("t", "promotion")
    return [
        View("e0", who, next(at), "item", category="k", price_micros=1, slots=slots),
        Click("e1", who, next(at), "add_to_cart", category="k"),
        View("e2", "u", next(at), "home", slots=slots, anonymous_id=who),
        Exposure("e3", "u", next(at), decision_id=decision_id, ad_id="a", slot_id="s"),
        Click("e4", "u", next(at), "ad", decision_id=decision_id, ad_id="a"),
        Exposure("e5", "u", next(at), ad_id="a", slot_id="s", propensity=1.0),
        Purchase("e6", "u", next(at), "o", 1, (Line("i", 1, 1),)),
        Refund("e7", "u", next(at), "o", 1),
    ]


def _learn(settings: Settings) -> None:
    learner, weights, buckets = learner_of(settings), ServingWeights("ctr", BITS), list(range(len(FEATURES)))
    tasks: tuple[Task, ...] = "ctr", "cvr"
    for version, ts_ms in enumerate((START_MS, LONG_AFTER_MS), start=1):  # an hour closes in between
        examples = [Example("e", task, ts_ms, 1, 1.0, "own", buckets) for task in tasks]
        learner.learn(examples, version)
        for _, value in learner.publish():
            if value is not None:
                weights.apply(decode_model_record(value))


_REHEARSALS: dict[Role, Callable[[Settings], None]] = {"process": _process, "learn": _learn}
