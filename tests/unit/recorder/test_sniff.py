"""What bytes are taken for, and what is refused."""

from __future__ import annotations

import pytest

from services.kit.errors import InvalidArgument
from services.recorder.domain.content import MAX_JSON_BYTES, Content
from services.recorder.domain.media_type import EXTENSIONS, JSON_TYPES, allowed_media_types
from services.recorder.domain.vocabulary import EntityType
from services.recorder.sniff import media_type_of

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100)
GIF = b"GIF89a" + bytes(100)
WEBP = b"RIFF\x00\x01\x00\x00WEBPVP8 " + bytes(100)
WAV = b"RIFF\x00\x01\x00\x00WAVEfmt " + bytes(100)
MP3 = b"ID3\x03\x00\x00" + bytes(100)
OGG = b"OggS\x00\x02" + bytes(100)
FLAC = b"fLaC\x00\x00\x00\x22" + bytes(100)
M4A = b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00M4A isomiso2" + bytes(100)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(100)
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82\x84webm" + bytes(100)
APNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00acTL" + bytes(100)
PDF = b"%PDF-1.7\n" + bytes(100)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


def sniff(entity_type: EntityType, data: bytes, chunk: int = 0) -> str:
    content = Content(entity_type)
    for at in range(0, len(data), chunk or max(1, len(data))):
        content.add(data[at : at + (chunk or len(data))])
    return media_type_of(content)


@pytest.mark.parametrize(
    ("entity_type", "data", "media_type"),
    [
        (EntityType.OUTPUT_IMAGE, PNG, "image/png"),
        (EntityType.OUTPUT_IMAGE, APNG, "image/png"),
        (EntityType.OUTPUT_IMAGE, JPEG, "image/jpeg"),
        (EntityType.OUTPUT_IMAGE, WEBP, "image/webp"),
        (EntityType.OUTPUT_IMAGE, GIF, "image/gif"),
        (EntityType.INPUT_IMAGE, JPEG, "image/jpeg"),
        (EntityType.OUTPUT_AUDIO, WAV, "audio/wav"),
        (EntityType.OUTPUT_AUDIO, MP3, "audio/mpeg"),
        (EntityType.OUTPUT_MUSIC, OGG, "audio/ogg"),
        (EntityType.OUTPUT_MUSIC, FLAC, "audio/flac"),
        (EntityType.OUTPUT_VIDEO, MP4, "video/mp4"),
        (EntityType.OUTPUT_VIDEO, WEBM, "video/webm"),
        (EntityType.OUTPUT_VIDEO, WEBP, "image/webp"),
        (EntityType.OUTPUT_CODE, b"function setup() { createCanvas(9, 9) }", "text/javascript"),
        (EntityType.OUTPUT_TEXT, "Grüße".encode(), "text/plain"),
        (EntityType.SAFETY, b'{"safe": true}', "application/json"),
        (EntityType.ERROR, b' {"stage": 4}\n', "application/json"),
    ],
)
def test_the_media_type_comes_from_the_bytes(
    entity_type: EntityType, data: bytes, media_type: str
) -> None:
    assert sniff(entity_type, data) == media_type
    assert sniff(entity_type, data, chunk=1) == media_type


@pytest.mark.parametrize(
    "text",
    [
        b"GIFs sind toll",
        b"ID3",
        b"OggS",
        b"BM",
        b"%PDF-",
        SVG,
        HTML,
        b"PK\x03\x04",
        b"RIFFabcdWAVE",
    ],
)
def test_what_a_person_types_is_text_whatever_it_looks_like(text: bytes) -> None:
    assert sniff(EntityType.INPUT, text) == "text/plain"
    assert sniff(EntityType.INTERCEPTION, text) == "text/plain"


@pytest.mark.parametrize(
    ("entity_type", "data"),
    [
        (EntityType.OUTPUT_IMAGE, WAV),
        (EntityType.OUTPUT_IMAGE, MP4),
        (EntityType.OUTPUT_AUDIO, PNG),
        (EntityType.OUTPUT_AUDIO, WEBM),
        (EntityType.OUTPUT_VIDEO, PNG),
        (EntityType.OUTPUT_VIDEO, MP3),
        (EntityType.INPUT_IMAGE, MP4),
        (EntityType.OUTPUT_TEXT, PNG),
        (EntityType.SAFETY, PNG),
        (EntityType.OUTPUT_CODE, JPEG),
    ],
)
def test_bytes_of_another_kind_are_a_mismatch(entity_type: EntityType, data: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        sniff(entity_type, data)
    assert (caught.value.reason, caught.value.field) == ("MEDIA_KIND_MISMATCH", "data")


@pytest.mark.parametrize("data", [SVG, HTML, PDF, b"\x00" * 1000, b"RIFF", b"plain text"])
@pytest.mark.parametrize(
    "entity_type", [EntityType.OUTPUT_IMAGE, EntityType.OUTPUT_AUDIO, EntityType.OUTPUT_VIDEO]
)
def test_what_we_do_not_record_is_not_allowed(entity_type: EntityType, data: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        sniff(entity_type, data)
    assert caught.value.reason == "MEDIA_TYPE_NOT_ALLOWED"


@pytest.mark.parametrize("data", [SVG, HTML, b"\xef\xbb\xbf \n<script>x</script>"])
def test_a_sketch_is_no_page(data: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        sniff(EntityType.OUTPUT_CODE, data)
    assert caught.value.reason == "MEDIA_TYPE_NOT_ALLOWED"


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"abc\xc3", b"a\x00b", "ä".encode()[:1], b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("chunk", [0, 1])
def test_text_is_whole_utf8_without_nul(data: bytes, chunk: int) -> None:
    for entity_type in (EntityType.INPUT, EntityType.OUTPUT_CODE, EntityType.SAFETY):
        with pytest.raises(InvalidArgument) as caught:
            sniff(entity_type, data, chunk)
        assert caught.value.reason == "NOT_UTF8"


def test_a_character_may_be_cut_between_chunks() -> None:
    assert sniff(EntityType.INPUT, "äöü💐".encode() * 10, chunk=1) == "text/plain"


@pytest.mark.parametrize(
    "data", [b"[]", b'"x"', b"1", b"null", b"{", b'{"a": NaN}', b'{"a": Infinity}', b"[" * 100_000]
)
def test_a_verdict_is_one_json_object(data: bytes) -> None:
    for entity_type in JSON_TYPES:
        with pytest.raises(InvalidArgument) as caught:
            sniff(entity_type, data)
        assert caught.value.reason == "NOT_JSON"


def test_json_is_bounded() -> None:
    data = b'{"a": "' + b"x" * MAX_JSON_BYTES + b'"}'
    with pytest.raises(InvalidArgument) as caught:
        sniff(EntityType.ERROR, data, chunk=256 * 1024)
    assert caught.value.reason == "MEDIA_TOO_LARGE"


@pytest.mark.parametrize("entity_type", list(EntityType))
def test_nothing_is_no_entity(entity_type: EntityType) -> None:
    with pytest.raises(InvalidArgument) as caught:
        sniff(entity_type, b"")
    assert caught.value.reason == "EMPTY_MEDIA"


def test_every_media_type_that_is_allowed_has_an_extension() -> None:
    for entity_type in EntityType:
        assert allowed_media_types(entity_type) <= set(EXTENSIONS)
