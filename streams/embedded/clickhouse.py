"""A ClickHouse server on this machine: a test bed that can be killed, paused and started again.

It needs a source checkout (``deploy/testbeds/clickhouse``) and the program `clickhouse-server`. Bound to
127.0.0.1, native protocol, without passwords.

What is tried on it is the connection, retries and restarts. Debian's server is of 2018 and takes the reduced
tables beside its configuration only: there is none for `decisions`, whose audit is in maps.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded.process import MissingPackageError, Process, free_port
from streams.settings import ClickHouse

BED_DIR = Path(__file__).parents[2] / "deploy" / "testbeds" / "clickhouse"
HOST = "127.0.0.1"
PROBE_TIMEOUT_S = 1.0


class Server(Process):
    """A server: always the same port and the same data, however often it is started."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        self.settings = ClickHouse(host=HOST, port=port)
        data_dir = directory / "data"
        data_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "the ClickHouse server",
            [program, f"--config-file={BED_DIR / 'config.xml'}"],
            directory / "server.log",
            ready=self._accepts,
            environment=os.environ
            | {
                "CLICKHOUSE_TCP_PORT": str(port),
                "CLICKHOUSE_PATH": f"{data_dir}/",
                "CLICKHOUSE_TMP_PATH": f"{data_dir}/tmp/",
            },
        )

    def _accepts(self) -> bool:
        # It listens once its tables are loaded.
        with socket.socket() as probe:
            probe.settimeout(PROBE_TIMEOUT_S)
            return probe.connect_ex((self.settings.host, self.settings.port)) == 0


@contextmanager
def clickhouse(directory: Path, port: int | None = None) -> Iterator[Server]:
    """Run a server with its data and log in ``directory``; stopped on exit.

    Raises:
        MissingPackageError: The source tree or the program is not here.
        ProcessError: It did not start.
    """
    if not BED_DIR.is_dir():
        raise MissingPackageError(
            f"The ClickHouse server runs from a source checkout only: expected {BED_DIR}"
        )
    program = shutil.which("clickhouse-server")
    if program is None:
        raise MissingPackageError(
            "There is no `clickhouse-server`: install it, on Debian by `apt-get install clickhouse-server`"
        )
    with Server(program, directory, port or free_port()) as server:
        yield server
