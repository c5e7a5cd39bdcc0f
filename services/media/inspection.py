"""What a backend made, looked at while it flows to the recorder (docs/adr/0014).

A copy of the bytes goes to a file without a name, as much of it as the check needs. Before the
recorder is told that the output is whole, a limited process has decoded it; what it found goes
into the entity's metadata.
"""

from __future__ import annotations

import asyncio
import codecs
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import filetype

from services.kit.errors import ArtlabError, Cancelled, FailedPrecondition, InvalidArgument
from services.media.decoding.decoder import Decoder
from services.media.decoding.limits import mismatch, not_allowed, too_large
from services.media.domain.request import written
from services.media.spool import Spool

HEAD_BYTES = 8192
# Sounds and videos up to here are looked at as a whole, of larger ones the beginning and the end:
# that is where their tables are. Pictures can only be decoded from all of their bytes.
WHOLE_BYTES = 64 * 1024 * 1024
TAIL_BYTES = 8 * 1024 * 1024
MAX_IMAGE_BYTES = 512 * 1024 * 1024
MAX_TEXT_BYTES = 1024 * 1024
COPY_BYTES = 256 * 1024

# By the names that browsers know, for those the library gives.
_NAMES: Mapping[str, str] = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "video/x-m4v": "video/mp4",
    # How many pictures it has is found out by decoding it.
    "image/apng": "image/png",
}
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_SOUNDS = frozenset({"audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4"})
_MOVING_IMAGES = frozenset({"image/webp", "image/gif"})
_VIDEOS = frozenset({"video/mp4", "video/webm"})
# What the recorder takes for each kind.
_ALLOWED: Mapping[str, frozenset[str]] = {
    "image": _IMAGES,
    "audio": _SOUNDS,
    "music": _SOUNDS,
    "video": _VIDEOS | _MOVING_IMAGES,
}
_TEXTS = ("text", "code")
_MARKUP = ("<!doctype", "<html", "<svg", "<?xml", "<script", "<iframe", "<body", "<head")


class Inspector:
    """Looks at outputs; `folder` is where they are kept meanwhile."""

    def __init__(self, decoder: Decoder, folder: Path | None) -> None:
        self._decoder, self._folder = decoder, folder

    def begin(self, kind: str) -> Inspection:
        """Look at one output of that kind (image, video ...). To be called in the event loop."""
        if kind in _TEXTS:
            return TextInspection(kind)
        return MediaInspection(kind, self._decoder, self._folder, asyncio.get_running_loop())


