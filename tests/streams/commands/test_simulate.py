"""`headrace simulate`."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from schemas.events import View
from streams.cli import main
from streams.commands import simulate as command
from streams.data.jsonl import lines_of
from streams.routing import route
from streams.simulate.closed_loop import ClosedLoop
from streams.simulate.live import LiveReport
from streams.simulate.shop import Shop
from streams.simulate.truth import ExposureTruth, ShopTruth, UserTruth, read


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


def test_a_log_and_its_truth_are_written(tmp_path: Path) -> None:
    """All lines go to their topics, the catalogue first; the truth has a line for each exposure of an ad."""
    log, truth = tmp_path / "shop.jsonl.gz", tmp_path / "truth.jsonl"
    result = simulate(
        "--events", "3000", "--config", "other", "--output", str(log), "--truth", str(truth), "--json"
    )  # fmt: skip
    assert 0 == result.exit_code
    report = orjson.loads(result.stdout)
    records = list(route(lines_of(log)))
    entries = [record for record in records if record.topic == "catalog"]
    assert records[: len(entries)] == entries
    assert 3000 == len(records) - len(entries)
    assert len(records) == sum(report["counts"].values())
    assert all(record.key and record.ts_ms for record in records[len(entries) :])
    told = list(read(truth))
    assert isinstance(told[0], ShopTruth)
    lines = map(orjson.loads, lines_of(log))
    shown = {line["event_id"] for line in lines if line["type"] == "exposure" and "ad_id" in line}
    assert shown == {each.exposure_id for each in told if isinstance(each, ExposureTruth)}
    assert report["truth_counts"]["user"] == sum(isinstance(each, UserTruth) for each in told)
    assert report["events_per_s"] > 0


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    """Byte for byte, packed as well; another seed gives others."""
    files = [tmp_path / f"{name}.jsonl.gz" for name in ("first", "again", "other")]
    for file, seed in zip(files, ("7", "7", "8"), strict=True):
        assert (
            0
            == simulate(
                "--events", "1000", "--seed", seed, "--config", "other", "--output", str(file)
            ).exit_code
        )
    first, again, other = (file.read_bytes() for file in files)
    assert first == again
    assert first != other


def test_drift_and_bots_reach_the_configuration(tmp_path: Path) -> None:
    """The head of the truth file says what was asked for."""
    truth = tmp_path / "truth.jsonl"
    arguments = ("--events", "200", "--config", "other", "--output", str(tmp_path / "shop.jsonl"))
    assert 0 == simulate(*arguments, "--truth", str(truth), "--drift", "abrupt", "--bots", "0.5").exit_code
    head = next(read(truth))
    assert isinstance(head, ShopTruth)
    assert ("abrupt", 0.5) == (head.configuration["drift"]["kind"], head.configuration["bots"]["share"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Expected --output FILE, or --live"),
        (("--live", "--output", "x.jsonl"), "--output and --events are of a log"),
        (("--output", "x.jsonl", "--rate", "5"), "--rate, --duration-s and --speed are of --live"),
        (("--live", "--speed", "60"), "--speed needs --duration-s"),
        (("--output", "x.jsonl", "--config", "absent"), "expected base, other or a TOML file"),
        (("--output", "x.jsonl", "--bots", "2"), "Invalid value for '--bots'"),
    ],
)
def test_wrong_use_exits_with_2(arguments: tuple[str, ...], reason: str) -> None:
    """Options that do not go together, and a configuration that is not there."""
    result = simulate(*arguments)
    assert 2 == result.exit_code
    assert reason in result.stderr


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """Exit 1 with the reason."""
    (tmp_path / "file").write_text("")
    result = simulate("--config", "other", "--output", str(tmp_path / "file" / "shop.jsonl"))
    assert 1 == result.exit_code
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert result.stderr.endswith("choose another FILE\n")


@pytest.mark.parametrize("speed", ["1", "600"])
def test_the_rate_holds_at_any_time_of_day(monkeypatch: pytest.MonkeyPatch, speed: str) -> None:
    """Page views a second of wall time are those asked for, from the first second on, within a tenth."""
    views = 0

    async def count(shop: Shop, loop: ClosedLoop, *_: object) -> LiveReport:
        nonlocal views
        run_ms = 60_000 * int(speed)
        views = sum(isinstance(event, View) for event in loop.due(loop.from_ms + run_ms))
        return LiveReport({"views": views}, {}, 0, None, None, 60.0, views / 60)

    monkeypatch.setattr(command, "live", count)
    result = simulate("--live", "--rate", "100", "--duration-s", "60", "--speed", speed, "--config", "other")
    assert 0 == result.exit_code, result.output
    assert 6000 == pytest.approx(views, rel=0.1)
    assert "no decision came" in result.stdout


def test_without_a_broker_it_says_so() -> None:
    """With --live and nobody at the address: exit 1 and one sentence."""
    result = CliRunner().invoke(
        main,
        ["--set", "kafka.bootstrap_servers=127.0.0.1:9", "simulate", "--live", "--config", "other"],
    )
    assert 1 == result.exit_code
    assert "Error: no broker answers at 127.0.0.1:9" in result.stderr
