"""A file system of a few MiB of its own, to be filled up."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PAGE_BYTES = 4096


@contextmanager
def small_disk(folder: Path, size_bytes: int, files: int) -> Iterator[Path]:
    """Mount a tmpfs of that many bytes and files (inodes) there; skip without the right to."""
    folder.mkdir()
    options = f"size={size_bytes},nr_inodes={files}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_bytes(filler: Path) -> None:
    """Write into this file until the disk has not a byte left."""
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_PAGE_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    assert free_bytes(filler.parent) == 0


def fill_files(filler: Path) -> None:
    """Make empty files in this folder until the disk has not an inode left."""
    filler.mkdir()
    try:
        for number in range(1_000_000):
            (filler / str(number)).touch()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def free_bytes(folder: Path) -> int:
    """What can still be written."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
