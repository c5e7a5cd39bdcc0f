"""Bytes that are no picture or sound anybody should get: the group `media_bytes`, through gRPC."""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from artlab.recorder.v1 import recorder_pb2 as pb
from services.kit.errors import InvalidArgument
from tests.integration.recorder.harness import LIMITS, World, entity, stream, world_of
from tests.support import media_files as made
from tests.support.pictures import chunk, header, picture_of

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
PDF = b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n"
GLB = struct.pack("<4sIIII", b"glTF", 2, 120, 100, 0x4E4F534A) + b'{"buffers":[{"uri":"http://x"}]}'
EXE = b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(400)
ZIP = b"PK\x03\x04" + bytes(200) + b"PK\x05\x06" + bytes(18)
GPS = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x88\x25\0\x04\0\0\0\x01\0\0\0\x1a" + bytes(40)

ALL_MEDIA = ("output_image", "output_audio", "output_music", "output_video", "input_image")
SECONDS_10_H = 10 * 3600


@dataclass(frozen=True)
class Case:
    """A line of the group: what is sent as what, and what comes of it.

    `media_type` instead of `reason`: it is recorded, as what it is. `later`: what else the line
    asks for belongs to whoever decodes or serves, and why.
    """

    line: str
    data: Callable[[], bytes]
    types: tuple[str, ...]
    reason: str = ""
    media_type: str = ""
    later: str = ""
    # More than one call takes.
    is_large: bool = False


CASES = [
    Case("SVG with <script>", lambda: SVG, ALL_MEDIA, "MEDIA_TYPE_NOT_ALLOWED"),
    Case("HTML file renamed .png", lambda: HTML, ALL_MEDIA, "MEDIA_TYPE_NOT_ALLOWED"),
    Case("0 bytes", lambda: b"", ALL_MEDIA, "EMPTY_MEDIA"),
    Case(
        "PNG 1x4294967295",
        lambda: made.png(1, 4_294_967_295),
        ("output_image", "input_image"),
        "MEDIA_TOO_LARGE",
    ),
    Case(
        "GIFAR / PNG+ZIP polyglot",
        lambda: picture_of(bytes(5000)) + ZIP,
        ("output_image", "input_image"),
        "MEDIA_MALFORMED",
    ),
    Case(
        "GIFAR / PNG+ZIP polyglot (GIF)",
        lambda: made.gif() + ZIP,
        ("output_image", "output_video"),
        "MEDIA_MALFORMED",
    ),
    Case(
        "GIFAR / PNG+ZIP polyglot (JPEG)",
        lambda: made.jpeg() + ZIP,
        ("output_image",),
        "MEDIA_MALFORMED",
    ),
    Case(
        "GIFAR / PNG+ZIP polyglot (JPEG of a camera)",
        lambda: made.jpeg() + ZIP,
        ("input_image",),
        media_type="image/jpeg",
        later="cameras put more pictures behind the first: media re-encodes what people bring",
    ),
    Case(
        "PNG cut in the middle of IDAT",
        lambda: header(64, 64) + chunk(b"IDAT", bytes(9000))[:5000],
        ("output_image", "input_image"),
        "MEDIA_MALFORMED",
    ),
    Case(
        "PNG cut in the middle of IDAT (and ended all the same)",
        lambda: header(64, 64) + chunk(b"IDAT", b"\x78\x9c" + bytes(9)) + made.PNG_END,
        ("output_image",),
        media_type="image/png",
        later="that pixels are missing is seen by who decodes: media, in a limited process",
    ),
    Case(
        "OGG with 100 000 logical streams",
        lambda: made.ogg(100_000),
        ("output_audio", "output_music"),
        "MEDIA_MALFORMED",
        is_large=True,
    ),
    Case(
        "MP3 of 10 h at 8 kbit/s",
        lambda: made.id3(100) + made.slow_mp3(SECONDS_10_H),
        ("output_audio",),
        "MEDIA_TOO_LARGE",
        is_large=True,
    ),
    Case(
        "JPEG with a 64 KB comment containing <script>",
        lambda: made.jpeg(5, 5, (0xFE, b"<script>alert(1)</script>" * 2600)),
        ("output_image", "input_image"),
        media_type="image/jpeg",
        later="how it is served (image/jpeg, nosniff) is the gateway's and tested there",
    ),
    Case(
        "APNG with 100 000 frames",
        lambda: made.apng(100_000),
        ("output_image", "input_image"),
        "MEDIA_MALFORMED",
        is_large=True,
    ),
    Case(
        "PNG IHDR 0x0",
        lambda: made.png(0, 0),
        ("output_image", "input_image"),
        "MEDIA_MALFORMED",
    ),
    Case("PDF with JavaScript", lambda: PDF, ALL_MEDIA, "MEDIA_TYPE_NOT_ALLOWED"),
    Case(
        "image/png declared, JPEG bytes",
        lambda: made.jpeg(5, 5),
        ("output_image", "input_image"),
        media_type="image/jpeg",
        later="a declared type is not read at all, so that there is no mismatch to tell",
    ),
    Case(
        "PNG 13000x7000, 11 KB (91 Mpx)",
        lambda: made.png(13_000, 7000),
        ("output_image", "input_image"),
        "MEDIA_TOO_LARGE",
    ),
    Case(
        "random bytes, 1 MB, declared audio/wav",
        lambda: b"\x00" + random.Random(3).randbytes(1_000_000),
        ALL_MEDIA,
        "MEDIA_TYPE_NOT_ALLOWED",
    ),
    Case(
        "random bytes, 1 MB, behind the head of a WAV",
        lambda: b"RIFF\x00\x42\x0f\x00WAVE" + random.Random(3).randbytes(1_000_000),
        ("output_audio", "output_music"),
        "MEDIA_MALFORMED",
    ),
    Case(
        "MP4 that references an external file (dref url)",
        lambda: made.mp4(entry=made.reference(flags=0, url=b"http://169.254.169.254/\0")),
        ("output_video",),
        "MEDIA_MALFORMED",
    ),
    Case(
        "GLB (3D) with an external buffer uri",
        lambda: GLB,
        ALL_MEDIA,
        "MEDIA_TYPE_NOT_ALLOWED",
    ),
    Case("a program", lambda: EXE, ALL_MEDIA, "MEDIA_TYPE_NOT_ALLOWED"),
    Case(
        "JPEG with EXIF GPS and a thumbnail",
        lambda: made.jpeg(5, 5, (0xE1, GPS)),
        ("input_image",),
        media_type="image/jpeg",
        later="stored bytes are never altered: EXIF is taken out where pictures come in (media)",
    ),
]
EACH = [
    pytest.param(case, entity_type, id=f"{case.line} as {entity_type}")
    for case in CASES
    for entity_type in case.types
]
SMALL = [
    pytest.param(case, entity_type, id=f"{case.line} as {entity_type}")
    for case in CASES
    for entity_type in case.types
    if not case.is_large
]


