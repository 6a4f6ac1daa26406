"""The embedded Kafka broker: the binary that the package noida-db carries.

A broker for trying out and for tests: one node, no replication, no TLS, bound to 127.0.0.1. It keeps
topics, groups and transactions on disk in its data directory.
"""

import os
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from streams.embedded.process import MissingPackageError, Process, free_port

PROBE_TIMEOUT_S = 0.5
API_VERSIONS_REQUEST = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Size, api key 18, version 0, correlation id 1, no client id (Kafka protocol guide)."""


@contextmanager
def broker(data_dir: Path, port: int | None = None) -> Iterator[str]:
    """Run a broker over ``data_dir``; yields its bootstrap servers, ``127.0.0.1:<port>``.

    Raises:
        MissingPackageError: noida-db is not installed.
        ProcessError: The broker did not start.
    """
    port = port or free_port()
    address = f"127.0.0.1:{port}"
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [str(_binary(data_dir)), "start", "--only", "kafka", "--kafka-port", str(port)]
    command += ["--host", "127.0.0.1", "--data-dir", str(data_dir)]
    log_path = data_dir / "broker.log"
    with Process("the embedded broker", command, log_path, ready=lambda: answers(address)):
        yield address


def answers(address: str) -> bool:
    """Whether something at ``host:port`` speaks Kafka's protocol."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), PROBE_TIMEOUT_S) as connection:
            connection.sendall(API_VERSIONS_REQUEST)
            with connection.makefile("rb") as stream:
                head = stream.read(8)
    except OSError:
        return False
    return len(head) == 8 and struct.unpack(">ii", head)[1] == 1


def _binary(data_dir: Path) -> Path:
    """The broker's program, executable; copied to ``data_dir`` where the installed one cannot be made so."""
    try:
        installed = Path(str(files("noida_db") / "noida-db"))
    except ModuleNotFoundError:
        installed = Path()
    if not installed.is_file():
        raise MissingPackageError(
            "The embedded broker is not installed: pip install 'headrace[embedded]', "
            "or set kafka.bootstrap_servers to a broker of yours"
        )
    if os.access(installed, os.X_OK):
        return installed
    try:
        installed.chmod(0o755)
    except OSError:
        copy = data_dir / installed.name
        shutil.copyfile(installed, copy)
        copy.chmod(0o755)
        return copy
    return installed
