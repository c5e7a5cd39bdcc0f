"""PrepareImage: a person's picture, made fit to be recorded; or refused with the reason."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageCms

from artlab.media.v1 import media_pb2
from tests.integration.media.world import CALL_SECONDS, World
from tests.support.media_files import PNG_END, gif, png
from tests.support.pictures import chunk, header
from tests.support.rpc import refused

ORIENTATION, GPS, MAKER = 0x0112, 0x8825, 0x010F


async def prepared(world: World, data: bytes) -> tuple[media_pb2.PrepareImageResponse, bytes]:
    """The first message and all bytes."""
    call = world.media.PrepareImage(_messages(data), timeout=CALL_SECONDS)
    answers = [answer async for answer in call]
    assert max(len(answer.data) for answer in answers) <= 256 * 1024
    return answers[0], b"".join(answer.data for answer in answers)


def _messages(data: bytes, size: int = 200_000) -> Iterator[media_pb2.PrepareImageRequest]:
    for at in range(0, max(len(data), 1), size):
        yield media_pb2.PrepareImageRequest(data=data[at : at + size])


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def striped(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red on the left half, blue on the right."""
    image = Image.new(mode, (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    return image


async def test_a_photo_is_turned_upright_and_loses_every_word_about_it(world: World) -> None:
    photo = striped(400, 200)
    exif = Image.Exif()
    # 6: the camera was held on its side; the left of the file is the top of the picture.
    exif[ORIENTATION], exif[MAKER] = 6, "a camera of somebody"
    exif.get_ifd(GPS)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(photo, "JPEG", exif=exif, comment=b"my name", icc_profile=profile)
    head, made = await prepared(world, data)
    assert (head.media_type, head.width, head.height) == ("image/jpeg", 200, 400)
    image = Image.open(io.BytesIO(made))
    assert (image.format, image.size) == ("JPEG", (200, 400))
    top, bottom = image.getpixel((100, 50)), image.getpixel((100, 350))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]
    assert not image.getexif()
    assert not {"comment", "icc_profile", "exif"} & set(image.info)
    assert b"my name" not in made
    assert b"somebody" not in made


async def test_it_is_scaled_down_to_2048_pixels_and_never_up(world: World) -> None:
    for size, expected in (
        ((4000, 1000), (2048, 512)),
        ((100, 4096), (50, 2048)),
        ((7, 5), (7, 5)),
    ):
        head, made = await prepared(world, encoded(striped(*size), "JPEG"))
        assert (head.width, head.height) == Image.open(io.BytesIO(made)).size == expected


KINDS = [
    ("PNG", "RGB", "image/png"),
    ("PNG", "RGBA", "image/png"),
    ("WEBP", "RGBA", "image/png"),
    ("WEBP", "RGB", "image/jpeg"),
    ("JPEG", "CMYK", "image/jpeg"),
    ("JPEG", "L", "image/jpeg"),
    ("BMP", "RGB", "image/png"),
    ("GIF", "P", "image/png"),
    ("AVIF", "RGB", "image/jpeg"),
]


async def test_pictures_of_every_usual_kind_are_taken(world: World) -> None:
    for form, mode, media_type in KINDS:
        source = striped(64, 32)
        if mode == "RGBA":
            source.putalpha(128)
        head, made = await prepared(world, encoded(source.convert(mode), form))
        assert head.media_type == media_type, form
        image = Image.open(io.BytesIO(made))
        image.load()
        assert image.size == (64, 32)
        assert (image.mode == "RGBA") == (mode == "RGBA")


async def test_sixteen_bits_of_grey_keep_their_shades(world: World) -> None:
    grey = Image.new("I;16", (8, 8), 0x8000)
    _, made = await prepared(world, encoded(grey, "PNG"))
    shade = Image.open(io.BytesIO(made)).getpixel((3, 3))
    assert isinstance(shade, tuple)
    assert 120 <= shade[0] <= 135


async def test_of_a_picture_that_moves_the_first_is_taken(world: World) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("lime", "red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    head, made = await prepared(world, data)
    image = Image.open(io.BytesIO(made)).convert("RGB")
    assert head.media_type == "image/png"
    assert image.getpixel((5, 5)) == (0, 255, 0)


NOISE = encoded(Image.effect_noise((300, 300), 90), "PNG")
PHOTO = encoded(Image.effect_noise((300, 300), 90), "JPEG")


def bad_files() -> dict[str, tuple[bytes, str]]:
    """By name: the bytes, and why they are refused."""
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    # A profile of colours that unpacks to 200 MB.
    colours = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200_000_000), 9))
    return {
        "nothing": (b"", "EMPTY_MEDIA"),
        "svg": (
            b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
            "MEDIA_TYPE_NOT_ALLOWED",
        ),
        "pdf": (b"%PDF-1.7\n" + bytes(100), "MEDIA_TYPE_NOT_ALLOWED"),
        "page": (b"<html><body>hello</body></html>", "MEDIA_TYPE_NOT_ALLOWED"),
        "random bytes": (bytes(range(256)) * 4000, "MEDIA_TYPE_NOT_ALLOWED"),
        "cut PNG": (NOISE[: len(NOISE) // 2], "MEDIA_MALFORMED"),
        "cut JPEG": (PHOTO[: len(PHOTO) // 2], "MEDIA_MALFORMED"),
        "cut header": (NOISE[:20], "MEDIA_MALFORMED"),
        "3600 megapixels": (png(60_000, 60_000), "MEDIA_TOO_LARGE"),
        "91 megapixels": (png(13_000, 7_000), "MEDIA_TOO_LARGE"),
        "one column": (png(1, 0xFFFFFFFF), "MEDIA_TOO_LARGE"),
        "no pixels": (png(0, 0), "MEDIA_MALFORMED"),
        "a text that unpacks to 200 MB": (png(1, 1, bomb), "MEDIA_TOO_LARGE"),
        "colours that unpack to 200 MB": (png(1, 1, colours), "MEDIA_TOO_LARGE"),
        "no deflate": (header(4, 4) + chunk(b"IDAT", b"xx") + PNG_END, "MEDIA_MALFORMED"),
        "a GIF of 4200 megapixels": (gif(65_000, 65_000), "MEDIA_TOO_LARGE"),
    }


async def test_what_is_no_whole_picture_is_refused_with_the_reason(world: World) -> None:
    for name, (data, reason) in bad_files().items():
        async with refused("INVALID_ARGUMENT", reason, "data") as seen:
            await prepared(world, data)
        assert len(seen.message) < 200, name
    # Each of them was refused by the file, and not because its decoder was gone.
    head, _ = await prepared(world, NOISE)
    assert head.width == 300


async def test_a_picture_of_more_than_32_mib_is_refused(world: World) -> None:
    messages = [media_pb2.PrepareImageRequest(data=bytes(256 * 1024))] * 129
    async with refused("INVALID_ARGUMENT", "MEDIA_TOO_LARGE", "data"):
        async for _ in world.media.PrepareImage(iter(messages), timeout=CALL_SECONDS):
            pass


async def test_a_message_that_is_too_large_is_refused(world: World) -> None:
    async with refused("INVALID_ARGUMENT", "MEDIA_TOO_LARGE", "data"):
        message = media_pb2.PrepareImageRequest(data=bytes(256 * 1024 + 1))
        async for _ in world.media.PrepareImage(iter([message]), timeout=CALL_SECONDS):
            pass
