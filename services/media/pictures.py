"""Pictures that people bring, made fit to be recorded and sent to a backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.kit.errors import Internal, InvalidArgument, ResourceExhausted
from services.media.decoding.decoder import Decoder
from services.media.decoding.limits import too_large
from services.media.spool import Spool

MAX_MESSAGE_BYTES = 256 * 1024
MAX_PICTURE_BYTES = 32 * 1024 * 1024
# Who is cut off while sending sees the cut and not the reason: so much is read and thrown away.
READ_ON_BYTES = 64 * 1024 * 1024
# More would fill the spool before one of them is decoded.
MAX_AT_ONCE = 16
BUSY_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture without metadata, upright, at most 2048 pixels a side."""

    media_type: str
    width: int
    height: int
    data: bytes


class Pictures:
    """Prepares pictures; `folder` is where they are kept meanwhile."""

    def __init__(self, decoder: Decoder, folder: Path | None) -> None:
        self._decoder, self._folder = decoder, folder
        self._under_way = 0

    async def prepare(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        """Collect a picture, at most 32 MiB, and encode it anew.

        Raises InvalidArgument EMPTY_MEDIA, MEDIA_TYPE_NOT_ALLOWED (no picture that is read here),
        MEDIA_MALFORMED, MEDIA_TOO_LARGE; ResourceExhausted MEDIA_BUSY, SPOOL_FULL.
        """
        if self._under_way >= MAX_AT_ONCE:
            raise ResourceExhausted(
                "MEDIA_BUSY",
                f"{MAX_AT_ONCE} pictures are being prepared",
                retry_after_seconds=BUSY_RETRY_SECONDS,
            )
        self._under_way += 1
        spool: Spool | None = None
        try:
            spool = await asyncio.to_thread(Spool, self._folder)
            await _collect(chunks, spool)
            told, data = await self._decoder.prepare(spool.handle)
        finally:
            self._under_way -= 1
            if spool is not None:
                spool.close()
        return _prepared(told, data)


async def _collect(chunks: AsyncIterator[bytes], spool: Spool) -> None:
    size, refusal = 0, None
    async for chunk in chunks:
        if len(chunk) > MAX_MESSAGE_BYTES or size + len(chunk) > MAX_PICTURE_BYTES:
            refusal = too_large(
                f"a picture may have {MAX_PICTURE_BYTES} bytes, {MAX_MESSAGE_BYTES} a message"
            )
        size += len(chunk)
        if refusal is None:
            await _written(spool, chunk, size - len(chunk))
        elif size > READ_ON_BYTES:
            raise refusal
    if refusal is not None:
        raise refusal
    if not size:
        raise InvalidArgument("EMPTY_MEDIA", "a picture has at least one byte", field="data")


async def _written(spool: Spool, chunk: bytes, offset: int) -> None:
    # Not in the loop: the disk may be slow. Not cut short: the file would be closed under it.
    writing = asyncio.ensure_future(asyncio.to_thread(spool.write, chunk, offset))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise


def _prepared(told: Mapping[str, object], data: bytes) -> PreparedImage:
    match told:
        case {"media_type": str(media_type), "width": int(width), "height": int(height)}:
            return PreparedImage(media_type, width, height, data)
    raise Internal("MEDIA_DECODER_PROTOCOL", "the decoder answered something else")
