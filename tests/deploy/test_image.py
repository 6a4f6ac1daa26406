"""deploy/Dockerfile, held against the tree: no Docker runs here."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/Dockerfile").read_text()
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
STEPS = [(words[0], words[1]) for line in LINES if (words := line.split(maxsplit=1))]
"""Instruction and the rest of it."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "deploy/constraints.txt").read_text().splitlines() if line[0] != "#"
)


def of(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_it_has_two_stages_of_one_pinned_base() -> None:
    """What builds is left behind; the base is slim and of one patch release, one that the package runs on."""
    first, last = of("FROM")
    assert [last, "AS", "build"] == first.split()
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-\w+", last)
    assert version
    assert tuple(map(int, version[1].split("."))) >= (3, 11)
    assert [] == [
        step for step in STEPS[STEPS.index(("FROM", last)) :] if "pip" in step[1] or "apt" in step[1]
    ]


def test_it_does_not_run_as_root() -> None:
    """By number, so that an orchestrator can see it; it is the user that was made, who owns the cache."""
    (user,) = of("USER")
    assert int(user) > 0
    (made,) = [rest for rest in of("RUN") if "useradd" in rest]
    assert f"--uid {user} headrace" in made
    cache = re.findall(r"NUMBA_CACHE_DIR=(\S+)", TEXT)[0]
    assert f"install -d -o headrace {cache}" in made
    assert STEPS.index(("USER", user)) > STEPS.index(("RUN", made))


def test_what_it_copies_is_there_and_not_ignored() -> None:
    """From the tree into the first stage; the second copies from the first only."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    for rest in of("COPY"):
        words = shlex.split(rest)
        if words[0].startswith("--from="):
            assert "build" == words[0].removeprefix("--from=")
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            ignored = False
            for rule in rules:  # the last rule that matches is the one that holds
                if fnmatch(source, rule.removeprefix("!")):
                    ignored = not rule.startswith("!")
            assert not ignored, source
    packages = [rest.split()[0] for rest in of("COPY") if (ROOT / rest.split()[0]).is_dir()]
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(packages)


def test_it_starts_a_worker() -> None:
    """The entry point is the package's command."""
    assert ['["headrace"]'] == of("ENTRYPOINT")
    assert "headrace" in PROJECT["scripts"]
    assert ['["worker"]'] == of("CMD")


def test_every_package_is_pinned() -> None:
    """All that is installed has a version, those that pyproject.toml pins the same one."""
    assert any("--constraint constraints.txt" in rest for rest in of("RUN"))
    needed = list(_needed(PROJECT["dependencies"]))
    assert set() == {canonicalize_name(each.name) for each in needed} - set(CONSTRAINTS)
    wrong = [
        str(each) for each in needed if not each.specifier.contains(CONSTRAINTS[canonicalize_name(each.name)])
    ]
    assert [] == wrong


def _needed(dependencies: list[str]) -> Iterator[Requirement]:
    """What they need, and what that needs, by the metadata of what is installed here."""
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in dependencies]
    while waiting:
        requirement = waiting.pop()
        yield requirement
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                for text in requires(requirement.name) or []:
                    inner = Requirement(text)
                    if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                        waiting.append(inner)
