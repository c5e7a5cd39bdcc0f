"""A disk that forgets, mounted: `python -m tests.faults.power.mount FOLDER IMAGE JOURNAL`.

IMAGE holds the disk as it is before; every change is written to JOURNAL before it is answered.
Replayed up to any point, the journal gives the disk as it was then, and with that what a power
cut at that moment would have left.
"""

from __future__ import annotations

import errno
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.faults.power.disk import ROOT, Folder, LossyDisk

REPOSITORY = Path(__file__).resolve().parents[3]
MOUNT_SECONDS = 10.0


def serve(folder: str, image: Path, journal: Path) -> None:
    """Mount and serve until unmounted."""
    # Loads libfuse3, which not every machine has.
    import mfusepy

    class Operations(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def __init__(self, disk: LossyDisk, journal: BinaryIO) -> None:
            self._disk, self._journal = disk, journal

        def init_with_config(self, conn_info: Any, config: Any) -> None:
            # A file that is open may be unlinked for good, and then has no path.
            config.contents.hard_remove = 1
            config.contents.nullpath_ok = 1

        def _node(self, path: str) -> int:
            node = ROOT
            for name in path.strip("/").split("/") if path != "/" else ():
                node = self._disk.lookup(node, name)
            return node

        def _place(self, path: str) -> tuple[int, str]:
            parent, _, name = path.rpartition("/")
            return self._node(parent or "/"), name

        def _change(self, what: str, *arguments: Any) -> int:
            result = getattr(self._disk, what)(*arguments)
            self._journal.write(pickle.dumps((what, arguments)))
            self._journal.flush()
            return result or 0

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            found = self._disk.nodes[fh or self._node(path)]
            if isinstance(found, Folder):
                return {"st_mode": stat.S_IFDIR | 0o750, "st_nlink": 2}
            return {"st_mode": stat.S_IFREG | 0o640, "st_nlink": 1, "st_size": len(found.data)}

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *self._disk.folder(self._node(path)).names]

        def open(self, path: str, flags: int) -> int:
            return self._node(path)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return bytes(self._disk.file(fh).data[offset : offset + size])

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            return self._change("create", *self._place(path))

        def mkdir(self, path: str, mode: int) -> int:
            self._change("mkdir", *self._place(path))
            return 0

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return self._change("write", fh, offset, bytes(data))

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            return self._change("truncate", fh or self._node(path), length)

        def unlink(self, path: str) -> int:
            return self._change("unlink", *self._place(path))

        def rmdir(self, path: str) -> int:
            return self._change("rmdir", *self._place(path))

        def rename(self, old: str, new: str) -> int:
            return self._change("rename", *self._place(old), *self._place(new))

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            return self._change("sync", fh)

        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            return self._change("sync", self._node(path))

    with journal.open("ab") as file:
        disk: LossyDisk = pickle.loads(image.read_bytes())
        mfusepy.FUSE(Operations(disk, file), folder, foreground=True, nothreads=True)


class Mounted:
    """A mounted disk, its journal, and the power switch."""

    def __init__(self, folder: Path, disk: LossyDisk) -> None:
        folder.mkdir()
        self.folder = folder / "disk"
        self.folder.mkdir()
        self._image, self._journal = folder / "image", folder / "journal"
        self._image.write_bytes(pickle.dumps(disk))
        arguments = [str(self.folder), str(self._image), str(self._journal)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.power.mount", *arguments], cwd=REPOSITORY
        )
        deadline = time.monotonic() + MOUNT_SECONDS
        while not self.folder.is_mount():
            assert self._process.poll() is None, "the file system ended"
            assert time.monotonic() < deadline, "the file system is not mounted"
            time.sleep(0.01)

    def position(self) -> int:
        """How far the journal goes now."""
        return self._journal.stat().st_size

    def off(self) -> None:
        """Cut the power: nothing reaches the disk any more."""
        self._process.kill()
        self._process.wait(10)
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def disks(self) -> Iterator[tuple[int, LossyDisk]]:
        """The disk after every change, with the journal's position; the same object each time."""
        disk: LossyDisk = pickle.loads(self._image.read_bytes())
        with self._journal.open("rb") as file:
            yield 0, disk
            while True:
                try:
                    what, arguments = pickle.load(file)
                except (EOFError, pickle.UnpicklingError):
                    return  # the last one, perhaps torn, was not answered
                getattr(disk, what)(*arguments)
                yield file.tell(), disk

    def disk(self) -> LossyDisk:
        """The disk after the last change."""
        *_, (_, last) = self.disks()
        return last


@contextmanager
def mounted(folder: Path, disk: LossyDisk) -> Iterator[Mounted]:
    """Mount a disk; skips where FUSE is missing."""
    needs_fuse()
    running = Mounted(folder, disk)
    try:
        yield running
    finally:
        if running.folder.is_mount():
            running.off()


def needs_fuse() -> None:
    """Skip the test where nothing can be mounted, and say what is missing."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"needs /dev/fuse, which answers {errno.errorcode.get(error.errno or 0)}")
    if os.geteuid():
        pytest.skip("needs root, to unmount a file system that is dead")
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError):
        pytest.skip("needs libfuse3 (on Debian: apt install fuse3)")


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
