"""Which walk the beginning of a file asks for. Pure."""

from __future__ import annotations

from services.recorder.domain.structure import flac, gif, jpeg, mp3, mp4, ogg, png, riff
from services.recorder.domain.structure.limits import MAX_PICTURES
from services.recorder.domain.structure.walker import Walk, Walker
from services.recorder.domain.vocabulary import EntityType

HEAD_BYTES = 12


class Structure:
    """The structure of one file; grows with `add`, asked once at the end."""

    def __init__(self, entity_type: EntityType) -> None:
        self._entity_type = entity_type
        self._head = b""
        self._walker: Walker | None = None
        self._is_known = True

    def add(self, data: bytes) -> None:
        """Take the next bytes in."""
        if self._walker is not None:
            self._walker.feed(data)
        elif self._is_known:
            self._head += data
            if len(self._head) >= HEAD_BYTES:
                self._begin()

    def check(self) -> None:
        """Raise InvalidArgument MEDIA_MALFORMED or MEDIA_TOO_LARGE; nothing for other formats."""
        if self._walker is None and self._is_known:
            self._begin()
        if self._walker is not None:
            self._walker.finish()

    def _begin(self) -> None:
        walk = _walk_of(self._head, self._entity_type)
        data, self._head = self._head, b""
        if walk is None:
            self._is_known = False
            return
        self._walker = Walker(walk)
        self._walker.feed(data)


def _walk_of(head: bytes, entity_type: EntityType) -> Walk | None:
    # A video may be written as WebP or GIF; an image is one picture.
    pictures = MAX_PICTURES if entity_type is EntityType.OUTPUT_VIDEO else 1
    if head.startswith(png.SIGNATURE):
        return png.png(pictures)
    if head.startswith(jpeg.SIGNATURE):
        return jpeg.jpeg(may_go_on=entity_type is EntityType.INPUT_IMAGE)
    if head.startswith(gif.SIGNATURES):
        return gif.gif(pictures)
    if head.startswith(b"RIFF"):
        walks = {b"WEBP": lambda: riff.webp(pictures), b"WAVE": riff.wav}
        chosen = walks.get(head[8:12])
        return None if chosen is None else chosen()
    if head.startswith(ogg.SIGNATURE):
        return ogg.ogg()
    if head.startswith(flac.SIGNATURE):
        return flac.flac()
    if head.startswith(mp3.ID3) or (head[:1] == b"\xff" and head[1:2] and head[1] in mp3.HEADERS):
        return mp3.mp3()
    if head[4:8] == b"ftyp":
        return mp4.mp4()
    return None
