from pathlib import Path

import pytest

from streams.bench.progress import last_report, report


def test_the_newest_report_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was reported last is read back, whatever else stands in the log."""
    for events in (100, 25_000):
        report(events)
    log = tmp_path / "log"
    log.write_text("starting\n" + capsys.readouterr().out + "a warning\n")
    assert 25_000 == last_report(log)


def test_a_line_that_is_being_written_is_skipped(tmp_path: Path) -> None:
    """A report without its end may be cut, so the one before it counts."""
    log = tmp_path / "log"
    log.write_bytes(b'{"events":100}\n{"events":2')
    assert 100 == last_report(log)


def test_a_log_without_reports_is_no_progress(tmp_path: Path) -> None:
    """Before the first report nothing is done."""
    log = tmp_path / "log"
    log.write_text("starting\n")
    assert 0 == last_report(log)
