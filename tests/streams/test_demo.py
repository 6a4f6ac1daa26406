"""The demo, with a double for the worker and data sets that were fetched before."""

import gzip
import sys
from pathlib import Path

import psutil
import pytest

from streams.demo import DATASETS, DemoError, demo
from streams.embedded.process import ProcessError
from streams.settings import Embedded, Kafka, Settings

WORKER_DOUBLE = (sys.executable, str(Path(__file__).with_name("worker_double.py")))
VIEW = '{"type":"view","event_id":"e%d","user_id":"u1","ts_ms":1514764800000,"page":"home"}\n'
COUNTS = {"events": 6, "views": 6, "dead_letters": 0, "slots": 1, "decisions": 1}

pytestmark = pytest.mark.usefixtures("broker", "engine")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data directory holds both data sets, of five views each."""
    for dataset in DATASETS:
        with gzip.open(tmp_path / f"{dataset}.jsonl.gz", "wt") as file:
            file.writelines(VIEW % number for number in range(5))
    return Settings(embedded=Embedded(data_dir=str(tmp_path)), kafka=Kafka(partitions=2))


def test_the_summary_follows_when_all_groups_are_through(settings: Settings, tmp_path: Path) -> None:
    """Decisions are counted by identity, addresses are announced, and nothing is left behind."""
    before = set(psutil.Process().children(recursive=True))
    with demo(settings, lambda _: COUNTS, limit=3, worker_command=WORKER_DOUBLE) as running:
        summary = running.summary
        started = set(psutil.Process().children(recursive=True)) - before
        assert running.settings.clickhouse.engine_url == (tmp_path / "engine.url").read_text().strip()
        assert running.settings.kafka.bootstrap_servers == (tmp_path / "broker.url").read_text().strip()
        running.check()
    assert {"events": 6, "views": 6, "dead_letters": 0} == summary.events
    assert (1, 1, 0) == (summary.slots, summary.decisions_on_topic, summary.decisions_in_clickhouse)
    assert 0 == summary.rows["decisions"]
    assert {} == summary.log_loss
    assert 3 == len(started)
    assert not [child for child in started if child.is_running()]
    assert not list(tmp_path.glob("*.url"))


def test_a_worker_that_crashes_ends_the_demo(settings: Settings) -> None:
    """The error has the end of the worker's log."""
    command = (*WORKER_DOUBLE, "--crash")
    with pytest.raises(ProcessError) as caught, demo(settings, lambda _: COUNTS, worker_command=command):
        pass
    assert "worker 0 ended with status 1; the end of its log:\nthe wheel broke" == str(caught.value)


def test_two_demos_in_one_directory_are_refused(settings: Settings, broker: str, tmp_path: Path) -> None:
    """The second must not take away the first one's data."""
    (tmp_path / "broker.url").write_text(broker + "\n")
    with pytest.raises(DemoError, match=f"A demo runs in {tmp_path}"), demo(settings, lambda _: COUNTS):
        pass


def test_a_demo_starts_from_nothing(settings: Settings, tmp_path: Path) -> None:
    """What an earlier demo left does not show in the numbers of the next."""
    for _ in range(2):
        with demo(settings, lambda _: COUNTS, limit=3, worker_command=WORKER_DOUBLE) as running:
            assert 1 == running.summary.decisions_on_topic
    assert (tmp_path / "broker").is_dir()
