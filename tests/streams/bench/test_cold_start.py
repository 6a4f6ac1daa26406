"""New ads in the synthetic shop."""

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from models.features import FEATURES
from streams.bench.cold_start import EDGES, METHODS, Plan, alone, counted, draw, judge
from streams.cli import main

PLAN = Plan("other", exposures=20_000, seeds=(1,))


@pytest.fixture(scope="module")
def log():
    return draw(PLAN, seed=1)


def test_new_ads_are_shown_from_the_middle_on(log) -> None:
    """Then from their first exposure; the rows have every feature."""
    first_new = int(np.flatnonzero(log.is_new)[0])
    assert (~log.is_new[:first_new]).all()
    assert 0.25 * PLAN.exposures < first_new < 0.5 * PLAN.exposures
    assert (len(log.ad), len(FEATURES)) == log.rows.shape
    ad = log.ad[first_new]
    assert list(range(5)) == log.nth[log.ad == ad][:5].tolist()


def test_a_judge_of_the_truth_finds_nothing_wrong(log) -> None:
    """The true probabilities have no error; twice as much is wrong by log 2 in every stretch."""
    right, double = judge(log, log.truth), judge(log, 2 * log.truth)
    assert {0.0} == {round(error, 12) for error in right.error_by_exposures.values()}
    assert 0.0 == right.excess_log_loss_new == right.excess_log_loss_old
    assert double.error_by_exposures == pytest.approx(dict.fromkeys(right.error_by_exposures, np.log(2)))
    assert len(EDGES) - 1 == len(right.error_by_exposures)


def test_counts_move_what_was_learned_towards_what_came(log) -> None:
    """Where an ad is clicked more often than was expected, its odds rise; the first is as it was."""
    plain, smoothed = alone(log), counted(("ad",))(log)
    assert plain[0] == smoothed[0]
    ad = np.bincount(log.ad).argmax()
    rows = np.flatnonzero(log.ad == ad)
    surplus = log.clicked[rows[:-1]].sum() - plain[rows[:-1]].sum()
    assert np.sign(surplus) == np.sign(smoothed[rows[-1]] - plain[rows[-1]])


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "cold-start", "--seeds", "1", *arguments])


def test_the_report_has_every_method() -> None:
    """With --json stdout holds one object; else a line a method."""
    small = ("--config", "other", "--exposures", "10000")
    result = bench(*small, "--json")
    assert 0 == result.exit_code
    assert list(METHODS) == list(orjson.loads(result.stdout)["methods"])
    assert 1 + len(METHODS) == len(bench(*small).stdout.splitlines())


def test_an_unknown_configuration_exits_with_2() -> None:
    """As for the simulation itself."""
    assert 2 == bench("--config", "absent").exit_code
