"""Files of lines, as commands read them: JSON Lines, gzip too, and `-` for stdin."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import click

STDIN = Path("-")
LINES_PER_UPDATE = 10_000

files_argument = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)


def lines_of(file: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The lines of one file; ``advance`` hears how many bytes of it were read since the last time.

    Of stdin, and of what is no file on a disk, it hears nothing.

    Raises:
        click.ClickException: A gzip file is not whole.
    """
    if file == STDIN:
        yield from sys.stdin.buffer
        return
    seen, on_disk = 0, file.is_file()
    with (
        file.open("rb") as raw,
        gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else nullcontext(raw) as lines,
    ):
        try:
            for number, line in enumerate(lines, 1):
                yield line
                if on_disk and number % LINES_PER_UPDATE == 0:
                    advance(raw.tell() - seen)
                    seen = raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise click.ClickException(
                f"{file}: expected a whole gzip file; fetch or pack it again"
            ) from None
        if on_disk:
            advance(file.stat().st_size - seen)


def size_of(files: Iterable[Path]) -> int:
    """Bytes on disk of all of them."""
    return sum(file.stat().st_size for file in files if file != STDIN)
