"""How this process treats memory it has freed."""

from __future__ import annotations

import ctypes

# Names of the GNU C library's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
KEPT_BYTES = 16 * 1024 * 1024
MAPPED_FROM_BYTES = 4 * 1024 * 1024


def keep_freed_memory() -> None:
    """Keep freed memory for the next message, instead of giving it back and asking again.

    The C library gives chunks of 256 KiB back to the system as soon as they are free, and the
    system clears every page of the next one. Does nothing where there is no `mallopt` (musl).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
