"""Text that is wanted later, kept compressed until then."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_PIECE_BYTES = 256 * 1024


class Spool:
    """Grows with `add`; read once at the end."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._compress = zlib.compressobj()
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Put it behind what is there."""
        self.size_bytes += len(data)
        self._parts.append(self._compress.compress(data))

    def read(self) -> Iterator[bytes]:
        """Yield everything, in pieces; nothing may be added afterwards."""
        self._parts.append(self._compress.flush())
        expand = zlib.decompressobj()
        for part in self._parts:
            while part:
                yield expand.decompress(part, _PIECE_BYTES)
                part = expand.unconsumed_tail
        yield expand.flush()
