"""Apache Kafka on this machine: a test bed whose nodes can be killed, paused and started again.

It needs a source checkout (``deploy/testbeds/kafka`` has the pinned version and the nodes' settings), Java 17
or newer, and Maven for the first start. KRaft: every node is broker and controller. Bound to 127.0.0.1,
without TLS or users.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from kafka.errors import KafkaError

from streams.admin import NoBrokerError, open_admin
from streams.embedded.broker import answers
from streams.embedded.jars import cached_jars
from streams.embedded.process import MissingPackageError, Process, ProcessError, free_port
from streams.settings import Kafka

BED_DIR = Path(__file__).parents[2] / "deploy" / "testbeds" / "kafka"
CLUSTER_ID = "headrace-the-test-bedA"
"""16 bytes in URL-safe base64, as Kafka wants it."""
JVM_OPTIONS = (
    "-Xms64m", "-Xmx400m", "-XX:+ExitOnOutOfMemoryError",
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",  # few threads, quick to start
)  # fmt: skip
START_TIMEOUT_S = 60.0
SYNC_TIMEOUT_S = 60.0
PROBE_INTERVAL_S = 0.1


class Node(Process):
    """One node: always the same address and the same data, however often it is started."""

    def __init__(self, node_id: int, port: int, directory: Path, jars_dir: Path) -> None:
        self.address = f"127.0.0.1:{port}"
        self.data_dir = directory / f"node-{node_id}"
        self.properties_path = directory / f"node-{node_id}.properties"
        logging = f"-Dlog4j2.configurationFile={BED_DIR / 'log4j2.properties'}"
        self._java = ["java", *JVM_OPTIONS, logging, "-cp", f"{jars_dir}/*"]
        super().__init__(
            f"Kafka node {node_id}",
            [*self._java, "kafka.Kafka", str(self.properties_path)],
            directory / f"node-{node_id}.log",
            ready=lambda: answers(self.address),
            start_timeout_s=START_TIMEOUT_S,
        )

    def format(self, scram: Mapping[str, str]) -> None:
        """Make the data directory, unless it is there, with passwords of users by SCRAM-SHA-512.

        Raises:
            ProcessError: Kafka's own tool for it failed.
        """
        if (self.data_dir / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self.properties_path)]
        for user, password in scram.items():
            tool += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        done = subprocess.run([*self._java, *tool], capture_output=True, text=True, timeout=START_TIMEOUT_S)
        if done.returncode:
            raise ProcessError(f"{self.name} could not format {self.data_dir}:\n{done.stdout}{done.stderr}")


class Cluster:
    """All nodes together; each one is there to be killed, paused and started by itself."""

    def __init__(self, nodes: Sequence[Node], scram: Mapping[str, str]) -> None:
        self.nodes = tuple(nodes)
        self._scram = scram

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` of all nodes, with commas between."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start all nodes and wait until all serve; of three none serves before two are there.

        Raises:
            ProcessError: One did not start; all are ended then.
        """
        try:
            for node in self.nodes:
                node.format(self._scram)
            for node in self.nodes:
                node.spawn()
            for node in self.nodes:
                node.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End all nodes as a power cut would. (In order is for single ones: the last would need a quorum.)"""
        for node in self.nodes:
            node.kill()

    def wait_until_in_sync(self, timeout_s: float = SYNC_TIMEOUT_S) -> None:
        """Wait until all nodes are in the cluster and every replica of every partition is in sync.

        Raises:
            ProcessError: A node has ended, or this did not come to be in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._in_sync():
            for node in self.nodes:
                node.check()
            if time.monotonic() > deadline_s:
                raise ProcessError(f"Kafka's nodes were not in sync within {timeout_s:g} s")
            time.sleep(PROBE_INTERVAL_S)

    def _in_sync(self) -> bool:
        try:
            with open_admin(Kafka(bootstrap_servers=self.bootstrap_servers)) as admin:
                quorum = admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
                brokers, topics = admin.describe_cluster()["brokers"], admin.describe_topics()
        except (KafkaError, NoBrokerError):
            return False
        # Whichever node answered may have slept: what it says holds if its metadata is the quorum's.
        return (
            {quorum["high_watermark"]} == {voter["log_end_offset"] for voter in quorum["current_voters"]}
            and not any(broker["is_fenced"] for broker in brokers)
            and len(self.nodes) == len(brokers)
            and all(
                set(partition["isr_nodes"]) == set(partition["replica_nodes"])
                for topic in topics
                for partition in topic["partitions"]
            )
        )


@contextmanager
def kafka(
    directory: Path,
    nodes: int = 1,
    port: int | None = None,
    properties: Mapping[str, str] = MappingProxyType({}),
    scram: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Cluster]:
    """Run Apache Kafka with its data, settings and logs in ``directory``; killed on exit.

    Of three nodes, topics have three replicas, two of which must have a record (``min.insync.replicas``).
    ``port`` is the first node's; the others' are free ones. ``properties`` come last on every node, and
    ``listeners`` there are added to its own; ``scram`` has passwords of users.

    Raises:
        MissingPackageError: The source tree, Java or Maven is not here.
        ProcessError: Maven failed, or a node did not start.
    """
    if not BED_DIR.is_dir():
        raise MissingPackageError(f"Apache Kafka runs from a source checkout only: expected {BED_DIR}")
    if shutil.which("java") is None:
        raise MissingPackageError("Apache Kafka needs Java 17 or newer, and there is no `java`: install it")
    jars_dir = cached_jars(BED_DIR / "pom.xml")
    cluster = Cluster(_new_nodes(directory, nodes, port or free_port(), jars_dir, properties), scram)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.kill()


def _new_nodes(
    directory: Path, count: int, port: int, jars_dir: Path, properties: Mapping[str, str]
) -> list[Node]:
    directory.mkdir(parents=True, exist_ok=True)
    ports = [port, *(free_port() for _ in range(count - 1))]
    nodes = [Node(node_id, port, directory, jars_dir) for node_id, port in enumerate(ports, 1)]
    controllers = [f"127.0.0.1:{free_port()}" for _ in nodes]
    shared = (BED_DIR / "server.properties").read_text()
    replicas, in_sync = (3, 2) if count >= 3 else (1, 1)
    for node_id, (node, controller) in enumerate(zip(nodes, controllers, strict=True), 1):
        own: dict[str, object] = {
            "node.id": node_id,
            "log.dirs": node.data_dir,
            "listeners": f"BROKER://{node.address},CONTROLLER://{controller}",
            "advertised.listeners": f"BROKER://{node.address}",
            "controller.quorum.voters": ",".join(f"{voter}@{at}" for voter, at in enumerate(controllers, 1)),
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
        }
        for name, value in properties.items():
            own[name] = f"{own[name]},{value}" if name.endswith("listeners") else value
        lines = "".join(f"{name}={value}\n" for name, value in own.items())
        node.properties_path.write_text(f"{shared}\n{lines}")
    return nodes
