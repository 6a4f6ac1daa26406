"""Champion and challengers: who serves, decided by a test that may be looked at after every example."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ERROR_RATE = 0.05
"""Chance that a champion is replaced by one that is no better: a reign, or a million examples of it."""
CLIP = 1.0
"""Nats: a difference in log loss is clipped here, either way."""
MARGIN = 0.001
"""A challenger has to be better by more than this share of the champion's log loss: less is not worth a
change, and of two learners of one quality either is ahead by as much for a while."""
WARM_UP = 10_000
"""Examples that a member learns before it is compared, for the same reason (``headrace bench promotion``)."""
PROBATION = 50_000
"""Examples after a promotion in which a return of the champion before is a roll-back."""
LARGEST_BET = 0.5  # of the capital, as Waudby-Smith and Ramdas 2024 advise: one loss cannot ruin
MEMORY, LATE_MEMORY = 5_000.0, 100.0
"""Examples by which bets go, exponentially. Half of the capital is bet by a short memory, and only on leads
of three standard deviations: a champion that breaks must not be covered by its past."""
SURE = 3.0
RENEWAL = 1_000_000
"""Examples after which a pair begins anew, with the error rate anew: bets that were lost in a long reign must
not keep a challenger down for good."""
VARIANCE_PRIOR = 0.25  # of one imagined difference, in units of CLIP; theirs, too
SMALLEST_P = 1e-15
LARGEST_LOSS = 5.0  # that counts for the margin: a broken champion must not raise the hurdle

COUNT, SUM, MEAN, VARIANCE, CAPITAL, LATE_MEAN, LATE_VARIANCE, LATE_CAPITAL, LOG_CAPITAL = range(9)
BET_SUM, BET_GAIN, BET_VARIANCE, LOSS, WAIT = range(9, 14)
FIELDS = 14

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def observe(
    row: Floats, reference: float, other: float, weight: float, margin: float, error_rate: float
) -> None:
    """Take the champion's loss (``reference``) and a challenger's on one example into their pair's row.

    What is bet on is the gain beyond the margin: x = weight x (reference - other) - margin x the champion's
    mean loss before, clipped. The capital of somebody who bets against "x is at most 0 in expectation" is
    multiplied by 1 + bet x, with bets by aGRAPA (Waudby-Smith and Ramdas 2024, B.3), from what came before
    only. The sums of the predictable plug-in empirical Bernstein sequence (theorem 2 there) give the interval
    that goes with it.
    """
    hurdle = margin * row[LOSS] / row[COUNT] if row[COUNT] else 0.0
    x = min(max((weight * (reference - other) - hurdle) / CLIP, -1.0), 1.0)
    count = row[COUNT] + 1.0
    mean = row[MEAN]  # with one imagined difference of 0
    variance = row[VARIANCE] if row[COUNT] else VARIANCE_PRIOR
    row[CAPITAL] += math.log1p(min(max(mean / (variance + mean * mean), 0.0), LARGEST_BET) * x)
    late = row[LATE_MEAN]
    late_variance = row[LATE_VARIANCE] if row[COUNT] else VARIANCE_PRIOR
    if late > SURE * math.sqrt(late_variance / (2.0 * LATE_MEMORY)):
        row[LATE_CAPITAL] += math.log1p(min(late / (late_variance + late * late), LARGEST_BET) * x)
    most, least = max(row[CAPITAL], row[LATE_CAPITAL]), min(row[CAPITAL], row[LATE_CAPITAL])
    row[LOG_CAPITAL] = most + math.log1p(math.exp(least - most)) - math.log(2.0)
    share = min(
        math.sqrt(8.0 * math.log(2.0 / error_rate) / (variance * count * math.log(1.0 + count))), LARGEST_BET
    )
    row[BET_SUM] += share
    row[BET_GAIN] += share * x
    row[BET_VARIANCE] += (x - mean) ** 2 * (-math.log(1.0 - share) - share) / 4.0
    row[COUNT] = count
    row[SUM] += x
    step = 1.0 / min(count + 1.0, MEMORY)
    row[MEAN] = mean + step * (x - mean)
    row[VARIANCE] = (1.0 - step) * (variance + step * (x - mean) ** 2)
    step = 1.0 / min(count + 1.0, LATE_MEMORY)
    row[LATE_MEAN] = late + step * (x - late)
    row[LATE_VARIANCE] = (1.0 - step) * (late_variance + step * (x - late) ** 2)
    row[LOSS] += weight * min(reference, LARGEST_LOSS)


@njit(cache=True, nogil=True)
def interval(row: Floats, error_rate: float) -> tuple[float, float]:
    """Confidence sequence of a pair's mean difference, in units of ``CLIP``: lower and upper end."""
    if row[BET_SUM] <= 0.0:
        return -1.0, 1.0
    center = row[BET_GAIN] / row[BET_SUM]
    radius = 2.0 * (math.log(2.0 / error_rate) + row[BET_VARIANCE]) / row[BET_SUM]
    return max(center - radius, -1.0), min(center + radius, 1.0)


