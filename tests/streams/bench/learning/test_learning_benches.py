"""What keeps the learners right, measured on small streams."""

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from models.ad_shifts import BOUND, SPREAD
from models.calibration import MEMORY
from streams.bench.learning import calibration, promotion
from streams.bench.learning.calibrators import METHODS, SHIPPED
from streams.bench.learning.drift import REACTIONS, STREAMS, Never, divergence, drawn
from streams.bench.learning.exposures import Exposures
from streams.bench.learning.rivals import BREAKS, better, broken, equals
from streams.cli import main


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *arguments])


def test_streams_have_their_faults() -> None:
    """Before calibration each stream is off by far more than noise, and labels come at the true rate."""
    exposures = Exposures(60_000, seed=1)
    truth = 1.0 / (1.0 + np.exp(-exposures.logit))
    assert exposures.labels.mean() == pytest.approx(truth.mean(), rel=0.1)
    for stream in exposures.streams():
        found = calibration.measured(stream, "none", 1.0, stream.predictions)
        assert max(found.ece_debiased / found.ece_noise, found.slot_ece_debiased / found.slot_ece_noise) > 1.0


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_each_method_undoes_a_wrong_prior(method: str) -> None:
    """Alternatives are no straw men: each takes most of a doubled prior away."""
    stream = Exposures(40_000, seed=2).wrong_prior()
    before = calibration.measured(stream, "none", 300.0, stream.predictions)
    after = calibration.measured(stream, method, 300.0, METHODS[method](stream, 300.0))
    assert after.ece_debiased < 0.5 * before.ece_debiased
    assert after.log_loss < before.log_loss


def test_a_missed_mark_is_said() -> None:
    """A shipped method that changes nothing fails on every stream, in words."""
    stream = Exposures(40_000, seed=3).wrong_prior()
    results = [
        calibration.measured(stream, method, memory, stream.predictions)
        for method, memory in (("none", 300.0), (SHIPPED, MEMORY))
    ]
    assert any("wrong prior: expected a debiased ECE" in each for each in calibration.failures(results))


def test_calibration_reports_every_method() -> None:
    """With --json stdout holds all methods on all streams, whether the marks are met or not."""
    report = orjson.loads(bench("calibration", "--examples", "10000", "--memory", "300", "--json").stdout)
    assert set(METHODS) == {each["method"] for each in report["results"]}
    assert 4 * len(METHODS) == len(report["results"])
    assert (SHIPPED, MEMORY) == (report["shipped"], report["shipped_memory"])


def test_drift_reports_every_reaction() -> None:
    """Every reaction on every stream at both rates, held against never reacting."""
    report = orjson.loads(bench("drift", "--examples", "2000", "--seeds", "1", "--json").stdout)
    assert {(stream, reaction) for stream in STREAMS for reaction in REACTIONS} == {
        (each["stream"], each["reaction"]) for each in report["results"]
    }
    assert {0.0} == {each["to_never"] for each in report["results"] if each["reaction"] == "never"}


def test_a_learner_of_the_truth_has_no_regret() -> None:
    """Regret is a divergence from the truth: 0 for who says it, more for who has to learn."""
    data = drawn("abrupt", 2_000, seed=1)

    class Oracle:
        def __init__(self) -> None:
            self.place = 0

        def learn(self, buckets: np.ndarray, offsets: np.ndarray, labels: np.ndarray) -> np.ndarray:
            self.place += labels.size
            return data.truth[self.place - labels.size : self.place]

    assert divergence(data, Oracle()) == pytest.approx(0.0, abs=1e-12)
    assert divergence(data, Never(0.05)) > 0.01


def test_rivals_are_what_they_claim() -> None:
    """Equals are alike, the better one is about 1% better, and every broken champion is rolled back."""
    assert sum(equals(seed, 5_000, 1_000, 0.001, 0.05)[0] >= 0 for seed in range(20)) <= 4
    gains = []
    for seed in range(4):
        *_, (champion, challenger) = better(seed, 40_000, 10_000, 0.001, 0.05)
        gains.append(1.0 - challenger / champion)
    assert np.mean(gains) == pytest.approx(0.01, abs=0.005)
    for kind in BREAKS.values():
        assert 0 < broken(1, 20_000, kind, 5_000, 0.001, 0.025) < 5_000


def test_promotion_reports_and_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """False promotions, waits, costs and the search; exit 1 where the better challenger is not found."""
    monkeypatch.setattr(promotion, "POWER_EVENTS", 3_000)
    monkeypatch.setattr(promotion, "SEARCH_EXAMPLES", 4_000)
    result = bench("promotion", "--streams", "5", "--events", "500", "--json")
    report = orjson.loads(result.stdout)
    assert 1 == result.exit_code
    assert "expected a better challenger to be promoted within" in result.stderr
    assert {"ftrl", "river-lr", "a pair of the contest"} == set(report["cost_us"])
    assert min(report["cost_us"].values()) > 0.0
    assert 8 == len(report["rollback"])


def test_poison_is_kept_out() -> None:
    """The gate closes on the poison and opens after it; weights stay finite and shifts ordinary."""
    poison = pytest.importorskip("streams.bench.learning.poison", reason="the extra `bench` is not installed")
    found = poison.poisoned("contradictory labels", 14_000, 2_000, 1)
    assert ("label_rate_high", True) == (found.reason, found.finite)
    assert found.closed_after < 500
    assert found.opened_after < 5_000
    assert found.log_loss < found.log_loss_ungated
    assert 0.0 < found.largest_shift < SPREAD * 2
    assert poison.survives_values(1)


def test_weights_of_a_million_find_a_bound() -> None:
    """The gate lets them pass; all numbers stay finite, and shifts come to their bound and no further."""
    poison = pytest.importorskip("streams.bench.learning.poison", reason="the extra `bench` is not installed")
    found = poison.poisoned(poison.WEIGHTY, 14_000, 100, 1)
    assert ("", True, BOUND) == (found.reason, found.finite, found.largest_shift)


def test_what_poison_has_broken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that are not finite, a shift beyond its bound, a gate that closes where it need not."""
    poison = pytest.importorskip("streams.bench.learning.poison", reason="the extra `bench` is not installed")
    broken = poison.Poisoned(
        poison.WEIGHTY, 100, "unusable", 100, None, False, BOUND + 1.0, 0, 0.2, 0.2, 0.2
    )  # fmt: skip
    monkeypatch.setattr(poison, "KINDS", (poison.WEIGHTY,))
    monkeypatch.setattr(poison, "poisoned", lambda *_: broken)
    assert poison.run(1, 1, 1, lambda: None).failures == [
        "weights of a million: expected the gate to stay open, got 'unusable'",
        "weights of a million: expected finite weights, got others",
        "weights of a million: expected shifts up to 3.0, got 4.0",
    ]