@pytest.fixture
async def roomy(tmp_path: Path) -> AsyncIterator[World]:
    """A recorder behind gRPC that takes a sound of ten hours."""
    limits = replace(LIMITS, max_entity_bytes=64 * 1024 * 1024)
    async with world_of("grpc", tmp_path / "runs", limits=limits) as world:
        yield world


@pytest.mark.parametrize(("case", "entity_type"), EACH)
async def test_what_comes_of_bad_bytes_in_pieces(
    roomy: World, case: Case, entity_type: str
) -> None:
    name, data = await roomy.create(), case.data()
    upload = f"{name}/uploads/x"
    # What is declared is not what counts.
    thing = entity(entity_type, output_index=1, media_type="image/png")
    messages = stream(upload, data, chunk=min(len(data) // 3 + 1, 256 * 1024), of=thing)
    if case.reason:
        with pytest.raises(InvalidArgument) as caught:
            await roomy.write(messages)
        assert caught.value.reason == case.reason
        assert not (await roomy.get(name)).entities
        assert roomy.unfinished_bytes() == 0
    else:
        written = (await roomy.write(messages)).entity
        assert written.media_type == case.media_type
        assert written.filename.endswith(".jpg" if case.media_type == "image/jpeg" else ".png")
        assert await roomy.read(written.name) == data


@pytest.mark.parametrize(("case", "entity_type"), SMALL)
async def test_what_comes_of_bad_bytes_at_once(served: World, case: Case, entity_type: str) -> None:
    name, data = await served.create(), case.data()
    request = pb.RecordEntityRequest(
        upload=f"{name}/uploads/{uuid.uuid4()}",
        entity=entity(entity_type, output_index=1, media_type="image/png"),
        data=data,
    )
    if case.reason:
        with pytest.raises(InvalidArgument) as caught:
            await served.call("RecordEntity", request)
        assert (caught.value.reason, caught.value.field) == (case.reason, "data")
        assert not (await served.get(name)).entities
    else:
        recorded = (await served.call("RecordEntity", request)).entity
        assert recorded.media_type == case.media_type


async def test_an_upload_that_goes_on_is_judged_by_all_of_it(served: World) -> None:
    name, data = await served.create(), picture_of(bytes(9000))
    upload = f"{name}/uploads/x"
    await served.write(stream(upload, data[:5000], finish=False))
    await served.restart()
    written = await served.write(stream(upload, data, start=5000))
    assert written.entity.media_type == "image/png"
    await served.write(stream(f"{name}/uploads/y", data[:5000], finish=False))
    await served.restart()
    with pytest.raises(InvalidArgument) as caught:
        await served.write(stream(f"{name}/uploads/y", data + b"more", start=5000))
    assert caught.value.reason == "MEDIA_MALFORMED"
