"""The embedded broker and ClickHouse engine together, and where to reach them."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from streams.embedded.broker import broker
from streams.embedded.process import MissingPackageError, Process, free_port

PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Platform:
    """Addresses of what runs."""

    bootstrap_servers: str
    engine_url: str


@contextmanager
def platform(data_dir: Path) -> Iterator[Platform]:
    """Run both over ``broker`` and ``engine`` of ``data_dir``, where ``broker.url`` and ``engine.url``
    say the addresses as long as they run.

    Raises:
        MissingPackageError: noida-db or chdb is not installed.
        ProcessError: One of the two did not start.
    """
    with ExitStack() as stack:
        bootstrap_servers = stack.enter_context(broker(data_dir / "broker"))
        engine_url = stack.enter_context(engine(data_dir / "engine"))
        stack.enter_context(_announced(data_dir / "broker.url", bootstrap_servers))
        stack.enter_context(_announced(data_dir / "engine.url", engine_url))
        yield Platform(bootstrap_servers, engine_url)


class EngineProcess(Process):
    """The ClickHouse engine: always the same URL and the same data, however often it is started.

    Raises:
        MissingPackageError: chdb is not installed.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        if find_spec("chdb") is None:
            raise MissingPackageError(
                "The embedded ClickHouse engine is not installed: pip install 'headrace[embedded]', "
                "or set clickhouse.host to a server of yours"
            )
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        data_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(
            "the embedded ClickHouse engine",
            [
                sys.executable,
                "-m",
                "streams.embedded.engine",
                "--port",
                str(port),
                "--data-dir",
                str(data_dir),
            ],
            data_dir.with_name(data_dir.name + ".log"),  # the engine owns what is in its directory
            ready=lambda: _pings(self.url),
        )


@contextmanager
def engine(data_dir: Path, port: int | None = None) -> Iterator[str]:
    """Run the ClickHouse engine over ``data_dir``; yields its URL.

    Raises:
        MissingPackageError: chdb is not installed.
        ProcessError: The engine did not start.
    """
    with EngineProcess(data_dir, port) as running:
        yield running.url


def _pings(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=PROBE_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def _announced(path: Path, address: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(address + "\n")
    try:
        yield
    finally:
        if path.is_file() and path.read_text() == address + "\n":
            path.unlink()
