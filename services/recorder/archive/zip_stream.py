"""A ZIP file as a stream: made piece by piece, never whole anywhere."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

PIECE_BYTES = 256 * 1024
_FIRST_MOMENT = datetime(1980, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Written:
    """What a file in the archive is."""

    size_bytes: int
    sha256: str


class _Sink:
    """Takes what zipfile writes until somebody fetches it; cannot seek, so nothing is rewritten."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._parts.append(bytes(data))
        self.size_bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written is there."""

    def close(self) -> None:
        """Do nothing: the pieces are still wanted."""

    def fetch(self) -> Iterator[bytes]:
        """What is there, in pieces of at most 256 KiB."""
        data = memoryview(b"".join(self._parts))
        self._parts.clear()
        self.size_bytes = 0
        for at in range(0, len(data), PIECE_BYTES):
            yield bytes(data[at : at + PIECE_BYTES])


class ZipStream:
    """Files go in one after another; the bytes of the archive come out meanwhile.

    The same files give the same bytes: times come from whoever adds a file, and nothing else that
    changes is written.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w")
        self.written = Written(0, "")

    def add(
        self,
        path: str,
        moment: datetime,
        chunks: Iterable[bytes],
        *,
        most_bytes: int,
        compress: bool,
    ) -> Iterator[bytes]:
        """Add a file and yield what is ready of the archive; `written` says then what it is.

        `most_bytes`: no more than so many come, so that large files get 64 bits for their sizes.
        """
        info = zipfile.ZipInfo(path, _dos_time(moment))
        info.create_system = _UNIX
        info.external_attr = (stat.S_IFREG | 0o640) << 16
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.file_size = most_bytes
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w") as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
                if self._sink.size_bytes >= PIECE_BYTES:
                    yield from self._sink.fetch()
        self.written = Written(size, digest.hexdigest())

    def finish(self) -> Iterator[bytes]:
        """Yield the rest, which ends with the list of all files."""
        self._zip.close()
        yield from self._sink.fetch()


def _dos_time(moment: datetime) -> tuple[int, int, int, int, int, int]:
    found = min(max(moment.astimezone(UTC), _FIRST_MOMENT), _LAST_MOMENT)
    return (found.year, found.month, found.day, found.hour, found.minute, found.second)
