"""Files are built as their format asks, or refused for what is wrong."""

from __future__ import annotations

import io
import random
import struct
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.kit.errors import InvalidArgument
from services.recorder.domain.structure import walker
from services.recorder.domain.structure.formats import Structure
from services.recorder.domain.structure.limits import MAX_OGG_STREAMS, MAX_PICTURES, MAX_SECONDS
from services.recorder.domain.vocabulary import EntityType
from tests.support import media_files as made
from tests.support.pictures import PNG, chunk, header, picture

IMAGE, VIDEO, SOUND = EntityType.OUTPUT_IMAGE, EntityType.OUTPUT_VIDEO, EntityType.OUTPUT_AUDIO


def verdict(entity_type: EntityType, data: bytes, cuts: list[int] | None = None) -> str:
    """The reason why it is refused, or nothing; fed in the pieces that `cuts` make."""
    structure = Structure(entity_type)
    at = 0
    for end in [*sorted(cuts or []), len(data)]:
        structure.add(data[at:end])
        at = max(at, end)
    try:
        structure.check()
    except InvalidArgument as error:
        return error.reason if error.field == "data" else "no field"
    return ""


def drawn(form: str, **options: object) -> bytes:
    """A picture as a real encoder writes it."""
    buffer = io.BytesIO()
    picture = Image.effect_noise((90, 70), 60).convert("RGB")
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def moving(form: str, pictures: int) -> bytes:
    buffer = io.BytesIO()
    first, *rest = [Image.new("RGB", (20, 10), (n * 3 % 256, 0, 0)) for n in range(pictures)]
    first.save(buffer, form, save_all=True, append_images=rest, duration=40)
    return buffer.getvalue()


def sounding() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(random.Random(1).randbytes(40_000))
    return buffer.getvalue()


GOOD: dict[str, tuple[EntityType, bytes]] = {
    "png": (IMAGE, drawn("PNG")),
    "png padded": (IMAGE, picture(100_000)),
    "jpeg": (IMAGE, drawn("JPEG")),
    "progressive jpeg": (IMAGE, drawn("JPEG", progressive=True, quality=95)),
    "jpeg with exif and comment": (
        IMAGE,
        drawn("JPEG", exif=b"Exif\0\0" + bytes(300), comment=b"x"),
    ),
    "jpeg by hand": (IMAGE, made.jpeg()),
    "lossy webp": (IMAGE, drawn("WEBP")),
    "lossless webp": (IMAGE, drawn("WEBP", lossless=True, exif=b"Exif\0\0" + bytes(33))),
    "gif": (IMAGE, drawn("GIF")),
    "moving gif": (VIDEO, moving("GIF", 30)),
    "moving webp": (VIDEO, moving("WEBP", 30)),
    "wav": (SOUND, sounding()),
    "wav without its last padding byte": (SOUND, made.wav(0.1, 11_110, padding=True)),
    "ogg": (SOUND, made.ogg()),
    "mp3": (SOUND, made.mp3()),
    "mp3 with tags": (
        SOUND,
        made.mp3(before=made.id3(5000), after=b"TAG" + bytes(125)),
    ),
    "flac": (SOUND, made.flac()),
    "mp4": (VIDEO, made.mp4()),
    "m4a": (SOUND, made.mp4(width=0, height=0, brand=b"M4A ")),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_whole_file_is_taken_however_it_comes(name: str) -> None:
    entity_type, data = GOOD[name]
    assert verdict(entity_type, data) == ""
    assert verdict(entity_type, data, list(range(1, min(len(data), 3000)))) == ""
    chance = random.Random(name)
    for _ in range(20):
        cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(6))]
        assert verdict(entity_type, data, cuts) == ""


# A FLAC and an MP4 whose last box goes to the end may end anywhere behind their heads.
@pytest.mark.parametrize("name", sorted(set(GOOD) - {"flac"}))
def test_a_file_that_is_cut_is_not_whole(name: str) -> None:
    entity_type, data = GOOD[name]
    chance = random.Random(name)
    ends = {len(data) - 1, len(data) - 2} | {chance.randrange(13, len(data)) for _ in range(40)}
    for end in ends:
        # An MP3, an Ogg and an MP4 may end after any of their parts.
        if verdict(entity_type, data[:end]) == "":
            assert name.split()[0] in ("mp3", "ogg", "mp4", "m4a")
            assert end < len(data) - 1


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"flac"}))
def test_nothing_may_be_behind_the_end(name: str) -> None:
    entity_type, data = GOOD[name]
    for more in (b"x", b"PK\x03\x04" + bytes(500)):
        assert verdict(entity_type, data + more) == "MEDIA_MALFORMED"
        assert verdict(entity_type, data + more, [len(data)]) == "MEDIA_MALFORMED"


