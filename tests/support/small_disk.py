"""A file system of a few MiB of its own, to be filled up."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PAGE_BYTES = 4096


@contextmanager
def small_disk(folder: Path, size_bytes: int, files: int) -> Iterator[Path]:
    """Mount a tmpfs of that many bytes and files (inodes) there; skip without the right to."""
    options = f"size={size_bytes},nr_inodes={files}"
    with _mounted(folder, "-t", "tmpfs", "-o", options, "tmpfs"):
        yield folder


@contextmanager
def small_ext4(folder: Path, size_bytes: int, files: int) -> Iterator[Path]:
    """Mount an ext4 of that many bytes and files there, from an image beside it."""
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    make = ["mkfs.ext4", "-q", "-m", "0", "-N", str(files), str(image)]
    if shutil.which(make[0]) is None:
        pytest.skip("needs mkfs.ext4 (on Debian: apt install e2fsprogs)")
    subprocess.run(make, check=True)
    with _mounted(folder, "-o", "loop", str(image)):
        yield folder


@contextmanager
def _mounted(folder: Path, *how: str) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", *how, str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_bytes(filler: Path) -> None:
    """Write into this file until the disk takes no more."""
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_PAGE_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        os.fsync(file.fileno())
    assert free_bytes(filler.parent) < _PAGE_BYTES


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
