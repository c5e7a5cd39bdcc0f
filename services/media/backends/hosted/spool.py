"""Bytes that can be had only once, kept on the disk until the recorder has them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.kit.errors import DataLoss
from services.media.backends.hosted.errors import protocol_error, too_large
from services.media.spool import Spool

CHUNK_BYTES = 256 * 1024
# A multiple of four characters, so that every slice is base64 by itself.
_SLICE_CHARACTERS = CHUNK_BYTES // 3 * 4


class OnceOnly:
    """A file without a name that grows and is then read; gone with its last reader.

    Args:
        max_bytes: more is refused with ResourceExhausted MEDIA_TOO_LARGE.
        folder: where; see `services.media.spool.Spool`, whose errors it raises.
    """

    def __init__(self, max_bytes: int, folder: Path | None) -> None:
        self._spool = Spool(folder)
        self._max_bytes = max_bytes
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append. Raises ResourceExhausted MEDIA_TOO_LARGE, SPOOL_FULL; Internal SPOOL_FAILED."""
        if self.size + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        self._spool.write(data, self.size)
        self.size += len(data)

    @contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Yield the bytes from the start, in whatever thread, as often as wanted.

        Raises Internal SPOOL_FAILED, DataLoss MEDIA_READ_FAILED.
        """
        yield self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        offset = 0
        while offset < self.size:
            data = self._spool.read(CHUNK_BYTES, offset)
            if not data:
                raise DataLoss("MEDIA_READ_FAILED", "a temporary file ended early")
            offset += len(data)
            yield data


def spool_base64(text: str, max_bytes: int, folder: Path | None, title: str) -> OnceOnly:
    """Decode piece by piece into a spool; to be called in a thread.

    Raises BACKEND_PROTOCOL when it is no base64, MEDIA_TOO_LARGE, SPOOL_FULL.
    """
    if len(text) // 4 * 3 > max_bytes + 3:
        raise too_large(max_bytes)
    spool = OnceOnly(max_bytes, folder)
    for at in range(0, len(text), _SLICE_CHARACTERS):
        try:
            spool.write(base64.b64decode(text[at : at + _SLICE_CHARACTERS], validate=True))
        except (binascii.Error, ValueError) as error:
            raise protocol_error(title, "holds a picture that is no base64") from error
    return spool


def spool_data_url(url: str, max_bytes: int, folder: Path | None, title: str) -> OnceOnly:
    """Decode `data:image/png;base64,…`; to be called in a thread. Raises like `spool_base64`."""
    head, comma, text = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise protocol_error(title, "holds something other than a picture in base64")
    return spool_base64(text, max_bytes, folder, title)
