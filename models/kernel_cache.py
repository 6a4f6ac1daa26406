"""Where compiled kernels are kept: apart for each state of the code.

Numba looks whether the file of a function has changed, and not whether one has from which it takes a function
or a constant. So after an update in place a kernel could go on with what it was compiled from.
"""

import shutil
from pathlib import Path

from numba import config
from xxhash import xxh3_64_hexdigest

ROOT = Path(__file__).parents[1]
SOURCES = "models/*.py", "streams/routing.py", "streams/processor/*.py", "streams/state/*.py"
"""From which kernels take functions or constants."""
PREFIX = "kernels-"


def use_cache_of_this_code() -> None:
    """Let Numba keep what it compiles from now on by a fingerprint of the sources; older ones are removed.

    ``NUMBA_CACHE_DIR`` has its way. Where the folder cannot be written to, Numba takes one of the user's.
    """
    if config.CACHE_DIR:
        return
    folder = Path(__file__).parent / "__pycache__"
    name = PREFIX + fingerprint()
    config.CACHE_DIR = str(folder / name)
    for other in folder.glob(f"{PREFIX}*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def fingerprint() -> str:
    """Of the content of all sources of kernels."""
    paths = sorted(path for pattern in SOURCES for path in ROOT.glob(pattern))
    return xxh3_64_hexdigest(b"".join(path.read_bytes() for path in paths))
