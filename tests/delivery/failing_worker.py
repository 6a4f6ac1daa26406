"""A worker whose processor, or whose learner, breaks half-way through its work; run as a program.

``python failing_worker.py process|learn``; settings come from the environment, as for the real worker.
"""

import sys
from collections.abc import Iterable, Sequence

import streams.agents.learn
import streams.agents.process
from models.learner import Learner
from schemas.examples import Example
from streams.cli import main
from streams.processor.arrival import Arrival
from streams.processor.processor import Processor

WORKING_EVENTS = 1500
WORKING_EXAMPLES = 300


class FailingProcessor(Processor):
    """Fails in the middle of a batch, with some of it applied and none of it committed."""

    def process(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            super().process([arrival])
            if sum(self.state.offsets) > WORKING_EVENTS:
                raise RuntimeError("the wheel broke")


class FailingLearner(Learner):
    """Fails after some examples."""

    def learn(self, examples: Sequence[Example], next_offset: int) -> None:
        super().learn(examples, next_offset)
        if next_offset > WORKING_EXAMPLES:
            raise RuntimeError("the wheel broke")


if __name__ == "__main__":
    if sys.argv[1] == "process":
        streams.agents.process.Processor = FailingProcessor  # type: ignore[misc]
    else:
        streams.agents.learn.Learner = FailingLearner  # type: ignore[misc]
    main(["worker", "--roles", "process,learn"])
