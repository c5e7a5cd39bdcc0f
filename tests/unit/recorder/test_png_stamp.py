"""The stamp of an exported picture: readable by others, and taken out without a trace."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.recorder.domain.png_stamp import KEYWORD, stamp_of, with_stamp, without_stamp

RUN = "528e5af9-59b3-4551-b101-27e13dd6e43e"
STAMP = stamp_of(RUN, 6, "ab" * 32, "cd" * 32)
OTHER = stamp_of(RUN, 7, "ab" * 32, "cd" * 32)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


END = chunk(b"IEND", b"")


def a_picture(**saved: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, "PNG", **saved)
    return buffer.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def stamped(data: bytes, size: int = 7) -> bytes:
    return b"".join(with_stamp(pieces(data, size), STAMP))


def bare(data: bytes, size: int = 7) -> bytes:
    return b"".join(without_stamp(pieces(data, size), STAMP))


def test_pillow_shows_run_entity_and_digests() -> None:
    original = a_picture()
    with Image.open(io.BytesIO(stamped(original))) as picture:
        picture.load()
        told = json.loads(picture.text[KEYWORD])  # type: ignore[attr-defined]
        pixels = picture.tobytes()
    assert told == {"run_id": RUN, "sequence": 6, "sha256": "ab" * 32, "checksum": "cd" * 32}
    with Image.open(io.BytesIO(original)) as picture:
        assert picture.tobytes() == pixels


def test_it_stands_right_before_the_end_and_nothing_else_changes() -> None:
    original = a_picture()
    assert stamped(original) == original[:-12] + STAMP + original[-12:]


chunks = st.lists(
    st.tuples(st.sampled_from([b"IHDR", b"IDAT", b"tEXt", b"zzZz"]), st.binary(max_size=300)).map(
        lambda one: chunk(*one)
    )
    | st.sampled_from([STAMP, OTHER]),
    max_size=6,
).map(b"".join)
pngs = st.builds(
    lambda body, end, rest: SIGNATURE + body + end + rest,
    chunks,
    st.sampled_from([END, b""]),
    st.binary(max_size=40) | st.just(STAMP),
)


@given(data=pngs | st.binary(max_size=60), one=st.integers(1, 50), other=st.integers(1, 50))
def test_taking_it_out_gives_back_every_byte(data: bytes, one: int, other: int) -> None:
    assert bare(stamped(data, one), other) == data


@given(data=pngs, size=st.integers(1, 50))
def test_how_the_bytes_arrive_makes_no_difference(data: bytes, size: int) -> None:
    assert stamped(data, size) == stamped(data, len(data))
    assert bare(data, size) == bare(data, len(data))


@pytest.mark.parametrize("cut", [0, 5, 8, 12, 30, -5, -13])
def test_what_is_no_whole_png_stays_as_it_is(cut: int) -> None:
    data = a_picture()[:cut]
    assert stamped(data) == data


def test_a_stamp_of_another_entity_stays() -> None:
    data = SIGNATURE + OTHER + END
    assert bare(data) == data
