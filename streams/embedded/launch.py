"""Runs a command that dies with its parent: ``python launch.py PARENT_PID COMMAND...``.

It becomes the command by ``exec``, so the pid stays. A program of its own, because code between fork and
exec (``preexec_fn``) can deadlock where the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h; survives exec


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the command."""
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(parent_pid):
        sys.exit("the parent died before the kernel had the request")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