class Inspection(ABC):
    """One look at one output, in the thread that reads it; close it when done.

    Both methods raise FailedPrecondition MEDIA_TYPE_NOT_ALLOWED, MEDIA_KIND_MISMATCH,
    MEDIA_MALFORMED, MEDIA_TOO_LARGE, MEDIA_EMPTY; ResourceExhausted SPOOL_FULL, MEDIA_BUSY;
    Internal SPOOL_FAILED; Cancelled MEDIA_CANCELLED after `stop`.
    """

    def __init__(self) -> None:
        self.size_bytes = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes in."""
        try:
            self._take(data)
        except InvalidArgument as error:
            raise _of_output(error) from error
        self.size_bytes += len(data)

    def conclude(self, patience_seconds: float | None = None) -> dict[str, str] | None:
        """There is no more: return what was found out, as metadata.

        None when that is not known after so many seconds; then it can be asked again.
        """
        if not self.size_bytes:
            raise FailedPrecondition("MEDIA_EMPTY", "an output without a byte")
        try:
            found = self._found(patience_seconds)
        except InvalidArgument as error:
            raise _of_output(error) from error
        if found is None:
            return None
        return {
            name: written(value)
            for name, value in found.items()
            if isinstance(value, int | float | str)
        }

    @abstractmethod
    def stop(self) -> None:
        """Let `conclude` end soon; for other threads."""

    @abstractmethod
    def close(self) -> None:
        """Forget the bytes."""

    @abstractmethod
    def _take(self, data: bytes) -> None: ...

    @abstractmethod
    def _found(self, patience_seconds: float | None) -> Mapping[str, object] | None: ...


class TextInspection(Inspection):
    """Of a text or of code: UTF-8, not too long, and code is no page."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._characters = 0
        self._start = ""

    def stop(self) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Nothing is kept."""

    def _take(self, data: bytes) -> None:
        if self.size_bytes + len(data) > MAX_TEXT_BYTES:
            raise too_large(f"a text may have {MAX_TEXT_BYTES} bytes")
        self._read(data, final=False)

    def _found(self, patience_seconds: float | None) -> Mapping[str, object]:
        self._read(b"", final=True)
        start = self._start.removeprefix("\ufeff").lstrip().lower()
        if self._kind == "code" and start.startswith(_MARKUP):
            # A sketch that is a whole page would be run as one by whoever opens it.
            raise not_allowed("a sketch is JavaScript, not a page")
        return {"characters": self._characters}

    def _read(self, data: bytes, *, final: bool) -> None:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise mismatch("a text is UTF-8") from error
        if "\0" in text:
            raise mismatch("a text has no NUL")
        self._characters += len(text)
        if len(self._start) < HEAD_BYTES:
            self._start += text[:HEAD_BYTES]


class MediaInspection(Inspection):
    """Of a picture, a sound or a video: decoded from a copy."""

    def __init__(
        self,
        kind: str,
        decoder: Decoder,
        folder: Path | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self._kind, self._decoder, self._folder, self._loop = kind, decoder, folder, loop
        self._head = b""
        self._media_type = ""
        self._copy: Spool | None = None
        # The last bytes of a large file, each at its place modulo TAIL_BYTES, and where they begin.
        self._tail: Spool | None = None
        self._tail_from = 0
        self._is_stopped = False
        self._looking: Future[dict[str, object]] | None = None

    def stop(self) -> None:
        """Let `conclude` end soon; for other threads."""
        # The flag before the work, as `_look` makes the work before it reads the flag.
        self._is_stopped = True
        if self._looking is not None:
            self._looking.cancel()

    def close(self) -> None:
        """Give the room back."""
        for spool in (self._copy, self._tail):
            if spool is not None:
                spool.close()
        self._copy = self._tail = None

    def _take(self, data: bytes) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                self._detect()
        if self._copy is None:
            self._copy = Spool(self._folder)
        end = self.size_bytes + len(data)
        if self._media_type in _IMAGES and end > MAX_IMAGE_BYTES:
            raise too_large(f"a picture may have {MAX_IMAGE_BYTES} bytes")
        if self._media_type in _IMAGES or end <= WHOLE_BYTES:
            self._copy.write(data, self.size_bytes)
        else:
            self._keep_tail(data)

    def _keep_tail(self, data: bytes) -> None:
        if self._tail is None:
            self._tail, self._tail_from = Spool(self._folder), self.size_bytes
        view, offset = memoryview(data), self.size_bytes
        while view:
            place = offset % TAIL_BYTES
            part = view[: TAIL_BYTES - place]
            self._tail.write(part, place)
            view, offset = view[len(part) :], offset + len(part)

    def _found(self, patience_seconds: float | None) -> Mapping[str, object] | None:
        if self._looking is None:
            self._look(self._work())
        assert self._looking is not None
        try:
            return self._looking.result(patience_seconds)
        except TimeoutError:
            return None
        except CancelledError as error:
            raise Cancelled("MEDIA_CANCELLED", "the job was stopped") from error

    def _work(self) -> Coroutine[Any, Any, dict[str, object]]:
        if not self._media_type:
            self._detect()
        assert self._copy is not None  # or there was not a byte
        handle, is_whole = self._copy.handle, self._put_tail(self._copy)
        is_video = self._kind == "video"
        if self._media_type in _IMAGES:
            return self._decoder.image(handle, self._media_type, may_move=is_video)
        return self._decoder.stream(handle, self._media_type, is_video=is_video, is_whole=is_whole)

    def _detect(self) -> None:
        try:
            found = filetype.guess_mime(self._head) or ""
        except (IndexError, ValueError):  # cut headers trip some of its matchers
            found = ""
        found = _NAMES.get(found, found)
        if found not in _IMAGES | _SOUNDS | _VIDEOS:
            raise not_allowed("not a media type that is recorded")
        if found not in _ALLOWED[self._kind]:
            raise mismatch(f"{found} is no {self._kind}")
        self._media_type = found

    def _put_tail(self, copy: Spool) -> bool:
        """Put the tail at its place; whether all bytes are there, or zeros between the ends."""
        if self._tail is None:
            return True
        offset = start = max(self._tail_from, self.size_bytes - TAIL_BYTES)
        while offset < self.size_bytes:
            place = offset % TAIL_BYTES
            size = min(COPY_BYTES, TAIL_BYTES - place, self.size_bytes - offset)
            copy.write(self._tail.read(size, place), offset)
            offset += size
        return start == self._tail_from

    def _look(self, work: Coroutine[Any, Any, dict[str, object]]) -> None:
        self._looking = asyncio.run_coroutine_threadsafe(work, self._loop)
        if self._is_stopped:
            self._looking.cancel()


def _of_output(error: ArtlabError) -> FailedPrecondition:
    # What a backend made is not a field of a request.
    return FailedPrecondition(error.reason, error.message)
