"""A broker and the workers over it, which tests kill, freeze and replace."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from kafka import TopicPartition
from kafka.admin import MemberToRemove

from schemas.topics import EXAMPLES, INPUTS
from streams.admin import ask
from streams.bench.faults.gauge import Gauge
from streams.bench.faults.oracle import expected_results
from streams.bench.faults.results import Results, left_results
from streams.bench.mix import Mix
from streams.delivery.clients import confirm, new_producer, send
from streams.embedded.process import Process
from streams.lag import committed_offsets, end_offsets, wait_until_read
from streams.settings import Settings, child_environment

WORKER = ("-m", "streams", "worker", "--roles", "process,learn")
POLL_S = 0.01
ASK_S = 0.1
"""Where a broker is asked, each time by a client of its own: every 10 ms that took a third of a core."""
SLICE_S = 0.02
"""Two workers do some 500 events of the standard mix in it, or 4,000 that ask for nothing."""
TIMEOUT_S = 60.0
"""Far longer than anything here takes: a joined group, a compiled kernel, a rebalance."""
STOP_TIMEOUT_S = 15.0
"""A worker that is told to stop has 10 s for its last checkpoint."""

Members = set[tuple[str, str]]
"""Consumer group and member id."""


class Worker(Process):
    """A worker process, to be ended in any way."""

    members: Members = frozenset()  # type: ignore[assignment]
    """What it is in the consumer groups; known once it has joined them."""

    def exit_status(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for its end."""
        assert self._child is not None
        return self._child.wait(timeout_s)

    def terminate(self) -> None:
        """End it as an orchestrator does; it must leave in time and in order."""
        self.send(signal.SIGTERM)
        assert 0 == self.exit_status(STOP_TIMEOUT_S), self.log_tail()

    def generation(self, group: str) -> int:
        """The newest one of a group in which it had work, 0 before; from its log, which takes no time."""
        found = re.findall(rf"{group}: generation (\d+),", self.log_path.read_text(errors="replace"))
        return int(found[-1]) if found else 0

    @property
    def ended(self) -> bool:
        return self._child is None or self._child.poll() is not None


