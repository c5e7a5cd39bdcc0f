"""Ties a process to the one that started it, then becomes the command.

Run as a script, ``python -I -S lifeline.py <pid of the starter> <command> …``: the kernel is asked
to kill this process when its starter is gone, whatever ended it, and that holds across exec. A
hook between fork and exec would do the same, but may hang in a program that has threads (gRPC
has). Standard library only: it starts in 15 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main(arguments: list[str]) -> None:
    """Set the death signal, make sure that the starter still lives, exec the command."""
    starter, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    # It may have died before the kernel was asked.
    if os.getppid() != starter:
        raise SystemExit(1)
    os.execv(command[0], command)  # noqa: S606  # what the supervisor was told to start


if __name__ == "__main__":
    main(sys.argv[1:])
