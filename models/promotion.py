"""Which promotion to offer, if any.

The arms are ``none`` and each eligible promotion. Until the effect of a promotion has been estimated, the
honest policy is a randomised trial: every arm has the same probability, so that effects can be estimated
without bias later. A stable share of the users is held out and never gets one.
"""

from models.hashing import stable_key

POLICY = "uniform-1"
HOLDOUT_POLICY = "holdout-1"
NONE = "none"
MILLION = 1_000_000


def is_held_out(user_key: int, share: float, salt: str) -> bool:
    """Whether a user belongs to the permanent holdout; depends on nothing but the user and the salt."""
    return stable_key(f"holdout/{salt}/{user_key}") % MILLION < share * MILLION


def uniform(arms: int) -> list[int]:
    """Propensities in millionths; they sum to exactly one million.

    >>> uniform(3)
    [333334, 333333, 333333]
    """
    share, left = divmod(MILLION, arms)
    return [share + 1] * left + [share] * (arms - left)
