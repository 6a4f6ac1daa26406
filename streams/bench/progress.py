"""How far a measured system has come: what a peer prints, and how its log is read."""

from pathlib import Path

import orjson

TAIL_BYTES = 4096


def report(events: int) -> None:
    """Print that so many events are done, as one line of JSON."""
    print(orjson.dumps({"events": events}).decode(), flush=True)


def last_report(log_path: Path) -> int:
    """The newest number that was reported; 0 where there is none yet.

    Other lines and one that is still being written are skipped.
    """
    with log_path.open("rb") as log:
        log.seek(max(0, log.seek(0, 2) - TAIL_BYTES))
        lines = log.read().splitlines(keepends=True)
    for line in reversed(lines):
        if line.startswith(b'{"events":') and line.endswith(b"}\n"):
            return int(orjson.loads(line)["events"])
    return 0
