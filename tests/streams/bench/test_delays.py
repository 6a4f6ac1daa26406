"""Late conversions: how they are told, and what the bench says of it."""

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from streams.bench.delays import (
    DAY_MS,
    HOUR_MS,
    LAWS,
    METHODS,
    RECHECKED_MS,
    Modelled,
    Plan,
    after,
    as_late_as_conversions,
    at_the_click,
    draw,
    judge,
)
from streams.cli import main

PLAN = Plan(clicks_per_day=2000, warm_days=3, days=4)
WINDOW_MS = 7 * DAY_MS


@pytest.fixture(scope="module")
def clicks():
    return draw(PLAN, LAWS["mean-1d"])


def test_the_stream_is_what_the_truth_says(clicks) -> None:
    """Clicks convert as often as their probabilities say, after a day in the mean; launched ads come late."""
    assert (np.diff(clicks.ts_ms) >= 0).all()
    assert clicks.converted.mean() == pytest.approx(clicks.truth.mean(), rel=0.15)
    assert 0.7 * DAY_MS < clicks.delay_ms.mean() < 1.4 * DAY_MS
    assert PLAN.warm_days == clicks.ts_ms[clicks.launched].min() // DAY_MS


def test_an_hours_label_is_the_hours(clicks) -> None:
    """A click is labelled once, by what has come until then."""
    told = after(HOUR_MS)(clicks, WINDOW_MS)
    assert len(clicks.ts_ms) == len(told.click)
    assert (clicks.ts_ms + HOUR_MS == told.ts_ms).all()
    assert (clicks.converted & (clicks.delay_ms <= HOUR_MS)).sum() == told.label.sum()


@pytest.mark.parametrize("tell", [at_the_click, as_late_as_conversions])
def test_each_click_is_one_negative_and_each_conversion_one_positive(clicks, tell) -> None:
    """Positives come when the conversion comes."""
    told = tell(clicks, WINDOW_MS)
    assert list(range(len(clicks.ts_ms))) == sorted(told.click[~told.label].tolist())
    came = told.click[told.label]
    assert np.flatnonzero(clicks.converted).tolist() == came.tolist()
    assert (clicks.ts_ms[came] + clicks.delay_ms[came] == told.ts_ms[told.label]).all()


def test_the_delay_model_is_told_each_age_once(clicks) -> None:
    """A click is learned at each age until it converts, each time in place of the age before."""
    told = Modelled().examples(clicks, WINDOW_MS)
    assert clicks.converted.sum() == told.label.sum()
    never = np.flatnonzero(~clicks.converted)[0]
    assert list(RECHECKED_MS) == told.age_ms[told.click == never].tolist()
    assert [0, *RECHECKED_MS[:-1]] == told.previous_ms[told.click == never].tolist()


def test_a_judge_of_the_truth_finds_nothing_wrong(clicks) -> None:
    """The true probabilities have a ratio near 1 and no excess; half of them have a ratio of a half."""
    right, half = (judge(PLAN, clicks, share * clicks.truth) for share in (1.0, 0.5))
    assert 0.0 == right.log_loss_excess
    assert right.judged.ratio == pytest.approx(1.0, abs=0.3)
    assert half.judged.ratio == pytest.approx(right.judged.ratio / 2)
    assert half.log_loss_excess > 0.005


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["bench", "delays", "--law", "mean-6h", "--clicks-per-day", "1000", *arguments]
    )


def test_the_report_has_every_method_and_day() -> None:
    """With --json stdout holds one object; what is shipped is the nearest to what became of the clicks."""
    result = bench("--json")
    report = orjson.loads(result.stdout)["laws"]["mean-6h"]
    assert 0 == result.exit_code
    assert list(METHODS) == list(report)
    assert 18 == len(report["shipped"]["by_day"])
    assert 0.6 < report["shipped"]["judged"]["ratio"] < 1.4
    assert report["label-at-1-hour"]["judged"]["ratio"] < 0.4


def test_the_table_has_a_line_a_method() -> None:
    """A header, and a line for each method, in the stream of a sale as well."""
    lines = bench("--stream", "sale").stdout.splitlines()
    assert 1 + len(METHODS) == len(lines)
    assert ["mean-6h", "shipped"] == lines[-1].split()[:2]


def test_an_unknown_configuration_exits_with_2() -> None:
    """As for the simulation itself."""
    assert 2 == bench("--config", "absent").exit_code
