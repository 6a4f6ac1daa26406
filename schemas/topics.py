"""The topics, what partitions them and how long they keep what."""

from typing import Literal

from msgspec import Struct


class Topic(Struct, frozen=True):
    """A topic of the contract."""

    name: str
    partitions: Literal["input", "one"]
    """``input``: as many as the three input topics, same key, same number; ``one``: a single one."""
    cleanup: Literal["delete", "compact"]


VIEWS = Topic("views", "input", "delete")
CLICKS = Topic("clicks", "input", "delete")
PURCHASES = Topic("purchases", "input", "delete")
CATALOG = Topic("catalog", "one", "compact")
DECISIONS = Topic("decisions", "input", "delete")
OUTCOMES = Topic("outcomes", "input", "delete")
EXAMPLES = Topic("examples", "one", "delete")
MODEL = Topic("model", "one", "compact")
DEAD_LETTERS = Topic("dead-letters", "input", "delete")
STATE = Topic("headrace-state", "input", "compact")

INPUTS = (VIEWS, CLICKS, PURCHASES)
TOPICS = (*INPUTS, CATALOG, DECISIONS, OUTCOMES, EXAMPLES, MODEL, DEAD_LETTERS, STATE)
