"""What each ad's clicks say beyond the champion: a shift of the logit that a new ad learns fast.

In the additive model an ad's log odds are those of everything (bias), of its content (campaign, category,
words) and a rest of its own: ad -> campaign -> category -> global. FTRL-Proximal learns the rest at a rate
that is tuned for millions of examples: after 100 exposures it holds a tenth of what they say. So what is left
of it has a normal prior of mean 0 here, and each example moves it by the posterior's step (online Newton with
a diagonal Laplace approximation, as in Chapelle and Li 2011, "An empirical evaluation of Thompson sampling",
algorithm 3). What the champion learns does not depend on it.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.features import FEATURES
from models.ftrl import sigmoid

SPREAD = 0.5
"""Standard deviation of ads of one content, in log odds: for new ads of the synthetic shop better than 0.3
(``headrace bench cold-start``)."""
MOST_DEVIATIONS = 6.0
"""Of the prior, beyond which chance takes two ads in a thousand million."""
BOUND = MOST_DEVIATIONS * SPREAD
"""Log odds, either way, that no shift leaves, whatever an example weighs: a factor of 20 of the odds. Ads of
the synthetic shops come to a third of it."""
SMALLEST_P = 1e-15

_AD = FEATURES.index("ad")


@njit(cache=True, nogil=True, error_model="numpy")
def _learn(mean, information, buckets, offsets, width, predictions, labels, importance, prior, bound):  # type: ignore[no-untyped-def]
    shifted = predictions.copy()
    for row in range(predictions.size):
        if offsets[row + 1] - offsets[row] != width:
            continue
        ad = buckets[offsets[row] + _AD]
        p = min(max(predictions[row], SMALLEST_P), 1.0 - SMALLEST_P)
        p = sigmoid(math.log(p / (1.0 - p)) + mean[ad])
        shifted[row] = p
        if not math.isfinite(p) or importance[row] == 0.0:
            continue
        error = (p - 1.0 if labels[row] else p) * importance[row]
        information[ad] = max(information[ad] + importance[row] * p * (1.0 - p), 0.0)
        # An example that is taken back may leave no information to hold a weight of a million against.
        mean[ad] = min(max(mean[ad] - error / (prior + information[ad]), -bound), bound)
    return shifted


class AdShifts:
    """The shifts of all ads, by bucket.

    The same examples in the same order give the same bits, however they are cut into batches.

    Parameters
    ----------
    bits
        Of the buckets.

    Attributes
    ----------
    mean
        float64[2**bits]: is added to the ad's weight, at most ``BOUND`` either way; 0 where no ad was.
    information
        float64[2**bits]: sum of p (1 - p) over an ad's examples; the variance of its shift is about
        1 / (1 / ``SPREAD``**2 + information).
    """

    def __init__(self, bits: int) -> None:
        self.mean = np.zeros(1 << bits)
        self.information = np.zeros(1 << bits)

    def learn(
        self,
        buckets: NDArray[np.uint32],
        offsets: NDArray[np.int64],
        predictions: NDArray[np.float64],
        labels: NDArray[np.bool_],
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Learn examples in order; what is predicted with the shift before each is learned, float64[n].

        ``buckets`` and ``offsets`` as for ``FTRLProximal.learn_many_hashed``, which has made the
        ``predictions``. A row that is not as wide as the spec has no ad. A weight of 0 teaches nothing.
        """
        shifted: NDArray[np.float64] = _learn(
            self.mean, self.information, buckets, offsets, len(FEATURES), predictions, labels, weights,
            1.0 / SPREAD**2, BOUND,
        )  # fmt: skip
        return shifted
