"""The packages that Headrace asks for: which are installed, and which it pins exactly."""

import re
from importlib.metadata import PackageNotFoundError, requires, version

REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?(?:==([\w.]+))?")


def pins() -> dict[str, str]:
    """Version by package of those that are pinned exactly, because their insides are used.

    >>> "aiokafka" in pins(), "click" in pins()
    (True, False)
    """
    return {package: pinned for package, pinned in _requirements() if pinned}


def packages() -> dict[str, str]:
    """Installed version by package, of all that Headrace or one of its extras asks for."""
    installed = {}
    for package, _ in _requirements():
        try:
            installed[package] = version(package)
        except PackageNotFoundError:  # of an extra that was not asked for
            continue
    return installed


def _requirements() -> list[tuple[str, str | None]]:
    matches = [REQUIREMENT.match(line) for line in requires("headrace") or ()]
    return [(match[1], match[2]) for match in matches if match]
