"""Pictures, decoded with Pillow; runs in a limited process only."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from services.kit.errors import InvalidArgument
from services.media.decoding.limits import (
    MAX_FRAMES,
    check_pixels,
    check_seconds,
    malformed,
    mismatch,
    not_allowed,
    too_large,
)

# What the recorder takes, by Pillow's names; a person may bring two more.
RECORDED = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
BROUGHT = (*RECORDED.values(), "BMP", "AVIF")
# Every pixel of these is as it was drawn; JPEG's blocks would be seen in them.
_DRAWN = ("PNG", "GIF", "BMP")
JPEG_QUALITY = 90
_SRGB = ImageCms.createProfile("sRGB")
# Our own limit is stricter and an error instead of a warning.
Image.MAX_IMAGE_PIXELS = None
# Loaded here once, and not in every fork.
Image.preinit()
_PLUGINS = (AvifImagePlugin, WebPImagePlugin)


def inspect_image(file: BinaryIO, media_type: str, *, may_move: bool) -> dict[str, object]:
    """Decode every picture of a file; return width, height, frames, duration_seconds, frame_rate.

    The last three only if it moves. Raises InvalidArgument.
    """
    most = MAX_FRAMES if may_move else 1
    with _opened(file, (RECORDED[media_type],)) as image:
        width, height = image.size
        count = 0
        milliseconds = 0.0
        while True:
            try:
                image.seek(count)
            except EOFError:
                break
            count += 1
            if count > most and not may_move:
                raise mismatch("an image is one picture, this moves")
            if count > most:
                raise too_large(f"at most {most} pictures")
            image.load()
            milliseconds += float(image.info.get("duration", 0))
    facts: dict[str, object] = {"width": width, "height": height}
    if count > 1:
        check_seconds(milliseconds / 1000)
        facts["frames"] = count
        if milliseconds:
            facts["duration_seconds"] = round(milliseconds / 1000, 3)
            facts["frame_rate"] = round(count * 1000 / milliseconds, 3)
    return facts


def prepare_image(file: BinaryIO, side: int) -> tuple[dict[str, object], bytes]:
    """Encode a person's picture anew: upright, in sRGB, without metadata, at most `side` pixels.

    Of one that moves it is the first picture. Returns media_type, width and height, and the
    bytes. Raises InvalidArgument.
    """
    with _opened(file, BROUGHT) as image:
        brought_as = image.format
        # JPEG alone can be decoded smaller than it is.
        image.draft("RGB", (side, side))
        image.load()
        orientation = image.getexif()
        profile = image.info.get("icc_profile")
        shown = _plain(image)
        shown.thumbnail((side, side), Image.Resampling.LANCZOS)
        if isinstance(profile, bytes):
            shown = _in_srgb(shown, profile)
        shown.getexif().update(orientation)
        shown = ImageOps.exif_transpose(shown)
    clean = Image.new(shown.mode, shown.size)
    clean.paste(shown)
    target = io.BytesIO()
    if shown.mode == "RGBA" or brought_as in _DRAWN:
        clean.save(target, "PNG", compress_level=6)
        media_type = "image/png"
    else:
        clean.save(target, "JPEG", quality=JPEG_QUALITY)
        media_type = "image/jpeg"
    facts = {"media_type": media_type, "width": clean.width, "height": clean.height}
    return facts, target.getvalue()


@contextmanager
def _opened(file: BinaryIO, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    try:
        with Image.open(file, formats=formats) as image:
            check_pixels(*image.size)
            yield image
    except UnidentifiedImageError as error:
        _explain_unidentified(file)
        kinds = ", ".join(formats)
        raise not_allowed(f"no picture of a kind that is read here: {kinds}") from error
    except InvalidArgument:
        raise
    except MemoryError as error:
        raise too_large("its pixels need more memory than one may take") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        # Pillow's way of saying that a text in it unpacks to more than it takes.
        if "too large" in str(error).lower() or "bomb" in str(error).lower():
            raise too_large("it unpacks to more than one may take") from error
        raise malformed("it cannot be decoded to its end") from error


def _explain_unidentified(file: BinaryIO) -> None:
    # Pillow says the same of a picture without pixels or cut in its header.
    file.seek(0)
    head = file.read(16)
    known: Mapping[bytes, int] = {
        b"\x89PNG\r\n\x1a\n": 8,
        b"\xff\xd8\xff": 3,
        b"GIF8": 4,
        b"RIFF": 4,
    }
    if any(head.startswith(start) for start in known):
        raise malformed("it cannot be decoded")


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        # Sixteen bits of grey; Pillow would cut the bright ones off.
        highest = 65535.0
        image = image.convert("F").point(lambda value: value * (255.0 / highest)).convert("L")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    # A profile that is none says nothing about the colours.
    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() == "RGB":
            made = ImageCms.profileToProfile(image, source, _SRGB, outputMode=image.mode)
            return image if made is None else made
    return image
