"""How far predictions are from the true probabilities of the synthetic shop."""

from collections.abc import Callable, Iterator

import numpy as np
from msgspec import Struct
from river import linear_model

from models.bucket_use import BucketUse, bucket_use
from models.dense import DenseNetwork
from models.ftrl import FTRLProximal
from models.fwfm import FwFM
from streams.bench.contestants import (
    SHIPPED,
    Contestant,
    has_dense,
    one_by_one,
    ours,
    river_ftrl,
    vowpal_wabbit,
    vw_ftrl,
)
from streams.bench.learner_speed import versions
from streams.bench.public_logs import HashedLog, hashed
from streams.bench.scores import Interval, divergences, losses, over_blocks
from streams.simulate.configuration import load
from streams.simulate.shop import Exposures, Shop

BITS = 18
BLOCK = 1_000
HOUR_MS = 3_600_000
FIELDS = (
    "page", "position", "device", "country", "category", "style", "age", "user", "hour",
    "ad", "campaign", "ad_category", "ad_style", "ad_brand", "ad_format",
)  # fmt: skip
CROSSES = (("ad", "position"), ("ad", "device"), ("ad_category", "category"), ("ad_category", "style"))
"""Those of ``models.features``; the user's style stands for the category that a profile prefers."""


class Score(Struct, frozen=True):
    """Of one learner, progressive. Half: of the second half of the exposures."""

    divergence: Interval
    """Mean KL divergence from the true probability, nats an exposure."""
    divergence_half: Interval
    log_loss: float
    log_loss_half: float


class Report(Struct, frozen=True):
    """Of one shop."""

    configuration: str
    seed: int
    exposures: int
    clicks: int
    features: int
    rate_divergence_half: float
    """Of who knows the rate of clicks and nothing else."""
    entropy_half: float
    """Log loss of who knows the truth."""
    scores: dict[str, Score]
    best_of_ours: str
    best_to_river_half: float
    """Divergence of our best learner by that of River's better one, second half."""
    best_to_vw_half: float
    """The same by Vowpal Wabbit's best."""
    bucket_use: BucketUse
    versions: dict[str, str]


def contestants() -> Iterator[Contestant]:
    """All that are compared; those of Vowpal Wabbit with `-q ::` make every cross of two features."""
    yield ours("ftrl", lambda: FTRLProximal(BITS))
    yield ours("fwfm", lambda: FwFM(BITS))
    if has_dense():
        yield ours("dense", lambda: DenseNetwork(BITS))
    yield one_by_one("river lr", linear_model.LogisticRegression, False, 1)
    yield one_by_one("river ftrl", river_ftrl(SHIPPED), False, 1)
    yield vowpal_wabbit("vw sgd", "", BITS)
    yield vowpal_wabbit("vw ftrl", vw_ftrl(SHIPPED), BITS)
    yield vowpal_wabbit("vw sgd -q ::", "-q ::", BITS)
    yield vowpal_wabbit("vw ftrl -q ::", f"{vw_ftrl(SHIPPED)} -q ::", BITS)


def run(name: str, seed: int, exposures: int, advance: Callable[[], object]) -> Report:
    """Let all learn the first exposures of a shop; ``advance`` is called after each of ``contestants``.

    Raises:
        ConfigurationError: There is no such configuration.
    """
    shop = Shop(load(name), seed)
    drawn = shop.exposures(exposures)
    log = as_log(shop, drawn)
    half = exposures // 2
    scores = {}
    learners = list(contestants())
    for learner in learners:
        predictions = learner.prepare(log.buckets, log.labels)()
        far, loss = divergences(predictions, drawn.p_click), losses(predictions, log.labels)
        scores[learner.name] = Score(
            over_blocks(far, BLOCK, seed),
            over_blocks(far[half:], BLOCK, seed),
            float(loss.mean()),
            float(loss[half:].mean()),
        )
        advance()
    halves = {name: score.divergence_half.mean for name, score in scores.items()}
    best = min((learner.name for learner in learners if learner.is_ours), key=halves.__getitem__)
    return Report(
        configuration=name,
        seed=seed,
        exposures=exposures,
        clicks=int(log.labels.sum()),
        features=log.buckets.shape[1],
        rate_divergence_half=float(
            divergences(np.full(exposures - half, log.labels.mean()), drawn.p_click[half:]).mean()
        ),
        entropy_half=float(losses(drawn.p_click[half:], log.labels[half:]).mean()),
        scores=scores,
        best_of_ours=best,
        best_to_river_half=halves[best] / min(halves["river lr"], halves["river ftrl"]),
        best_to_vw_half=halves[best] / min(far for name, far in halves.items() if name.startswith("vw")),
        bucket_use=bucket_use(log.fields, log.tokens, log.buckets, BITS),
        versions=versions(),
    )


def as_log(shop: Shop, drawn: Exposures) -> HashedLog:
    """Exposures as hashed examples, the label a click; what a learner may see and no more."""
    world, ad = shop.world, drawn.ad
    columns = (
        drawn.page, drawn.position, drawn.device, drawn.country, drawn.category, drawn.style, drawn.age,
        drawn.user, drawn.ts_ms // HOUR_MS % 24,
        ad, ad % shop.configuration.ads.campaigns, world.ad_category[ad], world.ad_style[ad],
        world.ad_brand[ad], world.ad_format[ad],
    )  # fmt: skip
    tokens = 1 + np.stack(columns, axis=1).astype(np.int64)
    return hashed(FIELDS, tokens, CROSSES, drawn.clicked, BITS)
