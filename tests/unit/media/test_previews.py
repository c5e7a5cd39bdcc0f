"""Previews: frames of both layouts, and nothing larger or other than a small picture."""

from __future__ import annotations

import io
import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.media.comfy.previews import MAX_FRAME_BYTES, parse_frame
from services.media.decoding.limits import MAX_PREVIEW_BYTES
from services.media.decoding.preview import SIDES, small


def picture(width: int = 512, height: int = 512, kind: str = "JPEG", noise: bool = False) -> bytes:
    size = width * height * 3
    data = random.Random(1).randbytes(size) if noise else bytes(size)
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), data).save(file, kind)
    return file.getvalue()


def large() -> bytes:
    """A whole picture of 25 megapixels."""
    file = io.BytesIO()
    Image.new("1", (5000, 5000)).save(file, "PNG")
    return file.getvalue()


def with_metadata(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", 4, len(text)) + text + data


def test_both_layouts_are_read() -> None:
    old = parse_frame(struct.pack(">II", 1, 1) + b"picture")
    new = parse_frame(with_metadata({"prompt_id": "a", "node_id": "3"}, b"picture"))
    assert old is not None
    assert new is not None
    assert (old.prompt_id, bytes(old.picture)) == (None, b"picture")
    assert (new.prompt_id, bytes(new.picture)) == ("a", b"picture")


def test_frames_as_a_real_comfyui_sent_them_are_read() -> None:
    # Recording 23: both layouts of the same step of a KSampler.
    job = "9382581b-bdda-4767-bebb-0fbba5be6d31"
    header = (
        f'{{"node_id": "3", "prompt_id": "{job}", "display_node_id": "3", '
        '"parent_node_id": null, "real_node_id": "3", "image_type": "image/jpeg"}'
    )
    data = picture()
    found = parse_frame(bytes.fromhex("00000004000000a6") + header.encode() + data)
    plain = parse_frame(bytes.fromhex("0000000100000001") + data)
    assert found is not None
    assert plain is not None
    assert (found.prompt_id, plain.prompt_id) == (job, None)
    assert bytes(found.picture) == bytes(plain.picture) == data


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0\1",
        struct.pack(">II", 1, 1),
        struct.pack(">II", 3, 1) + b"5width: 96",
        struct.pack(">II", 2, 1) + b"picture",
        struct.pack(">II", 4, 2**31) + b"{}picture",
        with_metadata(b"not json", b"picture"),
        with_metadata([], b"picture"),
        with_metadata({}, b"picture"),
        with_metadata(b"[" * 10_000, b"picture"),
        struct.pack(">II", 1, 1) + bytes(MAX_FRAME_BYTES),
    ],
)
def test_other_frames_are_passed_over(frame: bytes) -> None:
    assert parse_frame(frame) is None


@given(st.binary(max_size=300))
def test_no_frame_does_harm(frame: bytes) -> None:
    found = parse_frame(frame)
    assert found is None or small(bytes(found.picture)) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(512, 512), (64, 1024), (32, 32)])
def test_a_preview_is_a_small_jpeg(kind: str, size: tuple[int, int]) -> None:
    made = small(picture(*size, kind=kind))
    assert made is not None
    opened = Image.open(io.BytesIO(made), formats=["JPEG"])
    opened.load()
    assert max(opened.size) <= SIDES[0]
    assert not opened.getexif()


def test_noise_of_any_size_ends_within_64_kib() -> None:
    made = small(picture(1500, 1500, kind="PNG", noise=True))
    assert made is not None
    assert len(made) <= MAX_PREVIEW_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"<svg onload=alert(1)/>",
        b"GIF89a" + bytes(100),
        picture()[:200],
        large(),
    ],
)
def test_what_is_no_whole_picture_of_bearable_size_is_dropped(data: bytes) -> None:
    assert small(data) is None
