"""A population of FTRL learners with different settings: the search for learning rate, l1 and l2."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contest import COUNT, Contest, Succession
from models.ftrl import SETTING_RANGE, FTRLProximal
from schemas.model import Contest as ContestRecord
from schemas.model import Member, Task

REGROUP_EVERY = 1_000
"""Examples between two occasions to replace challengers: told by their number alone, so that it makes no
difference how they come in batches."""

STEPS = (
    {"alpha": 2.0},
    {"alpha": 0.5},
    {"l2": 0.1},
    {"l1": 1.0},
    {"alpha": 4.0},
    {"alpha": 0.25},
    {"l2": 10.0},
)
"""Where challengers stand from the champion: factors of its settings, but for l1, which is added to."""


class Settings(NamedTuple):
    """What a population searches over."""

    alpha: float
    beta: float
    l1: float
    l2: float


def carry(model: FTRLProximal, settings: Settings, forget: float = 0.0) -> FTRLProximal:
    """A learner with other settings and the same weights; ``forget`` is the share of ``n`` that goes.

    Forgetting raises the learning rate of every coordinate. A weight of 0 stays 0.
    """
    heir = FTRLProximal(
        model.bits, settings.alpha, settings.beta, settings.l1, settings.l2, delayed=model.delayed
    )
    weights = model.weights()
    heir.n[:] = model.n * (1.0 - forget)
    scale = (settings.beta + np.sqrt(heir.n)) / settings.alpha + settings.l2
    kept = np.clip(model.z, -settings.l1, settings.l1)
    heir.z[:] = np.where(weights != 0.0, -weights * scale - np.sign(weights) * settings.l1, kept)
    heir.touched[heir.occupied()] = 1
    return heir


def settings_of(model: FTRLProximal) -> Settings:
    """The settings of a learner."""
    return Settings(model.alpha, model.beta, model.l1, model.l2)


def neighbour(settings: Settings, step: int) -> Settings:
    """The settings at a step of ``STEPS``, inside the range that a learner takes.

    >>> neighbour(Settings(0.05, 1.0, 0.0, 1.0), 0)
    Settings(alpha=0.1, beta=1.0, l1=0.0, l2=1.0)
    """
    changed = dict(STEPS[step % len(STEPS)])
    low, high = SETTING_RANGE
    alpha = min(max(settings.alpha * changed.get("alpha", 1.0), low), high)
    l2 = min(max(settings.l2 * changed.get("l2", 1.0), low), high)
    return Settings(alpha, settings.beta, settings.l1 + changed.get("l1", 0.0), l2)


class Promotion(NamedTuple):
    """A change of the champion, between members with these settings."""

    change: Succession
    settings: Settings
    former: Settings


class Population:
    """Champion and challengers that differ in their settings, and the contest between them.

    All learn from every example and start with the champion's weights. When a challenger wins, it serves from
    the next example on. The former champion stays, for the way back, and at the next multiple of
    ``REGROUP_EVERY`` examples the others are replaced by neighbours of the new champion with its weights: a
    climb over the settings, each step of which was tested.

    Parameters
    ----------
    champion
        The first champion; it goes on learning in place.
    challengers
        How many; each costs as much as the champion (``headrace bench promotion`` says how much).
    contest
        Arguments of ``models.contest.Contest`` but for the members.

    Attributes
    ----------
    members
        The champion first, at the start; ``contest.champion`` says who it is.
    first
        The settings of the first champion.
    examples
        That were learned in all.
    reshaped
        Whether members have changed places or were replaced since somebody set it back: what was published of
        them then is no ground for differences.

    References
    ----------
    [^1]: Jaderberg, M. et al., 2017. Population based training of neural networks. arXiv:1711.09846
    """

    def __init__(self, champion: FTRLProximal, challengers: int, **contest: float) -> None:
        self.contest = Contest(1 + challengers, champion.delayed != "none", **contest)  # type: ignore[arg-type]
        self.first = settings_of(champion)
        self.members: list[FTRLProximal] = []
        self.examples = 0
        self.generation = 0
        self.changed = False
        self.reshaped = False
        self.begin(champion)

    @property
    def champion(self) -> FTRLProximal:
        return self.members[self.contest.champion]

    def begin(self, champion: FTRLProximal) -> None:
        """Begin with this champion, and challengers that have its weights."""
        base, steps = settings_of(champion), range(self.contest.members - 1)
        self.members = [champion, *(carry(champion, neighbour(base, step)) for step in steps)]
        self.contest.restore(0, -1, 0, np.zeros(0))

    def learn_many_hashed(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], list[Promotion]]:
        """Learn examples; what the champion predicted before each, float64[n], and the changes.

        Batches may be cut anywhere; the arguments are those of ``FTRLProximal.learn_many_hashed``.
        """
        said = np.empty(labels.size)
        changes: list[Promotion] = []
        start = 0
        while start < labels.size:
            end = min(labels.size, start + REGROUP_EVERY - self.examples % REGROUP_EVERY)
            edges = offsets[start : end + 1]
            rows = buckets[edges[0] : edges[-1]], edges - edges[0], labels[start:end], weights[start:end]
            predictions = np.stack([member.learn_many_hashed(*rows) for member in self.members])
            said[start:end] = predictions[self.contest.champion]
            for change in self.contest.update(predictions, *rows[2:]):
                said[start + change.place + 1 : end] = predictions[change.champion, change.place + 1 :]
                settings = (settings_of(self.members[place]) for place in (change.champion, change.former))
                changes.append(Promotion(change._replace(place=start + change.place), *settings))
                self.changed = self.reshaped = True
            self.examples += end - start
            if self.changed and self.examples % REGROUP_EVERY == 0:
                self._regroup()
            start = end
        return said, changes

    def standing(self, task: Task, version: int) -> ContestRecord:
        """All that a restart needs besides the members' weights, and how they do."""
        contest = self.contest
        return ContestRecord(
            task, version, contest.champion, contest.predecessor, contest.reign, self.examples,
            [
                Member(*settings_of(model), int(contest.rows[place, COUNT]), *contest.pair(place))
                for place, model in enumerate(self.members)
            ],
            *self.first, self.generation, self.changed, contest.rows.tobytes(),
        )  # fmt: skip

    def resume(self, members: list[FTRLProximal], record: ContestRecord) -> None:
        """Go on from a standing and the weights that were published with it."""
        self.members = members
        self.examples, self.generation, self.changed = record.examples, record.generation, record.changed
        state = np.frombuffer(record.state, "<f8")
        self.contest.restore(record.champion, record.predecessor, record.reign, state)

    def differences(self, other: "Population") -> list[str]:
        """What of the state differs in any bit, by name."""
        equal = {"contest": self.standing("ctr", 0) == other.standing("ctr", 0)}
        for place, (mine, theirs) in enumerate(zip(self.members, other.members, strict=True)):
            whose = "" if place == self.contest.champion else f"challenger-{place}."
            equal[f"{whose}z"] = mine.z.tobytes() == theirs.z.tobytes()
            equal[f"{whose}n"] = mine.n.tobytes() == theirs.n.tobytes()
        return [name for name, same in equal.items() if not same]

    def _regroup(self) -> None:
        base = settings_of(self.champion)
        for member in range(len(self.members)):
            if member in (self.contest.champion, self.contest.predecessor):
                continue
            self.members[member] = carry(self.champion, neighbour(base, self.generation))
            self.contest.begin(member)
            self.generation += 1
        self.changed, self.reshaped = False, True
