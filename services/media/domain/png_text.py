"""Takes the text chunks out of a PNG while it passes: ComfyUI writes the whole prompt into them.

https://www.w3.org/TR/png-3/#11textinfo
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 8  # length and type
_CRC_BYTES = 4
_TEXTS = (b"tEXt", b"iTXt", b"zTXt")
_END = b"IEND"


def without_texts(data: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes without tEXt, iTXt and zTXt, in pieces no larger than the given ones.

    What is no PNG, and what follows its end, comes as it is. Nothing is held but a few bytes.
    """
    walk = _Walk()
    for part in data:
        kept = walk.feed(part)
        if len(kept) > len(part):
            # A few bytes were held back before.
            yield kept[: len(part)]
            kept = kept[len(part) :]
        if kept:
            yield kept
    if walk.held:
        yield walk.held


class _Walk:
    """Where in the PNG we are: before the signature, in a chunk, between two, or past the end."""

    def __init__(self) -> None:
        # Bytes of which it cannot be told yet what they begin.
        self.held = b""
        self._begun = False
        self._past = False
        self._left = 0
        self._drops = False

    def feed(self, part: bytes) -> bytes:
        """Return what of these bytes, and of those held, is kept."""
        if self._past:
            return part
        part = self.held + part if self.held else part
        self.held = b""
        pieces: list[bytes] = []
        start = position = 0
        while position < len(part) and not self._past:
            if self._left:
                step = min(self._left, len(part) - position)
                position += step
                self._left -= step
                if self._drops:
                    start = position
                continue
            if len(part) - position < _HEADER_BYTES:
                self.held = part[position:]
                break
            position = self._header(part, position, start, pieces)
            if self._drops:
                start = position
        end = len(part) - len(self.held)
        if not pieces and start == 0 and end == len(part):
            return part
        return b"".join([*pieces, part[start:end]])

    def _header(self, part: bytes, position: int, start: int, pieces: list[bytes]) -> int:
        header = part[position : position + _HEADER_BYTES]
        if not self._begun:
            self._begun = True
            self._past = header != _SIGNATURE
            return position + _HEADER_BYTES
        self._drops = header[4:] in _TEXTS
        self._past = header[4:] == _END
        self._left = int.from_bytes(header[:4]) + _CRC_BYTES
        if self._drops:
            pieces.append(part[start:position])
        return position + _HEADER_BYTES
