"""Bytes of strangers through a real server: refused, bounded, and never guessed about."""

from __future__ import annotations

import asyncio
import io
import os
import random
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest
import pytest_asyncio
from PIL import Image

from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.errors import ResourceExhausted, Unavailable
from services.kit.status import from_rpc_error
from services.safety.domain.levels import ImagePurpose, Level
from services.safety.images.checker import ImageToCheck
from services.safety.images.decoder import LIMITS as DECODER_LIMITS
from services.safety.images.decoder import Decoder
from services.safety.images.spool import Spool, Spools
from tests.integration.safety.image_server import (
    CHUNK_BYTES,
    Stub,
    check,
    listening,
    messages,
    serving,
)
from tests.support.eventually import eventually
from tests.support.media_files import gif, mp4, reference
from tests.support.moving_files import film as film_of_noise
from tests.support.pictures import chunk, header
from tests.support.rpc import refused
from tests.unit.safety.images import (
    encoded,
    film,
    image_checker,
    meadow,
    moving,
    one_bad_frame,
    pieces_of,
)


# One for all tests that change nothing about it: starting a decoder takes a fifth of a second.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub() -> AsyncIterator[Stub]:
    async with serving() as found:
        yield found


shared = pytest.mark.asyncio(loop_scope="module")


PNG = encoded(meadow())
JPEG = encoded(meadow(), "JPEG")
GIF = moving(one_bad_frame(25, 3))
MP4 = film(one_bad_frame(25, 3))


