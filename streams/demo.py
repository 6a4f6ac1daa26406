"""The demo: real shop logs through an embedded broker, workers and an embedded ClickHouse engine.

The logs are on the broker before the workers start, so that the workers' speed is what is measured, and
not that of a replay, which has to keep the topics abreast of each other while somebody reads along.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from schemas.topics import DEAD_LETTERS, DECISIONS, EXAMPLES, INPUTS, MODEL, OUTCOMES, Topic
from streams.embedded.broker import answers
from streams.embedded.platform import Platform, platform
from streams.embedded.process import Process, dies_with_us
from streams.lag import wait_until_read
from streams.settings import Role, Settings, child_environment
from streams.sinks.store import open_store
from streams.summary import Summary, summarize

HEADRACE = (sys.executable, "-m", "streams")
WORKER = (*HEADRACE, "worker")

DATASETS = ("completejourney", "obd")
"""A grocer's year 2017, then a fashion shop's week of 2019: stream time does not go back."""

STAGES: tuple[tuple[Role, str, Sequence[Topic]], ...] = (
    ("process", "Processing events", INPUTS),
    ("learn", "Learning examples", (EXAMPLES,)),
    ("sink", "Filling ClickHouse", (DECISIONS, OUTCOMES, DEAD_LETTERS, MODEL)),
)
"""Each role, what it does and what it reads; a stage's end is taken once the stage before is through."""

REPLAY_SKEW_S = "1e12"  # nobody reads along yet
WORKER_STOP_TIMEOUT_S = 20.0
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
        worker_command: What each of them runs.

    Raises:
        DemoError: A data set cannot be had, or a step failed.
        ProcessError: A package is missing, or a child process ended.
        StalledError: The workers do not get on.
        StoreError: The engine failed.
    """
    data_dir = Path(settings.embedded.data_dir).resolve()
    files = [_fetched(settings, dataset, data_dir) for dataset in DATASETS]
    _clear(data_dir)
    with platform(data_dir) as running:
        settings = _reaching(settings, running)
        _run(settings, "init")
        for file in files:
            bound = ["--limit", str(limit)] if limit else []
            _run(settings, "replay", str(file), "--skew-s", REPLAY_SKEW_S, *bound)
        with ExitStack() as stack:
            crew = [_worker(settings, worker_command, data_dir, number) for number in range(workers)]
            for worker in crew:
                stack.enter_context(worker)

            def check() -> None:
                for worker in crew:
                    worker.check()

            took_s = {role: _wait(settings, role, label, topics, check) for role, label, topics in STAGES}
            with closing(open_store(settings.clickhouse)) as store:
                summary = summarize(settings.kafka, store, read_counters(settings), took_s["process"])
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

    The logs hold so few clicks that the challenger is to see every example.
    """
    return replace(
        settings,
        learning=replace(settings.learning, challenger_sample=1.0),
        kafka=replace(settings.kafka, bootstrap_servers=running.bootstrap_servers, replication_factor=1),
        clickhouse=replace(settings.clickhouse, host="", engine_url=running.engine_url),
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


def _worker(settings: Settings, command: Sequence[str], data_dir: Path, number: int) -> Process:
    return Process(
        f"worker {number}",
        command,
        data_dir / f"worker-{number}.log",
        environment=child_environment(settings),
        stop_timeout_s=WORKER_STOP_TIMEOUT_S,
    )


def _wait(
    settings: Settings, role: Role, label: str, topics: Sequence[Topic], check: Callable[[], None]
) -> float:
    """Wait until the role is through; returns the seconds from its first to its last step."""
    group_id = f"{settings.kafka.group_id}-{role}"
    # A worker that stands still says so itself and exits; this is for one that reads another topic.
    stall_timeout_s = 1.5 * settings.processing.stall_timeout_s
    started_s = ended_s = time.monotonic()
    with click.progressbar(length=1, label=label, file=click.get_text_stream("stderr")) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal started_s, ended_s
            check()
            now_s = time.monotonic()
            if done == 0:
                started_s = now_s  # it compiles its kernels and joins its group
            if done > bar.pos:
                ended_s = now_s
            bar.length = max(1, total)
            bar.update(done - bar.pos)

        wait_until_read(settings.kafka, group_id, topics, stall_timeout_s, progress)
    return ended_s - started_s
