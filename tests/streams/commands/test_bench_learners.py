"""``headrace bench learners``, ``quality`` and ``truth``."""

import gzip
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from streams.bench import contestants, learner_speed, quality, truth
from streams.bench.contestants import Contestant, ours
from streams.cli import main

pytest.importorskip("vowpalwabbit", reason="the extra `bench` is not installed")

SAME = ("ftrl", "vw ftrl, shipped settings")


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *arguments])


@pytest.fixture
def without_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's compilation takes seconds, and nothing here is about it."""
    for module in (contestants, learner_speed, truth):
        monkeypatch.setattr(module, "has_dense", lambda: False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Logs of the public ones' shape; the label goes by one word."""
    random = np.random.default_rng(1)
    lines = []
    for word in random.integers(0, 20, 600).tolist():
        label = int(random.random() < (0.7 if word < 5 else 0.1))
        lines.append("\t".join([str(label), *["3"] * 13, f"w{word}", *["c"] * 25]))
    folder = tmp_path / "criteo_8k"
    folder.mkdir()
    for name, text in (("train", "\n".join([*lines, ""])), ("dev", ""), ("test", "")):
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    rows = ["ip,app,device,os,channel,click_time,attributed_time,is_attributed"]
    for second, app in enumerate(random.integers(0, 10, 600).tolist()):
        label = int(random.random() < (0.5 if app == 3 else 0.05))
        rows.append(f"{second % 50},{app},1,2,3,2017-11-07 09:{second // 60:02}:{second % 60:02},,{label}")
    folder = tmp_path / "talkingdata_100k"
    folder.mkdir()
    (folder / "train_sample.csv.gz").write_bytes(gzip.compress("\n".join([*rows, ""]).encode()))
    return tmp_path


def test_all_learn_the_same_buckets() -> None:
    """FTRL with the same settings predicts alike whether ours or Vowpal Wabbit's, to its float32."""
    random = np.random.default_rng(1)
    buckets = (random.integers(0, 500, (2_000, 6)) + 500 * np.arange(6)).astype(np.uint32)
    labels = random.random(2_000) < np.where(buckets[:, 0] < 250, 0.6, 0.1)
    compared = {each.name: each.prepare(buckets, labels)() for each in contestants.compared(18, None)
                if each.name in SAME}  # fmt: skip
    gap = np.abs(compared["ftrl"] - compared["vw ftrl, shipped settings"])
    assert gap.max() < 1e-4


@pytest.mark.usefixtures("without_dense")
def test_the_speed_report_has_every_learner() -> None:
    """With --json stdout holds the cost of each learner at both numbers of features, and the ratios."""
    result = bench("learners", "--examples", "4000", "--repetitions", "1", "--json")
    report = orjson.loads(result.stdout)
    assert 0 == result.exit_code
    assert ["16", "39"] == list(report["costs"])
    for costs in report["costs"].values():
        assert {each.name for each in learner_speed.contestants()} == costs.keys()
        assert all(0.0 < cost["low_us"] <= cost["median_us"] <= cost["high_us"] for cost in costs.values())
    ratio = report["costs"]["16"]["river ftrl"]["median_us"] / report["costs"]["16"]["ftrl"]["median_us"]
    assert ratio == pytest.approx(report["river_ftrl_to_ftrl"]["16"])


@pytest.mark.usefixtures("without_dense")
def test_the_quality_report_is_paired(data: Path) -> None:
    """Both logs, every learner, and a difference to the best reference for ours alone."""
    result = bench("quality", "--data", str(data), "--orders", "2", "--json")
    report = orjson.loads(result.stdout)
    assert 0 == result.exit_code, result.output
    criteo, talkingdata = report["logs"]["criteo"], report["logs"]["talkingdata"]
    assert (600, 2, 40) == (criteo["examples"], criteo["orders"], criteo["features"])
    assert (300, 1, 11) == (talkingdata["examples"], talkingdata["orders"], talkingdata["features"])
    for log in (criteo, talkingdata):
        best = log["scores"][log["best_reference"]]["log_loss"]["mean"]
        for name, score in log["scores"].items():
            is_ours = name.split(",")[0] in ("ftrl", "fwfm")
            assert is_ours == (score["minus_best_reference"] is not None)
            if is_ours:
                expected = score["log_loss"]["mean"] - best
                assert expected == pytest.approx(score["minus_best_reference"]["mean"])
        assert log["scores"]["ftrl"]["auc"] > 0.55
    assert {"alpha", "beta", "l1", "l2"} == report["chosen"].keys()


@pytest.mark.usefixtures("without_dense")
def test_one_log_alone_has_no_chosen_settings(data: Path) -> None:
    """Settings are chosen on talkingdata; the table says which learner did how well."""
    lines = bench("quality", "--data", str(data), "--log", "criteo", "--orders", "2").stdout.splitlines()
    assert lines[0].startswith("criteo: 600 examples, ")
    assert not any("chosen" in line for line in lines)


def test_missing_data_fail_in_one_sentence(tmp_path: Path) -> None:
    """A directory without the logs is an error with the path that was looked for, exit 1."""
    result = bench("quality", "--data", str(tmp_path / "absent"))
    assert (1, "") == (result.exit_code, result.stdout)
    assert "train.tsv.gz: No such file or directory; expected the log there" in result.stderr


@pytest.mark.usefixtures("without_dense")
def test_the_truth_report_compares_the_best() -> None:
    """Divergences of every learner, and our best by River's and by Vowpal Wabbit's."""
    result = bench("truth", "--exposures", "3000", "--config", "other", "--json")
    report = orjson.loads(result.stdout)
    assert 0 == result.exit_code, result.output
    halves = {name: score["divergence_half"]["mean"] for name, score in report["scores"].items()}
    assert min(halves.values()) > 0.0
    best = report["best_of_ours"]
    assert min(halves["ftrl"], halves["fwfm"]) == halves[best]
    assert report["best_to_river_half"] == pytest.approx(
        halves[best] / min(halves["river lr"], halves["river ftrl"])
    )


def test_an_unknown_shop_is_wrong_usage() -> None:
    """As for the simulation itself."""
    assert 2 == bench("truth", "--config", "absent").exit_code


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Vowpal Wabbit the command says what to install, exit 1."""
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    monkeypatch.setattr(learner_speed, "has_dense", lambda: False)
    result = bench("learners", "--examples", "4000", "--repetitions", "1")
    assert 1 == result.exit_code
    assert "pip install 'headrace[bench]'" in result.stderr


def test_settings_are_chosen_by_log_loss() -> None:
    """Of the grid the settings win whose FTRL has the lowest progressive loss on the first half."""
    random = np.random.default_rng(2)
    buckets = random.integers(0, 50, (400, 3)).astype(np.uint32)
    labels = random.random(400) < 0.3
    log = quality.HashedLog(("a", "b", "c"), buckets.astype(np.int64), buckets, labels)
    chosen = quality.choose(log)

    def loss(settings: contestants.LinearSettings) -> float:
        learner: Contestant = ours(
            "x", lambda: quality.FTRLProximal(18, settings.alpha, settings.beta, settings.l1, settings.l2)
        )
        return float(quality.losses(learner.prepare(buckets[:200], labels[:200])(), labels[:200]).mean())

    assert min(map(loss, quality.GRID)) == loss(chosen)
