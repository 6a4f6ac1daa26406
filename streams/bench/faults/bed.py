"""What the job stands on: Apache Kafka's nodes, which break, or the embedded broker, which stays whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from streams.bench.faults.plan import CLUSTER_KINDS, ONE_NODE_KINDS, WORKER_KINDS, Kind
from streams.embedded.broker import broker
from streams.embedded.kafka import Cluster, kafka

STORE_LEFT_OUT = "the ClickHouse server bed has no table for decisions: tests/delivery/test_store.py kills it"


class Bed:
    """A broker, or several."""

    def __init__(self, bootstrap_servers: str, cluster: Cluster | None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.cluster = cluster

    @property
    def nodes(self) -> int:
        """How many brokers there are."""
        return len(self.cluster.nodes) if self.cluster else 1

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What can befall a job on this bed."""
        if self.cluster is None:
            return WORKER_KINDS
        return CLUSTER_KINDS if self.nodes > 1 else ONE_NODE_KINDS

    @property
    def left_out(self) -> Mapping[Kind, str]:
        """What cannot, and why."""
        missing: dict[Kind, str] = {"kill-store": STORE_LEFT_OUT}
        if self.cluster is None:
            missing |= dict.fromkeys(
                ("kill-node", "stop-node", "kill-cluster"),
                "the embedded broker is one node, not ours to restart",
            )
        elif self.nodes == 1:
            missing["kill-cluster"] = "one node is the cluster: kill-node"
        return missing


@contextmanager
def open_bed(directory: Path, nodes: int, embedded: bool) -> Iterator[Bed]:
    """Start the brokers; they are ended on exit.

    Raises:
        MissingPackageError: Java, Maven, the checkout or noida-db is not here.
        ProcessError: A broker did not start.
    """
    if embedded:
        with broker(directory) as bootstrap_servers:
            yield Bed(bootstrap_servers, None)
    else:
        with kafka(directory, nodes) as cluster:
            yield Bed(cluster.bootstrap_servers, cluster)
