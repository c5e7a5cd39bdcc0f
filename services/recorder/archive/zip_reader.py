"""A ZIP file that came from somewhere: nothing in it is believed before it was checked.

Refused with InvalidArgument ARCHIVE_INVALID is everything that `ZipStream` does not write. Before
the list of files is read it is known to be small, and before a file is inflated it is known how
large it may become.
"""

from __future__ import annotations

import errno
import hashlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from services.kit.errors import InvalidArgument
from services.recorder.domain.archive import MAX_FILES, split_path

READ_BYTES = 256 * 1024
MAX_LIST_BYTES = 64 * 1024 * 1024
# Texts shrink, but not like this; small archives may.
MAX_RATIO = 200
RATIO_MATTERS_BYTES = 64 * 1024 * 1024
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# What zipfile and zlib raise about the content of a file.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
)


def archive_invalid(why: str) -> InvalidArgument:
    """What is said of a file that is no archive of ours."""
    return InvalidArgument("ARCHIVE_INVALID", why, field="data")


class ZipReader:
    """The files of an archive, by path; only names that an archive has."""

    def __init__(self, file: BinaryIO, size_bytes: int, max_bytes: int) -> None:
        """Read the list of files.

        Args:
            file: the archive.
            size_bytes: how large it is.
            max_bytes: how large all files together may become.

        Raises InvalidArgument ARCHIVE_INVALID.
        """
        self._file = file
        with _broken_archives():
            count = _count(file, size_bytes)
            self._zip = zipfile.ZipFile(file)
            infos = self._zip.infolist()
            if len(infos) != count:
                raise archive_invalid("not as many files as it says")
            self.files: Mapping[str, zipfile.ZipInfo] = _checked(infos)
        total = sum(info.file_size for info in self.files.values())
        if total > max_bytes:
            raise archive_invalid(f"its files would take {total} bytes; at most {max_bytes}")
        if total > max(RATIO_MATTERS_BYTES, MAX_RATIO * size_bytes):
            raise archive_invalid("its files would become far larger than runs do")

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()
        self._file.close()

    def read(self, path: str, size_bytes: int, sha256: str) -> Iterator[bytes]:
        """Yield a file in pieces; it must have this size and digest.

        Raises InvalidArgument ARCHIVE_INVALID, after the last piece when the digest is wrong.
        """
        digest, size = hashlib.sha256(), 0
        for data in self.inflate(path, size_bytes):
            digest.update(data)
            size += len(data)
            yield data
        if (size, digest.hexdigest()) != (size_bytes, sha256):
            raise archive_invalid(f"{path}: not what the manifest says")

    def inflate(self, path: str, most_bytes: int) -> Iterator[bytes]:
        """Yield a file in pieces, as it is. Raises InvalidArgument ARCHIVE_INVALID."""
        size = 0
        with _broken_archives(path), self._zip.open(self.files[path]) as file:
            while data := file.read(READ_BYTES):
                size += len(data)
                if size > most_bytes:
                    raise archive_invalid(f"{path}: longer than it may be")
                yield data


def _count(file: BinaryIO, size_bytes: int) -> int:
    """How many files there are said to be, once that list is known to be small."""
    # zipfile would read all of it into memory, however much the end of the file claims.
    if size_bytes < _END.size:
        raise archive_invalid("not a ZIP file, or not all of it")
    file.seek(size_bytes - _END.size)
    end = _END.unpack(file.read(_END.size))
    if end[0] != b"PK\x05\x06" or end[7] != 0:
        raise archive_invalid("not a ZIP file, or not all of it")
    count, list_bytes = end[4], end[5]
    at = size_bytes - _END.size - _LOCATOR_64.size - _END_64.size
    if at >= 0:
        file.seek(at)
        end_64 = _END_64.unpack(file.read(_END_64.size))
        if file.read(4) == b"PK\x06\x07" and end_64[0] == b"PK\x06\x06":
            count, list_bytes = end_64[7], end_64[8]
    # The manifest itself is not counted by what is counted.
    if count > MAX_FILES + 1 or list_bytes > MAX_LIST_BYTES:
        raise archive_invalid(f"more than {MAX_FILES} files")
    return int(count)


def _checked(infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        # The name as it is there: zipfile cuts some names short.
        name = info.orig_filename
        try:
            split_path(name)
        except ValueError:
            raise archive_invalid("a name that no archive of ours has") from None
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise archive_invalid(f"{name}: not a regular file")
        if info.flag_bits & _ENCRYPTED:
            raise archive_invalid(f"{name}: encrypted")
        if info.compress_type not in _METHODS:
            raise archive_invalid(f"{name}: compressed in a way that no archive of ours is")
        if name in found:
            raise archive_invalid(f"{name}: there twice")
        found[name] = info
    return found


@contextmanager
def _broken_archives(path: str = "") -> Iterator[None]:
    where = f"{path}: " if path else ""
    try:
        yield
    except _BROKEN as error:
        raise archive_invalid(f"{where}not a readable ZIP file") from error
    except OSError as error:
        # A place before the beginning of the file; anything else is the disk's.
        if error.errno != errno.EINVAL:
            raise
        raise archive_invalid(f"{where}not a readable ZIP file") from error
