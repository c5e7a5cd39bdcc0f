"""Where a picture comes from, in a text chunk of its own: put in for an export, taken out again.

The chunk stands right before IEND, and its text follows from the record alone. Taking exactly that
chunk out gives back the recorded bytes, so the stored ones never have to carry it. Pure.

https://www.w3.org/TR/png-3/#11tEXt
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator

KEYWORD = "Artlab"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 8  # length and type
_CRC_BYTES = 4
_TEXT = b"tEXt"
_END = b"IEND"


def stamp_of(run_id: str, sequence: int, sha256: str, checksum: str) -> bytes:
    """Return the chunk of an entity.

    It tells the run, the sequence, the SHA-256 recorded of the bytes, and the checksum of the
    run's metadata.json.
    """
    text = json.dumps(
        {"run_id": run_id, "sequence": sequence, "sha256": sha256, "checksum": checksum}
    )
    body = _TEXT + KEYWORD.encode("latin-1") + b"\x00" + text.encode("latin-1")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def with_stamp(data: Iterable[bytes], stamp: bytes) -> Iterator[bytes]:
    """Yield the bytes of a PNG with the stamp before IEND; unchanged when there is none."""
    for chunk, is_end in _chunks(data):
        if is_end:
            yield stamp
        yield chunk


def without_stamp(data: Iterable[bytes], stamp: bytes) -> Iterator[bytes]:
    """Yield the bytes without that stamp; unchanged where it does not stand before IEND."""
    held = b""
    for chunk, is_end in _chunks(data, len(stamp)):
        if held and not is_end:
            yield held
        held = b""
        if chunk == stamp:
            held = chunk
        else:
            yield chunk
    if held:
        yield held


def _chunks(data: Iterable[bytes], whole_bytes: int = 0) -> Iterator[tuple[bytes, bool]]:
    """The same bytes in pieces, and whether a piece is the beginning of the first IEND.

    A chunk of `whole_bytes` is one piece. What follows IEND, or is no PNG, comes as it is.
    """
    source = _Source(data)
    head = source.take(len(_SIGNATURE))
    if head:
        yield head, False
    while head == _SIGNATURE:
        header = source.take(_HEADER_BYTES)
        is_end = header[4:] == _END
        if len(header) < _HEADER_BYTES or is_end:
            if header:
                yield header, is_end
            break
        left = int.from_bytes(header[:4]) + _CRC_BYTES
        if _HEADER_BYTES + left == whole_bytes:
            yield header + source.take(left), False
            continue
        yield header, False
        while left and (part := source.some(left)):
            left -= len(part)
            yield part, False
    while part := source.some():
        yield part, False


class _Source:
    def __init__(self, data: Iterable[bytes]) -> None:
        self._data = iter(data)
        self._rest = b""

    def some(self, most: int | None = None) -> bytes:
        """What is there, at most so many bytes; nothing at the end."""
        while not self._rest:
            part = next(self._data, None)
            if part is None:
                return b""
            self._rest = part
        part = self._rest[:most]
        self._rest = self._rest[len(part) :]
        return part

    def take(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        found = b""
        while len(found) < size and (part := self.some(size - len(found))):
            found += part
        return found
