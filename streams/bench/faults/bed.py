"""What the job stands on: Apache Kafka's nodes, which break, or the embedded broker, which stays whole; and a
ClickHouse engine, which breaks."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from streams.bench.faults.plan import CLUSTER_KINDS, ONE_NODE_KINDS, STORE_KINDS, WORKER_KINDS, Kind
from streams.embedded.broker import broker
from streams.embedded.kafka import Cluster, kafka
from streams.embedded.platform import EngineProcess

STORE_LEFT_OUT = "chdb is not installed: pip install 'headrace[embedded]'"


class Bed:
    """A broker, or several, and a store, or none."""

    def __init__(self, bootstrap_servers: str, cluster: Cluster | None, store: EngineProcess | None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.cluster = cluster
        self.store = store

    @property
    def nodes(self) -> int:
        """How many brokers there are."""
        return len(self.cluster.nodes) if self.cluster else 1

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What can befall a job on this bed."""
        of_store = STORE_KINDS if self.store else ()
        if self.cluster is None:
            return WORKER_KINDS + of_store
        return (CLUSTER_KINDS if self.nodes > 1 else ONE_NODE_KINDS) + of_store

    @property
    def left_out(self) -> Mapping[Kind, str]:
        """What cannot, and why."""
        missing: dict[Kind, str] = {} if self.store else dict.fromkeys(STORE_KINDS, STORE_LEFT_OUT)
        if self.cluster is None:
            missing |= dict.fromkeys(
                ("kill-node", "stop-node", "kill-cluster"),
                "the embedded broker is one node, not ours to restart",
            )
        elif self.nodes == 1:
            missing["kill-cluster"] = "one node is the cluster: kill-node"
        return missing


@contextmanager
def open_bed(directory: Path, nodes: int, embedded: bool, with_store: bool = False) -> Iterator[Bed]:
    """Start the brokers, and a store where it is wanted and chdb is installed; they are ended on exit.

    Raises:
        MissingPackageError: Java, Maven, the checkout or noida-db is not here.
        ProcessError: A broker or the store did not start.
    """
    with ExitStack() as stack:
        cluster = None if embedded else stack.enter_context(kafka(directory, nodes))
        address = cluster.bootstrap_servers if cluster else stack.enter_context(broker(directory))
        store = None
        if with_store and find_spec("chdb") is not None:
            store = stack.enter_context(EngineProcess(directory / "engine"))
        yield Bed(address, cluster, store)
