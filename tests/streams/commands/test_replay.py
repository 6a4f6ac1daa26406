"""`headrace replay`."""

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from streams.cli import main
from streams.commands import replay as command
from streams.replay import ReplayError, ReplayReport
from streams.settings import Settings

VIEW = b'{"type":"view","user_id":"u1","ts_ms":1700000000000}\n'
CLICK = b'{"type":"click","user_id":"u1","ts_ms":1700000000001}\n'
LATER = b'{"type":"view","user_id":"u1","ts_ms":1700000000002}\n'


class RecordingReplay:
    """Takes the lines in place of a broker."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.options: dict[str, Any] = {}

    async def __call__(self, lines: Iterable[bytes], settings: Settings, **options: Any) -> ReplayReport:
        self.lines = list(lines)
        self.options = options
        return ReplayReport({"views": len(self.lines)}, 1, 0.5)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> RecordingReplay:
    double = RecordingReplay()
    monkeypatch.setattr(command, "replay_lines", double)
    return double


def replay(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["replay", *arguments], input=stdin)


def test_a_gzip_file_is_unpacked(replayed: RecordingReplay, tmp_path: Path) -> None:
    """The lines of a .gz file arrive as they are, and the report is one object on stdout."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(VIEW + CLICK))
    result = replay(str(tmp_path / "a.jsonl.gz"), "--json")
    assert [VIEW, CLICK] == replayed.lines
    assert {"topics": {"views": 2}, "unkeyed": 1, "duration_s": 0.5} == orjson.loads(result.stdout)


def test_files_are_merged_by_time(replayed: RecordingReplay, tmp_path: Path) -> None:
    """Two files give one stream in the order of event time."""
    (tmp_path / "views.jsonl").write_bytes(VIEW + LATER)
    (tmp_path / "clicks.jsonl").write_bytes(CLICK)
    assert 0 == replay(str(tmp_path / "views.jsonl"), str(tmp_path / "clicks.jsonl")).exit_code
    assert [VIEW, CLICK, LATER] == [line.rstrip() + b"\n" for line in replayed.lines]


def test_stdin_is_a_source(replayed: RecordingReplay) -> None:
    """The file `-` is stdin, and the options reach the replay."""
    assert 0 == replay("-", "--rate", "500", "--limit", "10", "--skew-s", "60", stdin=VIEW).exit_code
    assert [VIEW] == replayed.lines
    assert {"rate": 500.0, "limit": 10, "skew_s": 60.0} == replayed.options


def test_a_truncated_file_is_one_sentence(replayed: RecordingReplay, tmp_path: Path) -> None:
    """A gzip file that ends too early fails the replay and says which."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(VIEW * 100)[:-20])
    result = replay(str(path))
    assert 1 == result.exit_code
    assert (
        f"Error: {path}: expected a whole gzip file; fetch or pack it again" == result.stderr.splitlines()[-1]
    )


def test_a_failed_replay_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay's error is the command's."""

    async def fail(*_: object, **__: object) -> ReplayReport:
        raise ReplayError("no broker answers at 127.0.0.1:9092")

    monkeypatch.setattr(command, "replay_lines", fail)
    result = replay("-")
    assert 1 == result.exit_code
    assert "Error: no broker answers at 127.0.0.1:9092" == result.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["absent.jsonl"], ["-", "--rate", "0"], ["-", "--limit", "0"]])
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    """No file, a missing one, and numbers that make no sense are usage errors."""
    assert 2 == replay(*arguments).exit_code