def test_a_camera_may_put_more_behind_its_picture() -> None:
    assert verdict(EntityType.INPUT_IMAGE, made.jpeg() + made.jpeg()) == ""
    assert verdict(EntityType.INPUT_IMAGE, PNG + b"x") == "MEDIA_MALFORMED"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made.png(0, 0), "MEDIA_MALFORMED"),
        (made.png(0, 5), "MEDIA_MALFORMED"),
        (made.png(1, 4_294_967_295), "MEDIA_TOO_LARGE"),
        (made.png(13_000, 7000), "MEDIA_TOO_LARGE"),
        (made.png(8192, 8192), ""),
        (made.png(8192, 8193), "MEDIA_TOO_LARGE"),
        (made.png(1, 1, chunk(b"IHDR", bytes(13))), "MEDIA_MALFORMED"),
        (header(1, 1) + made.PNG_END, "MEDIA_MALFORMED"),
        (header(1, 1)[:-1] + b"x" + made.PNG_DATA + made.PNG_END, "MEDIA_MALFORMED"),
        (header(1, 1) + b"\xff\xff\xff\xffIDAT", "MEDIA_MALFORMED"),
        (header(1, 1) + b"\0\0\0\0ID\0T" + made.PNG_END, "MEDIA_MALFORMED"),
        (made.apng(1), ""),
        (made.apng(2), "MEDIA_MALFORMED"),
        (made.apng(100_000), "MEDIA_MALFORMED"),
        (made.jpeg(0, 5), "MEDIA_MALFORMED"),
        (made.jpeg(13_000, 7000), "MEDIA_TOO_LARGE"),
        (made.jpeg(1, 1, (0xFE, b"<script>" * 8000)), ""),
        (b"\xff\xd8\xff\xe0\x00\x01" + bytes(20), "MEDIA_MALFORMED"),
        (b"\xff\xd8\xff\xd9" + bytes(20), "MEDIA_MALFORMED"),
        (b"\xff\xd8" + made.jpeg()[-19:], "MEDIA_MALFORMED"),
        (made.gif(0, 1), "MEDIA_MALFORMED"),
        (made.gif(13_000, 7000), "MEDIA_TOO_LARGE"),
        (made.gif(pictures=2), "MEDIA_MALFORMED"),
        (made.gif(pictures=0), "MEDIA_MALFORMED"),
        (made.webp(0, 1), "MEDIA_MALFORMED"),
        (made.webp(13_000, 7000), "MEDIA_TOO_LARGE"),
        (made.animated_webp(2), "MEDIA_MALFORMED"),
        (made.riff(b"WEBP", (b"VP8X", bytes(10))), "MEDIA_MALFORMED"),
        (made.riff(b"WEBP", (b"VP8X", b"\0\0\0\0" + b"\xff" * 6)), "MEDIA_TOO_LARGE"),
        (made.riff(b"WEBP", (b"VP8L", b"\x2f" + b"\xff" * 4)), "MEDIA_TOO_LARGE"),
    ],
)
def test_pictures_that_lie(data: bytes, reason: str) -> None:
    assert verdict(IMAGE, data) == reason
    assert verdict(IMAGE, data, list(range(0, min(len(data), 500)))) == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made.wav(MAX_SECONDS - 1, 10), ""),
        (made.wav(MAX_SECONDS + 1, 10), "MEDIA_TOO_LARGE"),
        (made.wav()[:4] + b"\xff\xff\xff\xff" + made.wav()[8:], "MEDIA_MALFORMED"),
        (made.riff(b"WAVE", (b"data", bytes(10))), "MEDIA_MALFORMED"),
        (made.riff(b"WAVE", (b"fmt ", bytes(10)), (b"data", bytes(10))), "MEDIA_MALFORMED"),
        (made.ogg(MAX_OGG_STREAMS), ""),
        (made.ogg(MAX_OGG_STREAMS + 1), "MEDIA_MALFORMED"),
        (made.ogg(100_000), "MEDIA_MALFORMED"),
        (made.mp3(before=made.id3(100)[:-50]), "MEDIA_MALFORMED"),
        (made.id3(100), "MEDIA_MALFORMED"),
        (made.mp3(after=b"garbage" * 9), "MEDIA_MALFORMED"),
        (made.slow_mp3(MAX_SECONDS - 10), ""),
        (made.slow_mp3(MAX_SECONDS + 10), "MEDIA_TOO_LARGE"),
        (made.flac(hertz=0), "MEDIA_MALFORMED"),
        (made.flac(samples=44_100 * (MAX_SECONDS + 1)), "MEDIA_TOO_LARGE"),
        (made.flac()[:44], "MEDIA_MALFORMED"),
        (b"fLaC\x81\0\0\x22" + bytes(60), "MEDIA_MALFORMED"),
    ],
)
def test_sounds_that_lie(data: bytes, reason: str) -> None:
    assert verdict(SOUND, data) == reason