@njit(cache=True, nogil=True)
def loss(p: float, label: bool, delayed: bool) -> float:
    """Log loss of a prediction; with ``delayed`` a positive takes the loss of its negative back.

    A prediction that is no number is as wrong as can be.
    """
    if p != p:
        return -math.log(SMALLEST_P)
    p = min(max(p, SMALLEST_P), 1.0 - SMALLEST_P)
    if not label:
        return -math.log(1.0 - p)
    return math.log(1.0 - p) - math.log(p) if delayed else -math.log(p)


@njit(cache=True, nogil=True)
def _run(  # type: ignore[no-untyped-def]
    rows, predictions, labels, weights, counted, champion, predecessor, first, delayed, margin, error_rate
):
    """Observe examples from ``first`` on; returns where a challenger wins, and which; the end and -1 else."""
    members = rows.shape[0]
    for i in range(first, labels.size):
        if not counted[i] or not weights[i] > 0.0:
            continue
        reference = loss(predictions[champion, i], labels[i], delayed)
        winner, most = -1, 0.0
        for j in range(members):
            if j == champion:
                continue
            if rows[j, WAIT] > 0.0:
                rows[j, WAIT] -= 1.0
                continue
            other = loss(predictions[j, i], labels[i], delayed)
            if rows[j, COUNT] >= RENEWAL:
                rows[j, :WAIT] = 0.0
            observe(rows[j], reference, other, weights[i], margin, error_rate)
            # Half of the error rate is for the way back, where there is one; the others share the rest.
            share = 1.0 / (members - 1)
            if predecessor >= 0 and members > 2:
                share = 0.5 if j == predecessor else 0.5 / (members - 2)
            beyond = rows[j, LOG_CAPITAL] + math.log(share * error_rate)
            if beyond >= most:
                winner, most = j, beyond
        if winner >= 0:
            return i, winner
    return labels.size, -1


class Succession(NamedTuple):
    """A change of the champion."""

    place: int
    """The example after which it changed, of those that were given."""
    kind: Literal["promotion", "rollback"]
    champion: int
    """The member that serves from the next example on."""
    former: int
    examples: int
    """Examples of the reign that ended."""
    gain: float
    """Nats an example by which the new champion was better than the former and the margin, clipped."""
    lower: float
    upper: float
    """95% confidence sequence of the gain."""


