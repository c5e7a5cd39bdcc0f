"""Sound and video, demuxed and decoded with FFmpeg (PyAV); runs in a limited process only."""

from __future__ import annotations

from fractions import Fraction
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from services.media.decoding.limits import check_pixels, check_seconds, malformed, mismatch

# The demuxer is chosen by us: others follow the addresses they find in a file.
DEMUXERS = {
    "video/mp4": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
}
MAX_STREAMS = 16
MAX_CHANNELS = 64
# What is decoded, not only demuxed: so many pictures, so many seconds of sound.
DECODED_FRAMES = 24
DECODED_SECONDS = 60.0
# By how much the packets may end before what the header says, in seconds or as a share.
TOLERANCE_SECONDS = 1.0
TOLERANCE_SHARE = 0.05


def inspect_stream(
    file: BinaryIO, media_type: str, *, is_video: bool, is_whole: bool
) -> dict[str, object]:
    """Return what is in a sound or a video, where it is known.

    duration_seconds; of a video width, height, frame_rate and frames; of sound channels and
    sample_rate. Of a whole file every packet is read, and its beginning decoded. Of one of which
    only both ends are there (the middle reads as zeros) it is what the container says, and the
    first picture or sound. Raises InvalidArgument.
    """
    try:
        with av.open(file, "r", DEMUXERS[media_type], metadata_errors="replace") as container:
            return _inspect(container, is_video=is_video, is_whole=is_whole)
    except FFmpegError as error:
        raise malformed("it cannot be demuxed or decoded") from error


def _inspect(container: InputContainer, *, is_video: bool, is_whole: bool) -> dict[str, object]:
    if len(container.streams) > MAX_STREAMS:
        raise malformed(f"at most {MAX_STREAMS} streams")
    videos = [one for one in container.streams.video if not _is_cover(one)]
    sounds = list(container.streams.audio)
    if is_video and not videos:
        raise mismatch("a video without pictures")
    # Nor a cover: nobody would look at it before players show it.
    if not is_video and (container.streams.video or not sounds):
        raise mismatch("a sound is sound and nothing else")
    main: VideoStream | AudioStream = videos[0] if is_video else sounds[0]
    for video in videos:
        check_pixels(video.codec_context.width, video.codec_context.height)
    for sound in sounds:
        if not 1 <= sound.codec_context.channels <= MAX_CHANNELS:
            raise malformed(f"1 to {MAX_CHANNELS} channels")
    said = _said_seconds(container, main)
    check_seconds(said or 0.0)
    facts: dict[str, object] = {}
    if is_whole:
        packets, reached = _read_all(container, main)
        _check_end(main, packets, said, reached)
        seconds = said or reached
        facts["frames"] = packets if is_video else None
        container.seek(0)
    else:
        seconds = said or 0.0
        facts["frames"] = main.frames if is_video else None
    check_seconds(seconds)
    _decode_beginning(container, main, is_whole=is_whole)
    facts["duration_seconds"] = round(seconds, 3)
    if isinstance(main, VideoStream):
        facts["width"], facts["height"] = main.codec_context.width, main.codec_context.height
        rate = main.average_rate or main.guessed_rate
        facts["frame_rate"] = round(float(rate), 3) if rate else None
    if sounds:
        facts["channels"] = sounds[0].codec_context.channels
        facts["sample_rate"] = sounds[0].codec_context.sample_rate
    return {name: value for name, value in facts.items() if value}


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _said_seconds(container: InputContainer, main: VideoStream | AudioStream) -> float | None:
    if main.duration is not None and main.time_base is not None:
        return float(main.duration * main.time_base)
    return container.duration / av.time_base if container.duration is not None else None


def _read_all(container: InputContainer, main: VideoStream | AudioStream) -> tuple[int, float]:
    packets, end, start = 0, Fraction(0), main.start_time or 0
    base = main.time_base or Fraction(0)
    for packet in container.demux(main):
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise malformed("a packet of it is not whole")
        packets += 1
        if packet.pts is not None:
            end = max(end, (packet.pts + (packet.duration or 0) - start) * base)
    return packets, float(end)


def _check_end(
    main: VideoStream | AudioStream, packets: int, said: float | None, reached: float
) -> None:
    if not packets:
        raise malformed("there is nothing in it")
    tolerance = max(TOLERANCE_SECONDS, TOLERANCE_SHARE * (said or 0.0))
    # An MP4 counts what it holds.
    if packets < main.frames or (said is not None and reached < said - tolerance):
        raise malformed("it ends before its time")


def _decode_beginning(
    container: InputContainer, main: VideoStream | AudioStream, *, is_whole: bool
) -> None:
    main.codec_context.thread_count = 1
    count, seconds = 0, 0.0
    try:
        for frame in container.decode(main):
            count += 1
            if isinstance(frame, av.AudioFrame):
                seconds += frame.samples / (frame.sample_rate or 1)
            if not is_whole or (count >= DECODED_FRAMES and isinstance(frame, av.VideoFrame)):
                break
            if seconds >= DECODED_SECONDS:
                break
    except EndOfFile:
        pass
    if not count:
        raise malformed("nothing of it can be decoded")