def plain_png(width: int, height: int) -> bytes:
    rows = zlib.compress(bytes((1 + width * 3) * min(height, 10)))
    return header(width, height) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that unpacks to 200 megabytes behind a small header."""
    data = zlib.compress(bytes(200_000_000), 9)
    return header(64, 64) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD: list[tuple[str, bytes, str, str]] = [
    ("SVG with a script", b"<svg><script>x</script></svg>", "image/png", "MEDIA_TYPE_NOT_ALLOWED"),
    ("HTML as PNG", b"<!DOCTYPE html><script>x</script>", "image/png", "MEDIA_TYPE_NOT_ALLOWED"),
    ("PDF", b"%PDF-1.7\n1 0 obj << /JS (x) >>", "image/png", "MEDIA_TYPE_NOT_ALLOWED"),
    ("ZIP", zipped(), "image/png", "MEDIA_TYPE_NOT_ALLOWED"),
    ("random bytes", os.urandom(9000) + b"\0", "image/png", "MEDIA_TYPE_NOT_ALLOWED"),
    ("nothing", b"", "image/png", "EMPTY_MEDIA"),
    ("JPEG as PNG", JPEG, "image/png", "MEDIA_KIND_MISMATCH"),
    ("GIF as MP4", GIF, "video/mp4", "MEDIA_KIND_MISMATCH"),
    ("PNG cut in its data", PNG[: len(PNG) // 2], "image/png", "MEDIA_MALFORMED"),
    ("JPEG cut", JPEG[: len(JPEG) // 2], "image/jpeg", "MEDIA_MALFORMED"),
    ("GIF cut in a later frame", GIF[: len(GIF) * 2 // 3], "image/gif", "MEDIA_MALFORMED"),
    ("MP4 with a cover", film_of_noise(cover=True), "video/mp4", "MEDIA_MALFORMED"),
    ("MP4 cut", MP4[: len(MP4) // 2], "video/mp4", "MEDIA_MALFORMED"),
    ("MP4 without pictures", mp4(), "video/mp4", "MEDIA_KIND_MISMATCH"),
    ("GIF of too many frames", gif(4, 4, 10_001), "image/gif", "MEDIA_TOO_LARGE"),
    (
        "MP4 whose bytes are elsewhere",
        mp4(entry=reference(flags=0, url=b"http://127.0.0.1:9/x\0")),
        "video/mp4",
        "MEDIA_KIND_MISMATCH",
    ),
    ("PNG 0x0", plain_png(0, 0), "image/png", "MEDIA_MALFORMED"),
    ("PNG 1x4294967295", plain_png(1, 2**32 - 1), "image/png", "MEDIA_TOO_LARGE"),
    ("PNG 13000x7000", plain_png(13_000, 7_000), "image/png", "MEDIA_TOO_LARGE"),
    ("PNG too narrow", plain_png(2, 60_000), "image/png", "MEDIA_TOO_LARGE"),
    ("only a PNG's signature", b"\x89PNG\r\n\x1a\n", "image/png", "MEDIA_MALFORMED"),
]


@pytest.mark.parametrize(
    ("data", "media_type", "reason"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
@shared
async def test_bytes_that_are_no_whole_picture_are_refused(
    stub: Stub, data: bytes, media_type: str, reason: str
) -> None:
    async with refused("INVALID_ARGUMENT", reason):
        await check(stub, data, media_type)
    # And whoever comes next is served.
    assert (await check(stub, PNG)).verdict.decision == safety_pb2.DECISION_SAFE


WHOLE = {
    "image/png": PNG,
    "image/jpeg": JPEG,
    "image/gif": GIF,
    "image/webp": moving(one_bad_frame(12, 3), "WEBP"),
    "video/mp4": MP4,
    "video/webm": film(one_bad_frame(12, 3), container="webm", codec="libvpx"),
}


@pytest.mark.parametrize("media_type", WHOLE)
@shared
async def test_bytes_changed_at_random_are_judged_or_refused_with_a_reason(
    stub: Stub, media_type: str
) -> None:
    chance = random.Random(media_type)
    reasons: set[str] = set()
    for _ in range(25):
        data = bytearray(WHOLE[media_type])
        for _ in range(chance.choice((1, 4, 40))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            answer = await check(stub, bytes(data), media_type)
        except grpc.aio.AioRpcError as error:
            reasons.add(from_rpc_error(error, "safety").reason)
        else:
            assert answer.verdict.decision != safety_pb2.DECISION_UNSPECIFIED
    assert "MEDIA_MALFORMED" in reasons
    assert reasons <= {
        "MEDIA_MALFORMED",
        "MEDIA_TOO_LARGE",
        "MEDIA_KIND_MISMATCH",
        "MEDIA_TYPE_NOT_ALLOWED",
    }


async def test_more_than_the_limit_is_refused_while_it_comes() -> None:
    def endless() -> Iterator[safety_pb2.CheckImageRequest]:
        yield from messages(PNG, "image/png")
        while True:
            yield safety_pb2.CheckImageRequest(data=bytes(CHUNK_BYTES))

    def call(target: str) -> None:
        # One that never stops sending must be a blocking stub: see read_rest.
        with grpc.insecure_channel(target) as channel:
            safety_pb2_grpc.SafetyServiceStub(channel).CheckImage(endless(), timeout=30)

    async with listening() as target:
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(call, target)
    error = from_rpc_error(caught.value, "safety")
    assert (error.reason, error.field) == ("MEDIA_TOO_LARGE", "data")


@shared
async def test_a_client_refused_before_it_has_sent_all_learns_why(stub: Stub) -> None:
    for _ in range(20):
        async with refused("INVALID_ARGUMENT", "MEDIA_TYPE_NOT_ALLOWED", "media_type"):
            await check(stub, bytes(1 << 20), "image/bmp")


@shared
async def test_another_type_is_refused_before_all_of_it_came(stub: Stub) -> None:
    async def never_whole() -> AsyncIterator[safety_pb2.CheckImageRequest]:
        for message in messages(b"no picture" * 1000, "image/png"):
            yield message
        await asyncio.Event().wait()

    async with refused("INVALID_ARGUMENT", "MEDIA_TYPE_NOT_ALLOWED"):
        await stub.CheckImage(never_whole(), timeout=30)


async def test_a_picture_that_takes_too_much_memory_is_refused() -> None:
    # Enough to start, not enough for sixty megapixels.
    decoder = Decoder(replace(DECODER_LIMITS, memory_bytes=420 << 20))
    async with serving(decoder=decoder) as stub:
        large = encoded(Image.new("P", (8000, 8000)))
        async with refused("INVALID_ARGUMENT", "MEDIA_TOO_LARGE"):
            await check(stub, large)
        assert (await check(stub, PNG)).verdict.decision == safety_pb2.DECISION_SAFE


@shared
async def test_a_bomb_unpacks_to_no_more_than_its_header_says(stub: Stub) -> None:
    data = bomb()
    assert len(data) < 1 << 20
    answer = await check(stub, data)
    assert answer.verdict.decision == safety_pb2.DECISION_SAFE


async def test_decoding_that_takes_too_long_is_an_error() -> None:
    decoder = Decoder(replace(DECODER_LIMITS, wall_seconds=0.02))
    async with serving(decoder=decoder) as stub:
        large = encoded(Image.new("RGB", (6000, 6000)))
        async with refused("DEADLINE_EXCEEDED", "IMAGE_DECODE_TIMEOUT"):
            await check(stub, large)


async def test_a_decoder_killed_at_its_work_is_an_error_and_the_next_one_works() -> None:
    slow = moving([meadow((1500, 1500), shift=n) for n in range(30)], "WEBP")
    # Not through a channel: it would ask again by itself, because this is UNAVAILABLE.
    async with image_checker() as checker:
        asked = ImageToCheck(Level.KIDS, ImagePurpose.IMAGE, "", "image/webp")
        call = asyncio.ensure_future(checker.check(asked, pieces_of(slow)))
        await eventually(kill_decoders_at_work)
        with pytest.raises(Unavailable, match="IMAGE_DECODER_LOST"):
            await call
        assert not (
            await checker.check(asked, pieces_of(encoded(meadow(), "WEBP")))
        ).verdict.blocked


def kill_decoders_at_work() -> bool:
    """Kill the children that have a file of ours open, and say whether there was one."""
    killed = False
    for child in psutil.Process().children():
        if nameless_files(child.pid):
            child.kill()
            killed = True
    return killed


def nameless_files(pid: int | str = "self") -> list[str]:
    """Files without a name that a process has open."""
    links = []
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                links.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return [link for link in links if link.startswith("/") and link.endswith(" (deleted)")]


async def test_when_the_client_goes_its_file_goes(tmp_path: Path) -> None:
    spools = Spools(str(tmp_path), 1, 0)
    async with serving(spools=spools) as stub:

        async def half() -> AsyncIterator[safety_pb2.CheckImageRequest]:
            for message in messages(PNG, "image/png"):
                yield message
            await asyncio.Event().wait()

        call = stub.CheckImage(half(), timeout=30)
        await eventually(lambda: bool(spooled(tmp_path)))
        async with refused("RESOURCE_EXHAUSTED", "SAFETY_BUSY"):
            await check(stub, PNG)
        call.cancel()
        await eventually(lambda: not spooled(tmp_path))
        assert (await check(stub, PNG)).verdict.decision == safety_pb2.DECISION_SAFE
    assert os.listdir(tmp_path) == []


def spooled(folder: Path) -> list[str]:
    """Files without a name in this folder that this process has open."""
    return [link for link in nameless_files() if link.startswith(str(folder))]


async def test_a_folder_for_the_bytes_that_went_away_is_an_error(tmp_path: Path) -> None:
    async with serving(spools=Spools(str(tmp_path / "gone"), 1, 0)) as stub:
        async with refused("INTERNAL", "SPOOL_FAILED"):
            await check(stub, PNG)


async def test_no_room_for_the_bytes_is_an_error() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: ASYNC230
        with pytest.raises(ResourceExhausted) as caught:
            await Spool(full, 1000).append(b"of a picture")
    assert caught.value.reason == "SPOOL_FULL"