class Contest:
    """Compares each challenger with the champion on the same examples, and promotes one that is better.

    The hypothesis "in expectation the challenger's log loss is not lower by more than the margin" (clipped) is
    tested by betting: a capital of 1 that grows by a challenger's lead is a supermartingale under it, so the
    chance that it ever reaches 1/a is at most a (Ville 1939), however often it is looked at. A reign's error rate is shared
    between the challengers. After a change all pairs begin anew; the former champion goes on learning as a
    challenger and takes half of the error rate, so that a champion that breaks is soon rolled back.

    What members learn does not depend on who serves. The state is a function of the predictions, labels and
    weights in order, however they are cut into batches.

    Parameters
    ----------
    members
        Models that are compared; the first one is champion at the start, and alone it stays that.
    delayed
        Whether positives were negatives before.
    error_rate
        Of a reign.
    margin
        Share of the champion's log loss by which a challenger has to be better.
    warm_up
        Examples before a member is compared.

    Attributes
    ----------
    champion
        The member that serves.
    predecessor
        The champion before; -1 is none.
    rows
        float64[members, 14]: what is known of each pair.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> labels = random.random(3_000) < 0.1
    >>> contest = Contest(2, warm_up=1_000)
    >>> [change] = contest.update(np.stack([np.full(3_000, 0.3), np.full(3_000, 0.1)]), labels, np.ones(3_000))
    >>> change.kind, change.champion, change.place < 1_200
    ('promotion', 1, True)

    References
    ----------
    [^1]: Waudby-Smith, I. and Ramdas, A., 2024. Estimating means of bounded random variables by betting. Journal of the Royal Statistical Society Series B, 86(1), pp. 1-27
    [^2]: Howard, S.R., Ramdas, A., McAuliffe, J. and Sekhon, J., 2021. Time-uniform, nonparametric, nonasymptotic confidence sequences. Annals of Statistics, 49(2), pp. 1055-1080
    """  # noqa: E501

    def __init__(
        self,
        members: int,
        delayed: bool = False,
        error_rate: float = ERROR_RATE,
        margin: float = MARGIN,
        warm_up: int = WARM_UP,
    ) -> None:
        if members < 1 or not 0.0 < error_rate < 1.0:
            raise ValueError(
                "Expected members from 1 up and an error_rate between 0 and 1, "
                f"got members={members}, error_rate={error_rate}"
            )
        self.members = members
        self.delayed = delayed
        self.error_rate = error_rate
        self.margin = margin
        self.warm_up = warm_up
        self.rows = np.zeros((members, FIELDS))
        self.restore(0, -1, 0, np.zeros(0))

    def update(
        self,
        predictions: Floats,
        labels: NDArray[np.bool_],
        weights: Floats,
        counted: NDArray[np.bool_] | None = None,
    ) -> list[Succession]:
        """Observe n examples: ``predictions`` float64[members, n], made before each was learned.

        ``counted``, bool[n], leaves examples out that are not to be trusted; those with a weight of 0 or
        below (taken back) never count. Returns the changes, in order.
        """
        counted = np.ones(labels.size, np.bool_) if counted is None else counted
        usable = counted & (weights > 0.0)
        changes: list[Succession] = []
        first = 0
        while first < labels.size:
            end, winner = _run(
                self.rows, predictions, labels, weights, counted, self.champion, self.predecessor, first,
                self.delayed, self.margin, self.error_rate,
            )  # fmt: skip
            self.reign += int(usable[first : end + 1].sum())
            if winner >= 0:
                changes.append(self._succeed(end, winner))
            first = end + 1
        return changes

    def restore(self, champion: int, predecessor: int, reign: int, rows: Floats) -> None:
        """Go on from what another contest had come to; without ``rows``, from nothing known of any pair."""
        self.champion, self.predecessor, self.reign = champion, predecessor, reign
        if rows.size:
            self.rows[:] = rows.reshape(self.rows.shape)
        else:
            self.rows[:] = 0.0
            self.rows[:, WAIT] = self.warm_up

    def begin(self, member: int) -> None:
        """A member was replaced: what is known of it goes, and it warms up."""
        self.rows[member] = 0.0
        self.rows[member, WAIT] = self.warm_up

    def pair(self, member: int) -> tuple[float, float, float]:
        """Mean gain of a challenger beyond the margin, in nats an example, clipped, and its 95% interval."""
        row = self.rows[member]
        lower, upper = interval(row, 0.05)
        mean = float(row[SUM] / row[COUNT]) if row[COUNT] else 0.0
        return CLIP * mean, CLIP * lower, CLIP * upper

    def _succeed(self, place: int, winner: int) -> Succession:
        gain, lower, upper = self.pair(winner)
        returns = winner == self.predecessor and self.reign <= PROBATION
        change = Succession(
            place,
            "rollback" if returns else "promotion",
            winner,
            self.champion,
            self.reign,
            gain,
            lower,
            upper,
        )
        self.champion, self.predecessor = winner, self.champion
        self.reign = 0
        self.rows[:, :WAIT] = 0.0
        return change
