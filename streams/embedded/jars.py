"""Jars of a Maven project, copied once into the user's cache."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from streams.embedded.process import MissingPackageError, ProcessError

CACHE_DIR = Path.home() / ".cache" / "headrace"
MAVEN_TIMEOUT_S = 600.0
TAIL_LINES = 15


def cached_jars(pom: Path) -> Path:
    """The directory of all jars that a ``pom.xml`` needs at run time; Maven fills it unless it is there.

    Its name has artifact, version and a digest of the pom, so another version is another directory.

    Raises:
        MissingPackageError: There is no Maven.
        ProcessError: Maven failed; the message has the end of what it said.
    """
    project = ElementTree.parse(pom)
    name = f"{project.findtext('{*}artifactId')}-{project.findtext('{*}version')}"
    directory = CACHE_DIR / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:8]}"
    if directory.is_dir():
        return directory
    if shutil.which("mvn") is None:
        raise MissingPackageError(
            f"The jars of {name} are fetched by Maven, and there is no `mvn`: install Maven"
        )
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as scratch:
        jars = Path(scratch) / "jars"
        _copy(pom, jars)
        # Whole or not at all; somebody else may have been as quick.
        if not directory.is_dir():
            jars.rename(directory)
    return directory


def _copy(pom: Path, directory: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}"]
    command = ["mvn", "--batch-mode", "--quiet", f"--file={pom}", *goal]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAVEN_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        tail = "\n".join((error.stdout + error.stderr).splitlines()[-TAIL_LINES:])
        raise ProcessError(f"Maven could not copy the jars of {pom}:\n{tail}") from None
    except subprocess.TimeoutExpired:
        raise ProcessError(f"Maven did not copy the jars of {pom} within {MAVEN_TIMEOUT_S:g} s") from None
