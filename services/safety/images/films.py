"""Films, demuxed and decoded with FFmpeg (PyAV); runs in a limited process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from services.kit.errors import InvalidArgument
from services.safety.images.looks import check_size, looks_at
from services.safety.images.pictures import malformed
from services.safety.images.sampling import sample

# Chosen by us: other demuxers follow the addresses they find in a file.
_DEMUXERS = {"video/mp4": "mov", "video/webm": "matroska"}
MAX_FRAMES = 1_000_000


def looks_of_film(file: BinaryIO, media_type: str) -> Iterator[Image.Image]:
    """Yield what judges are to see of several frames of a film.

    Raises InvalidArgument MEDIA_MALFORMED, MEDIA_TOO_LARGE, MEDIA_KIND_MISMATCH.
    """
    with malformed(), av.open(file, mode="r", format=_DEMUXERS[media_type]) as container:
        stream = _only_track(container)
        index = _read_index(container, stream)
        wanted = [index.shown[number] for number in sample(len(index.shown))]
        for frame in _decode(container, stream, index, wanted):
            picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
            if frame.rotation:
                picture = picture.rotate(frame.rotation, expand=True)
            yield from looks_at(picture)


@dataclass(frozen=True, slots=True)
class _Index:
    """Times of all frames in the order they are shown, and of those one can begin with."""

    shown: list[int]
    keys: list[int]


def _only_track(container: InputContainer) -> VideoStream:
    tracks = container.streams.video
    if not tracks:
        raise InvalidArgument("MEDIA_KIND_MISMATCH", "there is no picture in it", field="data")
    if len(tracks) > 1:
        # Which one a player shows is the player's affair, also of a cover.
        raise InvalidArgument("MEDIA_MALFORMED", "a film has one track of pictures", field="data")
    check_size(tracks[0].codec_context.width, tracks[0].codec_context.height)
    return tracks[0]


def _read_index(container: InputContainer, stream: VideoStream) -> _Index:
    shown: list[int] = []
    keys: list[int] = []
    count = 0
    for packet in container.demux(stream):
        # The last one is empty and says that there are no more.
        if packet.pts is None:
            continue
        count += 1
        if packet.is_corrupt or count > MAX_FRAMES:
            raise InvalidArgument("MEDIA_MALFORMED", "a broken film", field="data")
        if packet.is_keyframe:
            keys.append(packet.pts)
        # What is cut off by the film's own edit list is decoded and not shown.
        if not packet.is_discard:
            shown.append(packet.pts)
    if not shown or count < stream.frames:
        raise InvalidArgument("MEDIA_MALFORMED", "the film ends too early", field="data")
    return _Index(sorted(shown), sorted(keys))


def _decode(
    container: InputContainer, stream: VideoStream, index: _Index, wanted: list[int]
) -> Iterator[VideoFrame]:
    """Yield the frames of these times, in order; from the nearest start on where that is ahead."""
    position: int | None = None
    frames: Iterator[VideoFrame] = iter(())
    for time in wanted:
        number = bisect_right(index.keys, time) - 1
        start = index.keys[number] if number >= 0 else index.shown[0]
        if position is None or start > position:
            container.seek(start, stream=stream, backward=True)
            frames = container.decode(stream)
        frame = _frame_at(frames, time)
        check_size(frame.width, frame.height)
        position = frame.pts
        yield frame


def _frame_at(frames: Iterator[VideoFrame], time: int) -> VideoFrame:
    try:
        for frame in frames:
            if frame.pts is not None and frame.pts >= time:
                return frame
    except EndOfFile:
        pass
    raise InvalidArgument("MEDIA_MALFORMED", "a frame is missing", field="data")
