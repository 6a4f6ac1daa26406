"""The demo: real shop logs through an embedded broker, workers and an embedded ClickHouse engine.

The grocer's year is on the broker before the workers start: a backlog, on which their speed is measured. The
fashion shop's week is replayed while they work, slowly enough that decisions are made with weights that its
first clicks have trained.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, INPUTS, MODEL, OUTCOMES, Topic
from streams.admin import open_admin
from streams.crew import Crew, Fault
from streams.embedded.broker import answers
from streams.embedded.platform import Platform, platform
from streams.embedded.process import dies_with_us
from streams.lag import end_offsets, wait_until_read
from streams.settings import Adoption, Role, Settings, child_environment
from streams.sinks.store import open_store
from streams.summary import Summary, summarize

HEADRACE = (sys.executable, "-m", "streams")
WORKER = (*HEADRACE, "worker")

BACKLOG, LIVE = DATASETS = ("completejourney", "obd")
"""A grocer's year 2017, then a fashion shop's week of 2019: stream time does not go back."""

LIVE_RATE = "2000"
"""Events a second: a week in twenty seconds, of which a version of the weights takes two."""

STAGES: tuple[tuple[Role, str, Sequence[Topic]], ...] = (
    ("process", "Processing events", INPUTS),
    ("learn", "Learning examples", (EXAMPLES,)),
    ("sink", "Filling ClickHouse", (DECISIONS, OUTCOMES, DEAD_LETTERS, MODEL)),
)
"""Each role, what it does and what it reads; a stage's end is taken once the stage before is through."""

REPLAY_SKEW_S = "1e12"  # nobody reads along yet
FAULT_SHARE = 1 / 3
"""Of the backlog; then the fault happens."""
STDERR = 2


class DemoError(RuntimeError):
    """A step of the demo failed; the step has said why on stderr."""


class Running(Struct, frozen=True):
    """A demo that is through, and still runs."""

    settings: Settings
    """With the addresses of what runs."""
    summary: Summary
    check: Callable[[], None]
    """Raises ``ProcessError`` if a worker has ended."""


@contextmanager
def demo(
    settings: Settings,
    read_counters: Callable[[Settings], dict[str, int]],
    limit: int | None = None,
    workers: int = 1,
    fault: Fault | None = None,
    worker_command: Sequence[str] = WORKER,
) -> Iterator[Running]:
    """Run it all, with progress on stderr; on exit everything is stopped, in the reverse order.

    It starts from nothing in ``broker`` and ``engine`` of the data directory; what they wrote stays there
    until the next demo, for queries.

    Args:
        settings: Where the data is, and all that is not an address.
        read_counters: Counts of the processor, see ``streams.summary.summarize``.
        limit: Events of each data set, at most.
        workers: Worker processes.
        fault: What happens to the first worker in the middle of the backlog.
        worker_command: What each of them runs.

    Raises:
        DemoError: A data set cannot be had, or a step failed.
        ProcessError: A package is missing, or a child process ended.
        StalledError: The workers do not get on.
        StoreError: The engine failed.
    """
    data_dir = Path(settings.embedded.data_dir).resolve()
    files = {dataset: _fetched(settings, dataset, data_dir) for dataset in DATASETS}
    _clear(data_dir)
    with platform(data_dir) as running:
        settings = _reaching(settings, running)
        _run(settings, "init")
        bound = ["--limit", str(limit)] if limit else []
        _run(settings, "replay", str(files[BACKLOG]), "--skew-s", REPLAY_SKEW_S, *bound)
        backlog = _records(settings, INPUTS)
        with Crew(settings, worker_command, data_dir, workers) as crew:
            pending = [fault] if fault else []

            def check(share: float = 1.0) -> None:
                crew.check()
                if pending and share >= FAULT_SHARE:
                    crew.suffer(pending.pop())

            took_s = _wait(settings, "process", "Processing the backlog", INPUTS, check)
            _run(settings, "replay", str(files[LIVE]), "--rate", LIVE_RATE, *bound)
            for role, label, topics in STAGES:
                _wait(settings, role, label, topics, check)
            with closing(open_store(settings.clickhouse)) as store:
                summary = summarize(settings.kafka, store, read_counters(settings), backlog, took_s)
            yield Running(settings, summary, check)


def _fetched(settings: Settings, dataset: str, data_dir: Path) -> Path:
    try:
        _run(settings, "data", "fetch", dataset, "--out", str(data_dir))
    except DemoError:
        raise DemoError(
            f"The data set {dataset} is not to be had (see above). Without it: `headrace bench throughput` "
            "makes its own events, and `headrace replay FILE` sends yours from JSON Lines"
        ) from None
    return data_dir / f"{dataset}.jsonl.gz"


def _clear(data_dir: Path) -> None:
    address = data_dir / "broker.url"
    if address.is_file() and answers(address.read_text().strip()):
        raise DemoError(f"A demo runs in {data_dir}: stop it, or set embedded.data_dir to another place")
    for name in ("broker", "engine"):
        shutil.rmtree(data_dir / name, ignore_errors=True)


def _reaching(settings: Settings, running: Platform) -> Settings:
    """The settings with the addresses of what runs, which is one broker and no ClickHouse server.

    The logs hold so few clicks that the challenger is to see every example. And a week of them passes in
    twenty seconds: what a worker reads a moment later is hours late.
    """
    return replace(
        settings,
        processing=replace(settings.processing, lateness_s=6 * 3600.0),
        learning=replace(settings.learning, challenger_sample=1.0),
        kafka=replace(settings.kafka, bootstrap_servers=running.bootstrap_servers, replication_factor=1),
        clickhouse=replace(settings.clickhouse, host="", engine_url=running.engine_url),
        adoption=Adoption(),
    )


def _run(settings: Settings, *arguments: str) -> None:
    """Run one of our commands; its report and progress go to stderr."""
    done = subprocess.run(
        dies_with_us([*HEADRACE, *arguments]),
        env=child_environment(settings),
        stdout=STDERR,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"headrace {arguments[0]} failed (see above)")


def _records(settings: Settings, topics: Sequence[Topic]) -> int:
    with open_admin(settings.kafka) as admin:
        return sum(end_offsets(admin, topics).values())


def _wait(
    settings: Settings, role: Role, label: str, topics: Sequence[Topic], check: Callable[[float], None]
) -> float:
    """Wait until the role is through; returns the seconds from its first to its last step."""
    group_id = f"{settings.kafka.group_id}-{role}"
    # A worker that stands still says so itself and exits; this is for one that reads another topic.
    stall_timeout_s = 1.5 * settings.processing.stall_timeout_s
    started_s = ended_s = time.monotonic()
    with click.progressbar(length=1, label=label, file=click.get_text_stream("stderr")) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal started_s, ended_s
            check(done / max(1, total))
            now_s = time.monotonic()
            if done == 0:
                started_s = now_s  # it compiles its kernels and joins its group
            if done > bar.pos:
                ended_s = now_s
            bar.length = max(1, total)
            bar.update(done - bar.pos)

        wait_until_read(settings.kafka, group_id, topics, stall_timeout_s, progress)
    return ended_s - started_s