class Bed:
    """Settings, workers, and how far they have come."""

    def __init__(self, settings: Settings, directory: Path, expires_sessions: bool, stack: ExitStack) -> None:
        self.settings = settings
        self.workers: list[Worker] = []
        self._directory = directory
        self._expires_sessions = expires_sessions
        self._stack = stack
        self.ask = partial(ask, settings.kafka)
        """Puts a question to an admin client."""
        self.groups = [f"{settings.kafka.group_id}-{role}" for role in ("process", "learn")]

    def start(self, *command: str, settings: Settings | None = None) -> Worker:
        """Start a worker, or another program in its place; settings of its own if need be."""
        name = f"worker {len(self.workers)}"
        worker = Worker(
            name,
            [sys.executable, *(command or WORKER)],
            self._directory / f"{name}.log",
            environment=child_environment(settings or self.settings),
        )
        self.workers.append(self._stack.enter_context(worker))
        return worker

    def start_joined(self) -> Worker:
        """Start a worker and wait until it is a member of its groups, and all have their partitions."""
        before, worker = self.members(), self.start()
        self.wait_for(lambda: len(self.members() - before) == len(self.groups), worker, poll_s=ASK_S)
        worker.members = self.members() - before
        process, learn = self.groups
        self.wait_for(
            lambda: (
                min(each.generation(process) for each in self.workers) >= len(self.workers)
                and max(each.generation(learn) for each in self.workers) >= len(self.workers)
            ),
            worker,
        )
        return worker

    def load(self, stream: Mix) -> None:
        """Lay all events on the topics in one transaction, so that workers see all of them or none."""
        asyncio.run(self._load(stream))

    async def _load(self, stream: Mix) -> None:
        producer = new_producer(self.settings.kafka, "shop")
        await producer.start()
        async with producer.transaction():
            for (topic, partition), rows in stream.records.items():
                messages = [(key, value) for key, value, _ in rows]
                await confirm(await send(producer, topic, partition, messages), TIMEOUT_S)
        await producer.stop()

    def expire(self, worker: Worker) -> None:
        """Wait until a frozen worker's session has timed out.

        The embedded broker (0.2.3) never does it: there its part is done by hand.
        """
        if self._expires_sessions:
            self.wait_for(lambda: not worker.members & self.members(), poll_s=ASK_S)
            return
        for group, member_id in worker.members:
            left = [MemberToRemove(member_id=member_id)]
            self.ask(lambda admin, group=group, left=left: admin.remove_group_members(group, left))

    def members(self) -> Members:
        """Whom the coordinator knows."""
        described = self.ask(lambda admin: admin.describe_groups(self.groups))
        return {(name, each["member_id"]) for name, group in described.items() for each in group["members"]}

    def committed(self) -> int:
        """Events that have had their effect."""
        partitions = [
            TopicPartition(topic.name, number)
            for topic in INPUTS
            for number in range(self.settings.kafka.partitions)
        ]
        return sum(self.ask(lambda admin: committed_offsets(admin, self.groups[0], partitions)).values())

    def wait_for(self, condition: Callable[[], bool], *workers: Worker, poll_s: float = POLL_S) -> None:
        """Wait until it is so, while these workers live."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            for worker in workers:
                worker.check()
            assert time.monotonic() < deadline_s, "timed out"
            time.sleep(poll_s)

    def wait_for_share(self, share: float, *workers: Worker, loading: Mix | None = None) -> None:
        """Wait until this share of the events is committed; more must be left.

        All of their work takes workers a second or two, and a busy broker as long to say how far they are: so
        they stand still while events are loaded, and after each ``SLICE_S`` until it has said so.
        """
        with Gauge(self.settings.kafka, self.groups[0], POLL_S) as gauge:
            with self._standing(workers):
                total = sum(self.ask(lambda admin: end_offsets(admin, INPUTS)).values())
                if loading is not None:
                    # Not asked for afterwards: a transaction's end comes to its partitions a moment later.
                    total += sum(map(len, loading.records.values()))
                    self.load(loading)
            if loading is None:
                self.wait_for(lambda: gauge.events > 0, *workers)
            deadline_s = time.monotonic() + TIMEOUT_S
            while gauge.events < share * total:
                assert time.monotonic() < deadline_s, "timed out"
                time.sleep(SLICE_S)
                for worker in workers:
                    worker.check()
                with self._standing(workers):
                    gauge.answered = False
                    self.wait_for(lambda: gauge.answered)
            assert gauge.events < 0.95 * total, "the run was over before it could be disturbed"

    @contextmanager
    def _standing(self, workers: Sequence[Worker]) -> Iterator[None]:
        for worker in workers:
            worker.pause()
        try:
            yield
        finally:
            for worker in workers:
                worker.resume()

    def wait_until_read(self, *workers: Worker) -> None:
        """Wait until every event has had its effect and every example has been learned."""

        def check(done: int, total: int) -> None:
            for worker in workers:
                worker.check()

        for group, topics in zip(self.groups, (INPUTS, (EXAMPLES,)), strict=True):
            wait_until_read(self.settings.kafka, group, topics, TIMEOUT_S, check)

    def results(self) -> tuple[Results, Results]:
        """What must be there, and what is; no worker may be running."""
        left = left_results(self.settings)
        stream_ms = {partition: progress["stream_ms"] for partition, progress in left.progress.items()}
        return expected_results(self.settings, stream_ms), left


@contextmanager
def bed(settings: Settings, directory: Path, expires_sessions: bool) -> Iterator[Bed]:
    """A bed over a broker; what its workers said last goes to stdout, for a test that fails."""
    with ExitStack() as stack:
        made = Bed(settings, directory, expires_sessions, stack)
        try:
            yield made
        finally:
            for worker in made.workers:
                print(f"--- {worker.name}\n{worker.log_tail()}")
