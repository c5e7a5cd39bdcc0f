"""Bodies that are wrong: refused as a problem that names the field and repeats nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from tests.integration.gateway.hostile import JSON, PATH, SECRET, assert_refused, body_of, status_of
from tests.integration.gateway.world import RUN, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"null", 422, None),
        (b"[]", 422, None),
        (b'"Zwetschgenwasser"', 422, None),
        (b"", 422, "MISSING_FIELD"),
        (b"{", 400, "MALFORMED_JSON"),
        (b'{"schema": "dada", "input_text": "Zwetschgenwasser"} x', 400, "MALFORMED_JSON"),
        (b"\xff\xfe{}", 400, "INVALID_UTF8"),
        (b'{"input_text": "Zwetschgenwasser\xc3"}', 400, "INVALID_UTF8"),
        (b'{"input_text": "a", "input_text": "b"}', 422, "DUPLICATE_KEY"),
        (b'{"schema": "dada", "input_text": NaN}', 422, "INVALID_NUMBER"),
        (b'{"schema": "dada", "input_text": Infinity}', 422, "INVALID_NUMBER"),
        (b'{"schema": "dada", "input_text": "a", "seed": 1e999}', 422, "INVALID_NUMBER"),
        (b'{"schema": "dada", "input_text": "a", "seed": %s}' % (b"9" * 5000), 422, None),
        (b"[" * 100_000, 422, "TOO_DEEP"),
        (b'{"schema":' * 50_000, 422, "TOO_DEEP"),
        (b'{"schema": "dada", "input_text": "\\ud800"}', 422, "INVALID_UNICODE"),
        (b'{"schema": "dada", "input_text": "\\udc00\\ud800"}', 422, "INVALID_UNICODE"),
        (b'{"schema": "dada", "input_text": "a", "\\ud800": 1}', 422, "INVALID_UNICODE"),
        (b'{"schema": "dada", "input_text": "a\\u0000b"}', 422, "INVALID_CHARACTER"),
        (b'{"schema": "dada", "input_text": "a\x01b"}', 422, "INVALID_CHARACTER"),
    ],
)
async def test_what_is_no_strict_json_object_is_refused(
    world: World, body: bytes, status: int, reason: str | None
) -> None:
    runs = len(world.recorder.runs)
    response = await world.client.post(PATH, content=body, headers=JSON)
    assert_refused(response, status, reason)
    assert len(world.recorder.runs) == runs


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"schema": None}, "schema", "INVALID_TYPE"),
        ({"schema": {"$ref": "file:///etc/passwd"}}, "schema", "INVALID_TYPE"),
        ({"schema": "../dada"}, "schema", "INVALID_CONFIG_NAME"),
        ({"schema": "Dada"}, "schema", "INVALID_CONFIG_NAME"),
        ({"schema": "dada\n"}, "schema", "INVALID_CONFIG_NAME"),
        ({"schema": "x" * 65}, "schema", "INVALID_CONFIG_NAME"),
        ({"schema": ""}, "schema", "INVALID_CONFIG_NAME"),
        ({"input_text": None}, "input_text", "INVALID_TYPE"),
        ({"input_text": 7}, "input_text", "INVALID_TYPE"),
        ({"input_text": [SECRET]}, "input_text", "INVALID_TYPE"),
        ({"input_text": ""}, "input_text", "EMPTY_TEXT"),
        ({"input_text": " \n"}, "input_text", "EMPTY_TEXT"),
        ({"input_text": "x" * 20_001}, "input_text", "TEXT_TOO_LONG"),
        ({"input_text": "💩" * 17_000}, "input_text", "TEXT_TOO_LONG"),
        *(
            ({"input_text": f"a{chr(code)}b"}, "input_text", "INVALID_CHARACTER")
            for code in (*range(0, 9), 11, 12, *range(14, 32), 127)
        ),
        ({"context": "a\x07"}, "context", "INVALID_CHARACTER"),
        ({"context": None}, "context", "INVALID_TYPE"),
        ({"execution_mode": "ECO"}, "execution_mode", "INVALID_ENUM"),
        ({"execution_mode": SECRET}, "execution_mode", "INVALID_ENUM"),
        ({"safety_level": "none"}, "safety_level", "INVALID_ENUM"),
        ({"safety_level": 1}, "safety_level", "INVALID_ENUM"),
        ({"output_configs": "sd35_large"}, "output_configs", "INVALID_TYPE"),
        ({"output_configs": ["a", "B"]}, "output_configs[1]", "INVALID_CONFIG_NAME"),
        ({"output_configs": ["a", 2]}, "output_configs[1]", "INVALID_TYPE"),
        ({"output_configs": ["a"] * 17}, "output_configs", "TOO_MANY_VALUES"),
        ({"seed": -1}, "seed", "OUT_OF_BOUNDS"),
        ({"seed": 2**53}, "seed", "OUT_OF_BOUNDS"),
        ({"seed": 1.0}, "seed", "INVALID_TYPE"),
        ({"seed": "1"}, "seed", "INVALID_TYPE"),
        ({"seed": True}, "seed", "INVALID_TYPE"),
        ({"language": "deutsch bitte"}, "language", "INVALID_VALUE"),
        ({"language": "de\n"}, "language", "INVALID_VALUE"),
        ({"user_id": "Max Muster"}, "user_id", "INVALID_USER_ID"),
        ({"user_id": "x" * 65}, "user_id", "INVALID_USER_ID"),
        ({"run_id": RUN}, "run_id", "UNKNOWN_FIELD"),
        ({"config": "dada"}, "config", "UNKNOWN_FIELD"),
        ({f"<b>{SECRET}</b>": 1}, "(unnamed)", "UNKNOWN_FIELD"),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_is_not(
    world: World, fields: dict[str, object], field: str, reason: str
) -> None:
    runs = len(world.recorder.runs)
    response = await world.client.post(PATH, content=body_of(**fields), headers=JSON)
    assert_refused(response, 422, reason)
    assert response.json()["field"] == field
    assert len(world.recorder.runs) == runs


async def test_all_wrong_fields_are_named_at_once(world: World) -> None:
    response = await world.client.post(
        PATH, content=b'{"input_text": "", "seed": -1, "x": 1}', headers=JSON
    )
    assert_refused(response, 422)
    assert {f["field"] for f in response.json()["fields"]} == {"schema", "input_text", "seed", "x"}


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("\ufeffBlume", "Blume"),
        ("a\u202eb", "a\u202eb"),
        ("a\u0308 gegen \u00e4", "a\u0308 gegen \u00e4"),
        ("z" + "\u0335" * 10_000, "z" + "\u0335" * 10_000),
        ("{{7*7}} {% raw %} %s %(x)s {0.__class__}", "{{7*7}} {% raw %} %s %(x)s {0.__class__}"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\U000e0067\U000e007f"),
        ("Straße", "Straße"),
        ("زهرة פרח ดอกไม้ አበባ ᎤᏥᎸᏒ", "زهرة פרח ดอกไม้ አበባ ᎤᏥᎸᏒ"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("Zeile\r\n\tTab", "Zeile\r\n\tTab"),
    ],
)
async def test_unusual_texts_arrive_as_they_were_typed(
    world: World, text: str, received: str
) -> None:
    response = await world.client.post(PATH, content=body_of(input_text=text), headers=JSON)
    assert response.status_code == 200
    assert world.orchestrator.requests[-1].input_text == received


async def test_a_byte_order_mark_before_the_body_changes_nothing(world: World) -> None:
    response = await world.client.post(PATH, content=b"\xef\xbb\xbf" + body_of(), headers=JSON)
    assert response.status_code == 200
    assert world.orchestrator.requests[-1].input_text == SECRET


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/merge-patch+json"},
        {},
        {**JSON, "Content-Encoding": "gzip"},
        {**JSON, "Content-Encoding": "br"},
    ],
)
async def test_only_plain_json_is_read(world: World, headers: dict[str, str]) -> None:
    body = gzip.compress(b" " * 900_000) if "Content-Encoding" in headers else body_of()
    response = await world.client.post(PATH, content=body, headers=headers)
    assert_refused(response, 415)


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 4 * 1024 * 1024, 60 * 1024 * 1024])
async def test_a_large_body_is_413_for_a_client_that_writes_first(world: World, size: int) -> None:
    response = await world.client.post(PATH, content=b" " * size, headers=JSON)
    assert_refused(response, 413, "BODY_TOO_LARGE")


async def test_a_large_body_without_a_length_is_413_at_the_cap(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    response = await world.client.post(PATH, content=chunks(), headers=JSON)
    assert_refused(response, 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("extra", [b"", b"Expect: 100-continue\r\n"])
async def test_a_large_body_is_refused_before_it_is_sent(world: World, extra: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n%b\r\n" % (PATH.encode(), extra)
    )
    async with asyncio.timeout(1):
        answer = await reader.readuntil(b"}")
    writer.close()
    assert status_of(answer) == 413
    assert b"connection: close" in answer.lower()


async def test_a_get_with_a_body_is_refused(world: World) -> None:
    response = await world.client.request("GET", "/health", content=b"x", headers=JSON)
    assert_refused(response, 400, "UNEXPECTED_BODY")