NESTED = made.box(b"moov", b"")
for _ in range(2000):
    NESTED = made.box(b"moov", NESTED)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made.mp4(entry=made.reference(flags=0, url=b"http://10.0.0.1/x\0")), "MEDIA_MALFORMED"),
        (made.mp4(entry=made.reference(flags=0)), "MEDIA_MALFORMED"),
        (made.mp4(entry=b"\0\0\0\x04url \0\0\0\x01"), "MEDIA_MALFORMED"),
        (made.mp4()[:24] + made.box(b"moov", made.box(b"rmra", b"")), "MEDIA_MALFORMED"),
        (made.mp4(width=13_000, height=7000), "MEDIA_TOO_LARGE"),
        (made.mp4(seconds=MAX_SECONDS + 1), "MEDIA_TOO_LARGE"),
        (made.mp4(seconds=4_294_967), "MEDIA_TOO_LARGE"),
        (made.mp4() + struct.pack(">I4s", 0, b"mdat") + bytes(99), ""),
        (made.mp4() + struct.pack(">I4s", 0, b"moov") + bytes(99), "MEDIA_MALFORMED"),
        (made.mp4() + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100), ""),
        (made.mp4() + struct.pack(">I4sQ", 1, b"mdat", 8) + bytes(100), "MEDIA_MALFORMED"),
        (made.mp4() + struct.pack(">I4s", 7, b"mdat"), "MEDIA_MALFORMED"),
        (made.mp4()[:32], "MEDIA_MALFORMED"),
        (made.mp4()[:32] + NESTED, "MEDIA_MALFORMED"),
        (made.gif(pictures=MAX_PICTURES + 1), "MEDIA_TOO_LARGE"),
        (made.animated_webp(MAX_PICTURES + 1), "MEDIA_TOO_LARGE"),
        (made.animated_webp(MAX_PICTURES), ""),
    ],
)
def test_films_that_lie(data: bytes, reason: str) -> None:
    assert verdict(VIDEO, data) == reason


def test_a_file_of_crumbs_costs_no_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walker, "MAX_STEPS", 100)
    monkeypatch.setattr(walker, "MAX_HOPS", 100)
    crumbs = made.png(1, 1, chunk(b"paDd", b"") * 100)
    assert verdict(IMAGE, crumbs) == "MEDIA_MALFORMED"
    assert verdict(SOUND, made.mp3(101)) == "MEDIA_MALFORMED"


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    st.lists(st.integers(0, 20_000), max_size=4),
)
def test_damaged_files_are_judged_alike_however_they_come(
    name: str, damage: list[tuple[int, int]], cuts: list[int]
) -> None:
    entity_type, whole = GOOD[name]
    data = bytearray(whole)
    for place, value in damage:
        data[place % len(data)] = value
    damaged = bytes(data)
    cuts = [cut % len(damaged) for cut in cuts]
    assert verdict(entity_type, damaged, cuts) == verdict(entity_type, damaged)


@given(st.binary(max_size=200))
def test_any_bytes_end_in_an_answer(data: bytes) -> None:
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"OggS", b"ID3", b"fLaC"):
        assert verdict(VIDEO, start + data) in ("", "MEDIA_MALFORMED", "MEDIA_TOO_LARGE")
