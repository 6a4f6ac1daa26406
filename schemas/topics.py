"""The topics: what they hold, what partitions them, and how long they keep what."""

from typing import Literal

from msgspec import Struct

from schemas.catalog import Ad, Campaign, Item, Promotion, Shop, Switch
from schemas.dead_letters import DeadLetter
from schemas.decisions import Decision
from schemas.events import Click, Exposure, Purchase, Refund, View
from schemas.examples import Example
from schemas.model import Delays, LinearWeights, Progress, Weights
from schemas.outcomes import Outcome


class Topic(Struct, frozen=True):
    """A topic of the contract."""

    name: str
    partitions: Literal["input", "one"]
    """``input``: as many as the three input topics, same key, same number; ``one``: a single one."""
    cleanup: Literal["delete", "compact"]
    direction: Literal["in", "out", "internal"]
    """``in``: others write and Headrace reads; ``out``: Headrace writes, and others may read."""
    description: str
    key: str
    """What the Kafka key of a record is; empty where it has none."""
    messages: tuple[type[Struct], ...] = ()
    """JSON records it holds, told apart by ``type`` where there are several; none: binary rows."""


VIEWS = Topic(
    name="views",
    partitions="input",
    cleanup="delete",
    direction="in",
    description="Page views, which may ask for decisions, and exposures of ads and promotions.",
    key="user_id",
    messages=(View, Exposure),
)
CLICKS = Topic(
    name="clicks",
    partitions="input",
    cleanup="delete",
    direction="in",
    description="Clicks on ads, promotions and items, and add-to-cart.",
    key="user_id",
    messages=(Click,),
)
PURCHASES = Topic(
    name="purchases",
    partitions="input",
    cleanup="delete",
    direction="in",
    description="Orders that were placed and paid, and what was paid back of them.",
    key="user_id",
    messages=(Purchase, Refund),
)
CATALOG = Topic(
    name="catalog",
    partitions="one",
    cleanup="compact",
    direction="in",
    description="Shops, campaigns, ads, promotions and items, and the switches that pause decisions; a "
    "record without a value deletes its entry.",
    key="<type>:<shop_id>:<id>",
    messages=(Shop, Campaign, Ad, Promotion, Item, Switch),
)
DECISIONS = Topic(
    name="decisions",
    partitions="input",
    cleanup="delete",
    direction="out",
    description="Ad placements and promotions with their audit; of several copies of a decision_id the "
    "first counts.",
    key="user_id",
    messages=(Decision,),
)
OUTCOMES = Topic(
    name="outcomes",
    partitions="input",
    cleanup="delete",
    direction="out",
    description="What became of decisions and of other systems' exposures.",
    key="user_id",
    messages=(Outcome,),
)
EXAMPLES = Topic(
    name="examples",
    partitions="one",
    cleanup="delete",
    direction="out",
    description="Training examples in the order of learning.",
    key="",
    messages=(Example,),
)
MODEL = Topic(
    name="model",
    partitions="one",
    cleanup="compact",
    direction="out",
    description="State of the models, and their progressive quality.",
    key=(
        "<task>/<model>/snapshot/<part>, <task>/<model>/delta/<number>/<part>, <task>/progress/<model> or "
        "<task>/delays"
    ),
    messages=(Weights, LinearWeights, Delays, Progress),
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    partitions="input",
    cleanup="delete",
    direction="out",
    description="Events that could not be used, with the reason.",
    key="",
    messages=(DeadLetter,),
)
STATE = Topic(
    name="headrace-state",
    partitions="input",
    cleanup="compact",
    direction="internal",
    description="State of each partition as checksummed binary rows, which no other system may rely on.",
    key="binary: kind and identity of a row",
)
IDENTITIES = Topic(
    name="headrace-identities",
    partitions="input",
    cleanup="delete",
    direction="internal",
    description="What partitions tell each other when an anonymous user logs in: claims, and profiles on "
    "their way; no other system may rely on it.",
    key="",
)

INPUTS = (VIEWS, CLICKS, PURCHASES)
TOPICS = (*INPUTS, CATALOG, DECISIONS, OUTCOMES, EXAMPLES, MODEL, DEAD_LETTERS, STATE, IDENTITIES)
