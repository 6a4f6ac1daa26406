"""The files that conversions write."""

import gzip
from pathlib import Path

import msgspec
import pytest

from schemas.catalog import Shop
from schemas.events import View, decode_view
from streams.data.jsonl import Writer

VIEW = View("e1", "u1", 1_700_000_000_000, "home", segments=("new",))


def test_a_record_is_one_line_of_the_contract(tmp_path: Path) -> None:
    """What was written decodes to the same struct, and is counted by its type."""
    with Writer(tmp_path / "out.jsonl.gz") as writer:
        writer.write(Shop("s1"))
        writer.write(VIEW)
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()
    assert VIEW == decode_view(lines[1])
    assert {"shop": 1, "view": 1} == writer.counts


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    """Neither the file's name nor the time is in it."""
    for name in ("a.gz", "b.gz"):
        with Writer(tmp_path / name) as writer:
            writer.write(VIEW)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_record_that_breaks_the_contract_leaves_the_old_file(tmp_path: Path) -> None:
    """A conversion that fails leaves what was there, and no partial file."""
    path = tmp_path / "out.jsonl.gz"
    path.write_bytes(b"old")
    with pytest.raises(msgspec.ValidationError, match=r"\$\.ts_ms"), Writer(path) as writer:
        writer.write(View("e1", "u1", 5, "home"))
    assert [path] == list(tmp_path.iterdir())
    assert b"old" == path.read_bytes()
