"""JSON Lines files of catalogue entries and events: one validated record a line, all or nothing."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from schemas.catalog import Entry
from schemas.events import Event

Progress = Callable[[int, int], None]
"""Called with the records written and the records there will be."""


class Report(Struct, frozen=True):
    """What a conversion wrote."""

    path: str
    counts: dict[str, int]
    """Records by their ``type``."""
    applied: dict[str, int]
    """How often each stand-in rule of the data set applied."""


class Writer:
    """Writes records to ``path`` under a temporary name that becomes ``path`` only if all went well.

    Packed by gzip where the name ends with ``.gz``. Every line is decoded again by the contract before it is
    written, so that the file holds no event that a worker would turn away; ``kinds`` is a union of other
    structs to hold it to. The bytes depend on the records alone.

    Raises:
        msgspec.ValidationError: from ``write``, where a record breaks a bound of the contract.
    """

    def __init__(self, path: Path, kinds: Any = Entry | Event) -> None:
        self.path = path
        self._decode = Decoder(kinds).decode
        self.counts: Counter[str] = Counter()
        self._partial = path.with_name(path.name + ".part")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            raw = stack.enter_context(self._partial.open("wb"))
            # No file name and no time in the header: the same records give the same bytes. Level 5
            # costs half the time of the default 9 for 2% more bytes.
            self._file: Any = raw
            if self.path.suffix == ".gz":
                self._file = stack.enter_context(gzip.GzipFile("", "wb", 5, raw, mtime=0))
            self._open = stack.pop_all()
        return self

    def write(self, record: Struct) -> None:
        line = _encode(record)
        self._decode(line)
        self._file.write(line + b"\n")
        self.counts[str(record.__struct_config__.tag)] += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        if kind is None:
            self._partial.replace(self.path)
        else:
            self._partial.unlink()


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file that a ``Writer`` wrote."""
    with path.open("rb") as raw:
        yield from gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


_encode = Encoder().encode
