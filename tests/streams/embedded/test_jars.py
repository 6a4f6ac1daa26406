"""Jars by Maven."""

import stat
from pathlib import Path

import pytest

from streams.embedded import jars
from streams.embedded.jars import cached_jars
from streams.embedded.process import MissingPackageError, ProcessError

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<artifactId>wheel</artifactId><version>1.0</version>
</project>"""


@pytest.fixture
def pom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; the cache is empty, and there is no Maven but what a test makes."""
    monkeypatch.setattr(jars, "CACHE_DIR", tmp_path / "cache")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "pom.xml"
    path.write_text(POM)
    return path


def new_maven(directory: Path, script: str) -> None:
    """A program `mvn` that is found first."""
    program = directory / "mvn"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_jars_are_fetched_once(tmp_path: Path, pom: Path) -> None:
    """The second time Maven is not asked."""
    new_maven(tmp_path, 'for last; do :; done; mkdir -p "${last#*=}"; touch "${last#*=}/wheel.jar"')
    directory = cached_jars(pom)
    assert ["wheel.jar"] == [path.name for path in directory.iterdir()]
    new_maven(tmp_path, "exit 1")
    assert directory == cached_jars(pom)


def test_another_pom_has_other_jars(tmp_path: Path, pom: Path) -> None:
    """A dependency that changes makes another directory."""
    new_maven(tmp_path, 'for last; do :; done; mkdir -p "${last#*=}"')
    before = cached_jars(pom)
    pom.write_text(POM + "<!-- changed -->")
    assert before != cached_jars(pom)


def test_a_maven_that_fails_is_an_error_with_its_last_words(tmp_path: Path, pom: Path) -> None:
    """Nothing is left in the cache that would be taken for jars."""
    new_maven(tmp_path, "echo no such artifact; exit 1")
    with pytest.raises(ProcessError, match="no such artifact"):
        cached_jars(pom)
    assert [] == list((tmp_path / "cache").iterdir())


def test_without_maven_it_says_so(pom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setenv("PATH", str(pom.parent))
    with pytest.raises(MissingPackageError, match="there is no `mvn`"):
        cached_jars(pom)
