"""Where compiled kernels are kept: apart for each state of the code.

Numba looks whether the file of a function has changed, and not whether one has from which it takes a function
or a constant. So after an update in place a kernel could go on with what it was compiled from.
"""

import os
import shutil
from pathlib import Path

from numba import config
from xxhash import xxh3_64_hexdigest

ROOT = Path(__file__).parents[1]
SOURCES = "models/*.py", "streams/routing.py", "streams/processor/*.py", "streams/state/*.py"
"""From which kernels take functions or constants."""
PREFIX = "kernels-"


def use_cache_of_this_code() -> None:
    """Let Numba keep what it compiles from now on in a folder of the sources' fingerprint.

    It lies in ``NUMBA_CACHE_DIR`` if that is set, else beside the code, where those of other fingerprints are
    removed, or in the user's cache where the code may not be written to.
    """
    name, beside = PREFIX + fingerprint(), Path(__file__).parent / "__pycache__"
    if config.CACHE_DIR:
        config.CACHE_DIR = str(Path(config.CACHE_DIR) / name)
    elif _can_write(beside / name):
        config.CACHE_DIR = str(beside / name)
        for other in beside.glob(f"{PREFIX}*"):
            if other.name != name:
                shutil.rmtree(other, ignore_errors=True)
    else:
        users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        config.CACHE_DIR = str(Path(users) / "headrace" / name)


def fingerprint() -> str:
    """Of the content of all sources of kernels."""
    paths = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    return xxh3_64_hexdigest(b"".join(path.read_bytes() for path in paths))


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
