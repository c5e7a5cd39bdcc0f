"""What a process may not do to another of the same user, by the means of Linux."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 4, 1, 38  # <sys/prctl.h>
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # <sched.h>


def refuse_readers() -> None:
    """Let no process of the same user read this one's environment and memory, or trace it.

    Its files in /proc belong to root from now on; its own look at them is not hindered. A child
    that becomes another program has to do it again.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(number: int) -> None:
    """Have this signal sent here when the parent's thread ends; gone with an exec of another."""
    _prctl(_PR_SET_PDEATHSIG, number)


def gain_nothing() -> None:
    """Let no program that is started from here have more rights than this one."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def leave_network() -> str:
    """Go where there is no network, not even this machine's own; "" or why that cannot be.

    Sockets that are open stay so. Only for a process of one thread. Many containers and some
    systems do not let a process do this.
    """
    if sys.platform != "linux":
        return "not Linux"
    libc = ctypes.CDLL(None, use_errno=True)
    why = ""
    # In a user namespace of its own it needs no rights, and loses those that root would have.
    for what in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET):
        if libc.unshare(what) == 0:
            return ""
        why = why or errno.errorcode.get(ctypes.get_errno(), "unknown")
    return why


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, int(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
