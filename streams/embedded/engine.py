"""The embedded ClickHouse engine: chdb in a process of its own, behind a part of ClickHouse's HTTP interface.

``python -m streams.embedded.engine --port PORT --data-dir DIR`` serves on 127.0.0.1 only, without users or
passwords; for trying out and for tests. Then::

    curl 'http://127.0.0.1:8123/?database=headrace' -d 'SELECT count() FROM decisions'

The part (https://clickhouse.com/docs/interfaces/http): ``/ping``; ``/`` with the statement in ``query``, in
the body, or in both, where the body carries an insert's data; ``database``, ``default_format`` and
``param_<name>``. Settings go into the statement's SETTINGS clause. An error has ClickHouse's text as its
body and its code in ``X-ClickHouse-Exception-Code``. Statements run one at a time, each to its end.
"""

import os
import re
import signal
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

HOST = "127.0.0.1"
PARENT_CHECK_S = 1.0
INSERT_WITH_FORMAT = re.compile(r"(\s*INSERT\b.*)\bFORMAT\s+(\w+)[\s;]*", re.IGNORECASE | re.DOTALL)
ERROR_CODE = re.compile(r"Code: (\d+)")


class EngineError(Exception):
    """The engine refused a statement; the text is ClickHouse's."""


class Engine:
    """A database on disk. One statement at a time, because chdb's session has one current database."""

    def __init__(self, data_dir: Path) -> None:
        from chdb.session import Session  # 300 MB that only this process may load

        data_dir.mkdir(parents=True, exist_ok=True)
        self._session = Session(str(data_dir))
        self._database = ""
        self._lock = threading.Lock()

    def run(
        self, statement: str, data: bytes, database: str, output_format: str, parameters: dict[str, str]
    ) -> bytes:
        """Run one statement and return what it prints.

        Raises:
            EngineError: ClickHouse refused it.
        """
        with self._lock:
            try:
                if database != self._database:
                    self._session.query(f"USE `{database}`")
                    self._database = database
                insert = INSERT_WITH_FORMAT.fullmatch(statement) if data else None
                if insert:
                    return self._insert(insert[1], data, insert[2])
                if data:
                    statement += "\n" + data.decode()
                result = self._session.query(statement, output_format, params=parameters)
            except RuntimeError as error:  # chdb's errors are of this class, whatever the cause
                raise EngineError(str(error)) from None
        return b"" if result is None else bytes(result.bytes())

    def close(self) -> None:
        """Close the database, once the statement that runs has ended; no other runs after it."""
        self._lock.acquire()  # and never released: a request that waits here ends with the process
        self._session.close()

    def _insert(self, statement: str, data: bytes, input_format: str) -> bytes:
        # Handed over as bytes: inside the statement's text the same block takes twice as long.
        with self._session.send_insert(statement, input_format) as stream:
            stream.append(data)
            stream.finish()
        return b""


class Handler(BaseHTTPRequestHandler):
    """One request of ClickHouse's HTTP interface."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        """``/ping``, or a statement in ``query``."""
        self._answer()

    def do_POST(self) -> None:
        """A statement, and data for an insert."""
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Statements may hold personal data: nothing is logged."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if "Origin" in self.headers:  # else any page in a browser of this machine could read and write here
            self._send(
                HTTPStatus.FORBIDDEN, b"Expected a request without `Origin`: browsers are not served\n"
            )
        elif "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(HTTPStatus.LENGTH_REQUIRED, b"Expected a body with `Content-Length`\n")
        elif url.path == "/ping":
            self._send(HTTPStatus.OK, b"Ok.\n")
        elif url.path != "/":
            self._send(HTTPStatus.NOT_FOUND, b"Expected the path / or /ping\n")
        else:
            self._run(dict(parse_qsl(url.query, keep_blank_values=True)), body)

    def _run(self, arguments: dict[str, str], body: bytes) -> None:
        statement = arguments.pop("query", "")
        database = arguments.pop("database", "default")
        output_format = arguments.pop("default_format", "TabSeparated")
        parameters = {
            name.removeprefix("param_"): arguments.pop(name)
            for name in list(arguments)
            if name.startswith("param_")
        }
        if arguments:
            names = ", ".join(sorted(arguments))
            message = f"Expected query, database, default_format or param_<name> in the URL, got {names}\n"
            self._send(HTTPStatus.BAD_REQUEST, message.encode())
            return
        try:
            if not statement:
                statement, body = body.decode(), b""
            answer = self.server.engine.run(statement, body, database, output_format, parameters)
        except UnicodeDecodeError:
            self._send(HTTPStatus.BAD_REQUEST, b"Expected a statement in UTF-8\n")
        except EngineError as error:
            code = ERROR_CODE.search(str(error))
            self._send(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), code[1] if code else "0")
        else:
            self._send(HTTPStatus.OK, answer)

    def _send(self, status: HTTPStatus, body: bytes, error_code: str = "") -> None:
        self.send_response(status)
        if error_code:
            self.send_header("X-ClickHouse-Exception-Code", error_code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Listens on loopback; connections are kept, each in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__((HOST, port), Handler)
        self.engine = engine


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="TCP port on 127.0.0.1.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the database is kept; of one engine at a time.",
)
def main(port: int, data_dir: Path) -> None:
    """Serve the embedded ClickHouse engine until SIGTERM, or until the parent process is gone."""
    parent_pid = os.getppid()
    try:
        engine = Engine(data_dir)
        server = Server(port, engine)
    except (RuntimeError, OSError) as error:
        raise click.ClickException(
            f"The engine did not start on port {port} over {data_dir}: {error}; "
            "a port and a directory are for one engine at a time"
        ) from None
    # After chdb, which sets handlers of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    threading.Thread(target=_end_with, args=(parent_pid,), daemon=True).start()
    try:
        server.serve_forever()
    finally:
        engine.close()


def _end_with(parent_pid: int) -> None:
    # Asked again and again, because the kernel's own signal (PR_SET_PDEATHSIG) is Linux's only.
    while os.getppid() == parent_pid:
        time.sleep(PARENT_CHECK_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
