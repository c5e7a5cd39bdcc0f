"""Text chunks leave a PNG while it passes; nothing else of it changes."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from services.media.domain.png_text import without_texts
from tests.fakes.comfyui.files import write_large_picture, write_picture

SECRET = "Mein Name ist Anna und ich wohne in der Blumenstraße"


def picture(*, texts: bool) -> bytes:
    """A real PNG; with texts of all three kinds, before and after the pixels, or without."""
    image = Image.effect_noise((120, 90), 60).convert("RGB")
    image.putdata([(x * 7 % 256, x % 256, 3) for x in range(120 * 90)])
    info = PngImagePlugin.PngInfo()
    if texts:
        info.add_text("prompt", SECRET)
        info.add_itxt("workflow", SECRET)
        info.add_text("zipped", SECRET, zip=True)
        info.add(b"tEXt", b"after\0" + SECRET.encode("latin-1"), True)
    target = io.BytesIO()
    image.save(target, "PNG", pnginfo=info)
    return target.getvalue()


def passed(data: bytes, sizes: list[int]) -> bytes:
    """The bytes that come out when they go in in pieces of these sizes, over and over."""
    pieces, position, number = [], 0, 0
    while position < len(data):
        size = sizes[number % len(sizes)]
        pieces.append(data[position : position + size])
        position += size
        number += 1
    return b"".join(without_texts(pieces))


@pytest.mark.parametrize("sizes", [[1], [7], [8], [13, 1, 4], [100], [10_000_000]])
def test_the_texts_are_gone_and_all_else_is_as_it_was(sizes: list[int]) -> None:
    clean = passed(picture(texts=True), sizes)
    assert clean == picture(texts=False)
    assert not any(kind in clean for kind in (b"tEXt", b"iTXt", b"zTXt"))


def test_any_cut_into_pieces_gives_the_same() -> None:
    dice = random.Random(7)
    data = picture(texts=True)
    for _ in range(200):
        sizes = [dice.randint(1, 400) for _ in range(dice.randint(1, 9))]
        assert passed(data, sizes) == picture(texts=False)


def test_no_piece_is_larger_than_those_that_came() -> None:
    for data in (picture(texts=True), picture(texts=False)):
        for size in range(9, 60):
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            assert max(len(piece) for piece in without_texts(pieces)) <= size


def test_what_comfyui_writes_has_the_prompt_in_it_and_leaves_without(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, 64, 48, 7, SECRET)
    assert b"Blumenstra" in path.read_bytes()
    clean = b"".join(without_texts([path.read_bytes()]))
    assert b"Blumenstra" not in clean
    assert Image.open(io.BytesIO(clean)).tobytes() == Image.open(path).tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        b"\xff\xd8\xff\xe0 a JPEG that says tEXt",
        b"OggS",
        picture(texts=False),
        picture(texts=False)[:-7],
        picture(texts=False) + b"\0\0\0\x04tEXtbeyond the end",
    ],
)
def test_what_has_no_text_chunk_passes_unchanged(data: bytes) -> None:
    for sizes in ([1], [9], [100_000]):
        assert passed(data, sizes) == data


def test_a_text_chunk_that_is_cut_off_does_not_come_through() -> None:
    data = picture(texts=True)
    begin = data.index(b"tEXt") - 4
    assert passed(data[: begin + 30], [5]) == data[:begin]


def test_a_length_beyond_the_file_holds_nothing_back() -> None:
    body = b"IDAT" + b"x" * 50
    data = picture(texts=False)[:33] + struct.pack(">I", 2**31 - 1) + body
    data += struct.pack(">I", zlib.crc32(body))
    assert passed(data, [11]) == data


def test_pieces_without_text_are_handed_on_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    write_large_picture(path, 2_000_000, 3)
    data = path.read_bytes()
    pieces = [data[at : at + 262_144] for at in range(0, len(data), 262_144)]
    found = list(without_texts(pieces))
    assert b"".join(found) == data
    assert [len(piece) for piece in found] == [len(piece) for piece in pieces]
