"""The raw operations a recorder must do at the least, in one process, without the recorder."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# As the media service sends.
CHUNK_BYTES = 1024 * 1024


class BareRun:
    """A run folder that is written by the bare protocol: four fsyncs an entity."""

    def __init__(self, folder: Path) -> None:
        (folder / "uploads").mkdir(parents=True)
        self._folder = os.open(folder, os.O_RDONLY)
        self._uploads = os.open(folder / "uploads", os.O_RDONLY)
        self._count = 0

    def commit(self, data: bytes, metadata: bytes) -> None:
        """Data file, its folder, metadata, its folder: each durable before the next."""
        self._count += 1
        self._write("data", self._uploads, data)
        os.rename("data", f"{self._count}.txt", src_dir_fd=self._uploads, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        self._write("new", self._folder, metadata)
        os.rename("new", "metadata.json", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._uploads)
        os.close(self._folder)

    @staticmethod
    def _write(name: str, folder: int, data: bytes) -> None:
        file = os.open(name, _NEW, 0o640, dir_fd=folder)
        os.write(file, data)
        os.fsync(file)
        os.close(file)


def hash_and_write(path: Path, block: bytes, size: int) -> str:
    """Write `block` again and again up to `size` bytes, hash and sync; return the SHA-256."""
    digest = hashlib.sha256()
    view = memoryview(block)
    with path.open("xb", buffering=0) as file:
        for at in range(0, size, CHUNK_BYTES):
            start = at % len(block)
            part = view[start : start + min(CHUNK_BYTES, size - at)]
            digest.update(part)
            file.write(part)
        os.fsync(file.fileno())
    return digest.hexdigest()


def copy_and_sync(source: Path, target: Path) -> None:
    """`cp` and `sync`, as a shell does it."""
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)


def read_and_hash(path: Path) -> int:
    """Read a file to its end, hash it as a verified read does; return its size in bytes."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
            size += len(data)
    return size


def read_only(path: Path) -> int:
    """Read a file to its end and return its size in bytes."""
    size = 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(CHUNK_BYTES):
            size += len(data)
    return size
