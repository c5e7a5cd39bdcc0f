"""What a process may not do to another of the same user, by the means of Linux."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_PR_SET_DUMPABLE, _PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 4, 1, 38  # <sys/prctl.h>
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # <sched.h>
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same number on all architectures
_RULESET_VERSION = 1
# <linux/landlock.h>: to execute, to write; 4 to 12: to remove and to make anything; to truncate.
_CHANGES = 1 << 0 | 1 << 1 | sum(1 << right for right in range(4, 13))
_TRUNCATE = 1 << 14
_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11


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
        why = why or _last_error()
    return why


def keep_hands_off() -> str:
    """Change no file, run no program, use no TCP and signal nobody else; "" or why that cannot be.

    By Landlock, which needs no rights, only that `gain_nothing` was called before. What is open
    stays usable, and everything can be read as before. For a process of one thread. Linux 5.13
    knows files, 6.7 TCP as well, 6.12 signals.
    """
    if sys.platform != "linux":
        return "not Linux"
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _RULESET_VERSION)
    if version < 1:
        return _last_error()
    rules = (ctypes.c_uint64 * 3)(_CHANGES)
    size = 1
    if version >= 3:
        rules[0] |= _TRUNCATE
    if version >= 4:
        rules[1], size = _BIND_AND_CONNECT, 2
    if version >= 6:
        rules[2], size = _ABSTRACT_SOCKETS_AND_SIGNALS, 3
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(size * 8), 0)
    if ruleset < 0:
        return _last_error()
    try:
        return "" if libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0 else _last_error()
    finally:
        os.close(ruleset)


def _last_error() -> str:
    return errno.errorcode.get(ctypes.get_errno(), "unknown")


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, int(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
