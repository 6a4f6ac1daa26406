"""A population of FTRL learners with different settings: the search for learning rate, l1 and l2."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contest import Contest, Succession
from models.ftrl import SETTING_RANGE, FTRLProximal

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


class Population:
    """Champion and challengers that differ in their settings, and the contest between them.

    All learn from every example and start with the champion's weights. When a challenger wins, the former
    champion stays, for the way back, and the others are replaced by neighbours of the new champion with its
    weights: a climb over the settings, each step of which was tested.

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

    References
    ----------
    [^1]: Jaderberg, M. et al., 2017. Population based training of neural networks. arXiv:1711.09846
    """

    def __init__(self, champion: FTRLProximal, challengers: int, **contest: float) -> None:
        self.contest = Contest(1 + challengers, champion.delayed != "none", **contest)  # type: ignore[arg-type]
        base = settings_of(champion)
        self.members = [
            champion,
            *(carry(champion, neighbour(base, step)) for step in range(challengers)),
        ]
        self.generation = 0

    @property
    def champion(self) -> FTRLProximal:
        return self.members[self.contest.champion]

    def learn_many_hashed(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], list[Succession]]:
        """Learn one batch; what the champion predicted before each example, float64[n], and the changes.

        Members are replaced at the end of a batch, so the batches are part of what makes the result; the
        arguments are those of ``FTRLProximal.learn_many_hashed``.
        """
        predictions = np.stack(
            [member.learn_many_hashed(buckets, offsets, labels, weights) for member in self.members]
        )
        champion = self.contest.champion
        changes = self.contest.update(predictions, labels, weights)
        said = predictions[champion].copy()
        for change in changes:
            said[change.place + 1 :] = predictions[change.champion, change.place + 1 :]
        if changes:
            self._regroup()
        return said, changes

    def _regroup(self) -> None:
        base = settings_of(self.champion)
        for member in range(len(self.members)):
            if member in (self.contest.champion, self.contest.predecessor):
                continue
            self.members[member] = carry(self.champion, neighbour(base, self.generation))
            self.contest.begin(member)
            self.generation += 1
