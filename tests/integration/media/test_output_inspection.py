"""What a backend made, looked at before it counts: what is found, and what is refused."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from artlab.recorder.v1 import recorder_pb2
from services.kit.errors import (
    ArtlabError,
    Cancelled,
    FailedPrecondition,
    Internal,
    ResourceExhausted,
)
from services.media import inspection, upload_stream
from services.media.decoding.decoder import Decoder
from services.media.inspection import Inspector
from services.media.spool import Spool
from tests.integration.media.world import CALL_SECONDS, World, image_config, media_beside
from tests.support.eventually import eventually
from tests.support.media_files import apng, gif, id3, mp4, png, slow_mp3
from tests.support.moving_files import film, image, sound
from tests.support.pictures import chunk, header
from tests.support.rpc import refused
from tests.support.small_disk import small_disk

CHUNK_BYTES = 9_000


@pytest.fixture
async def inspector() -> AsyncIterator[Inspector]:
    async with Decoder(1, waiting=4) as decoder:
        yield Inspector(decoder, None)


async def seen(inspector: Inspector, kind: str, data: bytes) -> dict[str, str]:
    """What is found out about data that come in pieces."""
    look = inspector.begin(kind)

    def read() -> dict[str, str]:
        with closing(look):
            for at in range(0, len(data), CHUNK_BYTES):
                look.add(data[at : at + CHUNK_BYTES])
            found = look.conclude()
            assert found is not None
            return found

    return await asyncio.to_thread(read)


async def refusal(inspector: Inspector, kind: str, data: bytes) -> ArtlabError:
    with pytest.raises(FailedPrecondition) as caught:
        await seen(inspector, kind, data)
    return caught.value


SIZE = {"width": "64", "height": "48"}
MOVES = {**SIZE, "frames": "5", "duration_seconds": "0.5", "frame_rate": "10"}
FILM = {**SIZE, "frames": "30", "duration_seconds": "2", "frame_rate": "15"}


async def test_size_duration_rate_and_channels_are_found_out(inspector: Inspector) -> None:
    for form in ("PNG", "JPEG", "WEBP", "GIF"):
        assert await seen(inspector, "image", image(form)) == SIZE, form
    for form in ("WEBP", "GIF"):
        assert await seen(inspector, "video", image(form, frames=5)) == MOVES, form
    assert await seen(inspector, "video", film()) == FILM
    assert await seen(inspector, "video", film(movflags="faststart")) == FILM
    assert await seen(inspector, "video", film("webm", "libvpx")) == FILM
    spoken = await seen(inspector, "video", film(sound=True))
    assert spoken == {**FILM, "channels": "2", "sample_rate": "44100"}


SOUNDS = [
    ("wav", "pcm_s16le", "music"),
    ("flac", "flac", "audio"),
    ("mp3", "libmp3lame", "music"),
    ("ogg", "libopus", "audio"),
    ("ipod", "aac", "music"),
]


async def test_of_sounds_too(inspector: Inspector) -> None:
    for form, codec, kind in SOUNDS:
        found = await seen(inspector, kind, sound(form, codec))
        assert (found["channels"], found["sample_rate"]) == ("2", "48000"), form
        assert abs(float(found["duration_seconds"]) - 2.0) < 0.1, form
    found = await seen(inspector, "music", sound("wav", "pcm_s16le", hertz=22_050, channels=1))
    assert (found["channels"], found["sample_rate"]) == ("1", "22050")


async def test_texts_are_counted_and_must_be_texts(inspector: Inspector) -> None:
    # A character whose bytes come in two pieces.
    text = ("a" * (CHUNK_BYTES - 1) + "ü" + "\U0001f33c").encode()
    assert await seen(inspector, "text", text) == {"characters": str(CHUNK_BYTES + 1)}
    assert await seen(inspector, "code", b"background(220)") == {"characters": "15"}
    cases = [
        ("text", b"\xff\xfe", "MEDIA_KIND_MISMATCH"),
        ("text", text[:-1], "MEDIA_KIND_MISMATCH"),
        ("text", b"a\0b", "MEDIA_KIND_MISMATCH"),
        ("text", b"", "MEDIA_EMPTY"),
        ("text", b"x" * (1024 * 1024 + 1), "MEDIA_TOO_LARGE"),
        ("code", "\ufeff\n <!DOCTYPE html><script>".encode(), "MEDIA_TYPE_NOT_ALLOWED"),
    ]
    for kind, data, reason in cases:
        assert (await refusal(inspector, kind, data)).reason == reason, data[:20]


NOISE = image("PNG", 300, 300)


def bad_files() -> dict[str, tuple[str, bytes, str]]:
    """By name: the kind that is expected, the bytes, and why they are refused."""
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    film_file = film(movflags="faststart")
    song = sound("mp3", "libmp3lame", cover=True)
    webm_file = film("webm", "libvpx", frames=90)
    return {
        "nothing": ("image", b"", "MEDIA_EMPTY"),
        "page": ("image", b"<html>log in</html>", "MEDIA_TYPE_NOT_ALLOWED"),
        "svg": ("image", b"<svg xmlns='x'><script/></svg>", "MEDIA_TYPE_NOT_ALLOWED"),
        "pdf": ("image", b"%PDF-1.7\n/JavaScript", "MEDIA_TYPE_NOT_ALLOWED"),
        "random bytes": ("audio", bytes(range(256)) * 4000, "MEDIA_TYPE_NOT_ALLOWED"),
        "picture for sound": ("audio", NOISE, "MEDIA_KIND_MISMATCH"),
        "sound for video": ("video", sound("wav", "pcm_s16le"), "MEDIA_KIND_MISMATCH"),
        "film without pictures": ("video", sound("mp4", "aac"), "MEDIA_KIND_MISMATCH"),
        "song with a cover": ("music", song, "MEDIA_KIND_MISMATCH"),
        "film for image": ("image", film_file, "MEDIA_KIND_MISMATCH"),
        "GIF that moves for image": ("image", image("GIF", frames=3), "MEDIA_KIND_MISMATCH"),
        "WebP that moves for image": ("image", image("WEBP", frames=3), "MEDIA_KIND_MISMATCH"),
        "PNG that moves": ("image", image("PNG", frames=3), "MEDIA_KIND_MISMATCH"),
        "cut PNG": ("image", NOISE[: len(NOISE) // 2], "MEDIA_MALFORMED"),
        "PNG without its end": ("image", NOISE[:-4000], "MEDIA_MALFORMED"),
        "PNG of 100 000 frames": ("image", apng(100_000), "MEDIA_MALFORMED"),
        "cut JPEG": ("image", image("JPEG", 300, 300)[:9000], "MEDIA_MALFORMED"),
        "cut WebP": ("image", image("WEBP", 300, 300)[:9000], "MEDIA_MALFORMED"),
        "PNG of 3600 megapixels": ("image", png(60_000, 60_000), "MEDIA_TOO_LARGE"),
        "GIF of 4200 megapixels": ("image", gif(65_000, 65_000), "MEDIA_TOO_LARGE"),
        "text that unpacks to 200 MB": ("image", png(1, 1, bomb), "MEDIA_TOO_LARGE"),
        "PNG without pixels": ("image", png(0, 0), "MEDIA_MALFORMED"),
        "PNG with no deflate in it": (
            "image", header(4, 4) + chunk(b"IDAT", b"xx") + chunk(b"IEND", b""), "MEDIA_MALFORMED",
        ),
        "film without its end": ("video", film_file[:-20_000], "MEDIA_MALFORMED"),
        "film without its table": ("video", film()[:-3000], "MEDIA_MALFORMED"),
        "WebM without its half": ("video", webm_file[: len(webm_file) // 3], "MEDIA_MALFORMED"),
        "film without a picture": ("video", mp4(), "MEDIA_KIND_MISMATCH"),
        "cut FLAC": ("music", sound("flac", "flac", 8)[:40_000], "MEDIA_MALFORMED"),
        "MP3 of ten hours": ("music", id3(10) + slow_mp3(36_000), "MEDIA_TOO_LARGE"),
    }  # fmt: skip


async def test_what_is_not_whole_too_large_or_something_else_is_refused(
    inspector: Inspector,
) -> None:
    for name, (kind, data, reason) in bad_files().items():
        error = await refusal(inspector, kind, data)
        assert error.reason == reason, f"{name}: {error}"
        assert len(error.message) < 200


async def test_whatever_bytes_are_changed_there_is_an_answer_and_the_decoder_goes_on(
    inspector: Inspector,
) -> None:
    chance = random.Random(14)
    files = [
        *(("image", image(form, 40, 30)) for form in ("PNG", "JPEG", "WEBP", "GIF")),
        ("video", film(frames=6)), ("video", film("webm", "libvpx", frames=6)),
        *((kind, sound(form, codec, 0.2)) for form, codec, kind in SOUNDS),
    ]  # fmt: skip
    reasons: list[str] = []
    for kind, whole in files:
        for _ in range(12):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            end = chance.choice((len(data), chance.randrange(1, len(data))))
            try:
                await seen(inspector, kind, bytes(data[:end]))
            except FailedPrecondition as error:
                reasons.append(error.reason)
    assert len(reasons) > len(files)
    assert {reason[:6] for reason in reasons} == {"MEDIA_"}


async def test_of_a_large_film_only_both_ends_are_kept_and_that_is_enough(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "WHOLE_BYTES", 20_000)
    monkeypatch.setattr(inspection, "TAIL_BYTES", 30_000)
    kept: list[int] = []
    look = inspection.MediaInspection._put_tail

    def counted(self: inspection.MediaInspection, copy: Spool) -> bool:
        is_whole = look(self, copy)
        assert not is_whole
        kept.append(Path(f"/proc/self/fd/{copy.handle}").stat().st_blocks * 512)
        return is_whole

    monkeypatch.setattr(inspection.MediaInspection, "_put_tail", counted)
    for data in (film(frames=150), film(frames=150, movflags="faststart")):
        assert len(data) > 90_000
        found = await seen(inspector, "video", data)
        assert found == {**FILM, "frames": "150", "duration_seconds": "10"}
        assert kept.pop() < 75_000
    # Its table is at the end, and cut.
    assert (await refusal(inspector, "video", film(frames=150)[:-2000])).reason == "MEDIA_MALFORMED"


async def test_a_folder_that_cannot_be_written_refuses_the_output() -> None:
    async with Decoder(1, waiting=1) as decoder:
        with pytest.raises(Internal) as caught:
            await seen(Inspector(decoder, Path("/proc/nowhere")), "image", NOISE)
    assert caught.value.reason == "SPOOL_FAILED"


async def test_a_full_disk_refuses_the_output_and_gives_the_room_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "spool", 1024 * 1024, 100) as folder:
        async with Decoder(1, waiting=1) as decoder:
            inspector = Inspector(decoder, folder)
            with pytest.raises(ResourceExhausted) as caught:
                await seen(inspector, "image", image("PNG", 1000, 1000))
            assert caught.value.reason == "SPOOL_FULL"
            assert not list(folder.iterdir())
            assert (await seen(inspector, "image", NOISE))["width"] == "300"


async def test_a_look_that_is_stopped_ends_at_once_and_so_does_its_process() -> None:
    async with Decoder(1, waiting=1) as decoder:
        await decoder.load()
        (child,) = psutil.Process().children()
        # It would take its 20 seconds.
        child.suspend()
        look = Inspector(decoder, None).begin("image")
        with closing(look):
            look.add(NOISE)
            work = asyncio.create_task(asyncio.to_thread(look.conclude))
            await eventually(lambda: getattr(look, "_looking", None) is not None)
            look.stop()
            with pytest.raises(Cancelled):
                async with asyncio.timeout(5):
                    await work
        await eventually(lambda: not child.is_running())


async def test_while_others_are_looked_into_first_the_recorder_is_kept_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_stream, "KEEPALIVE_SECONDS", 0.01)
    looks = 0

    def counted(self: inspection.MediaInspection, patience: float | None) -> Any:
        nonlocal looks
        looks += 1
        return found(self, patience if looks > 5 else 0.0)

    found = inspection.MediaInspection._found
    monkeypatch.setattr(inspection.MediaInspection, "_found", counted)
    world.backend.data = NOISE
    world.backend.go.set()
    assert (await world.made(await world.upload())).metadata["width"] == "300"
    assert looks > 5


async def test_what_was_found_out_is_recorded_with_the_output(recorder_target: str) -> None:
    configs = {kind: image_config(kind, kind=kind, slots={}) for kind in ("video", "music", "text")}
    async with media_beside(recorder_target, configs=configs) as world:
        world.backend.go.set()
        for kind, data, facts in (
            ("video", film(), FILM),
            ("music", sound("wav", "pcm_s16le"), {"channels": "2", "sample_rate": "48000"}),
            ("text", b"ein Gedicht", {"characters": "11"}),
        ):
            world.backend.data = data
            made = await world.made(await world.upload(), output_config=kind)
            assert facts.items() <= dict(made.metadata).items()
            assert made.metadata["note"] == "as reported"
            assert await world.bytes_of(made) == data


async def test_what_is_refused_leaves_nothing_in_the_record(world: World) -> None:
    world.backend.go.set()
    for data, reason in (
        (NOISE[: len(NOISE) // 2], "MEDIA_MALFORMED"),
        (png(60_000, 60_000), "MEDIA_TOO_LARGE"),
        (image("GIF", frames=3), "MEDIA_KIND_MISMATCH"),
        (b"<html>log in</html>" * 100_000, "MEDIA_TYPE_NOT_ALLOWED"),
    ):
        world.backend.data = data
        upload = await world.upload()
        async with refused("FAILED_PRECONDITION", reason):
            await world.made(upload)
        await nothing_is_left(world, upload)
    # It was not the decoder that broke.
    world.backend.data = NOISE
    assert (await world.made(await world.upload())).metadata["width"] == "300"


async def nothing_is_left(world: World, upload: str) -> None:
    async with refused("NOT_FOUND", "UPLOAD_NOT_FOUND"):
        asked = recorder_pb2.GetUploadRequest(upload=upload)
        await world.recorder.GetUpload(asked, timeout=CALL_SECONDS)
