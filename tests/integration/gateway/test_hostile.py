"""Hostile HTTP against the served application: what comes in wrong goes out as a problem.

The cases are those of the groups http_json_shape, http_protocol, run_id_path and text_unicode of
the team's collection of bad inputs, written out.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx
import pytest

from services.gateway.protocol import ConnectionLimits
from services.kit.log import JsonFormatter
from tests.integration.gateway.world import RUN, World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/api/schema/pipeline/execute"
SECRET = "Zwetschgenwasser"
JSON = {"Content-Type": "application/json"}


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter("gateway"))

    def emit(self, record: logging.LogRecord) -> None:
        # The client's own lines are not the gateway's.
        if not record.name.startswith(("httpx", "httpcore")):
            self.lines.append(self.format(record))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    handler = _Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer.split(b" ", 2)[1])


def assert_refused(response: httpx.Response, status: int, reason: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert SECRET not in response.text
    if reason is not None:
        assert response.json()["reason"] == reason


def body_of(**fields: object) -> bytes:
    return json.dumps({"schema": "dada", "input_text": SECRET, **fields}).encode()


# Bodies


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


# The protocol


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /health HTTP/1.1\r\n" + b"Host: localhost\r\n" * 2 + b"\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n Folded: x\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xab" * 200, 400),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
            + b"".join(b"X-%d: y\r\n" % n for n in range(500))
            + b"\r\n",
            431,
        ),
        (
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
            431,
        ),
        (
            b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\n\r\nhello",
            400,
        ),
        (
            b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\nhello",
            400,
        ),
        (
            b"POST /api/schema/pipeline/execute HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"fffffffffffffffff\r\nx\r\n0\r\n\r\n",
            400,
        ),
        (
            b"POST /api/schema/pipeline/execute HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"-1\r\nx\r\n0\r\n\r\n",
            400,
        ),
    ],
)
async def test_what_is_no_proper_request_is_refused_and_the_line_closed(
    world: World, request_bytes: bytes, status: int
) -> None:
    answer = await world.raw(request_bytes)
    assert status_of(answer) == status
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_smuggled_second_request_is_never_served(world: World, logged: list[str]) -> None:
    answer = await world.raw(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /api/system HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH.encode()
    )
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1
    assert not any("/api/system" in line for line in logged)


async def test_a_websocket_is_not_served_here_and_other_upgrades_are_ignored(
    world: World,
) -> None:
    upgrade = (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
        b"Upgrade: %b\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert status_of(await world.raw(upgrade % b"websocket")) == 404
    plain = await world.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status_of(plain) == 200


async def test_a_method_override_is_ignored(world: World) -> None:
    headers = {**JSON, "X-HTTP-Method-Override": "DELETE"}
    response = await world.client.post(PATH, content=body_of(), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:17801", "[::1]:17801", "LOCALHOST"])
async def test_loopback_names_are_ours(world: World, host: str) -> None:
    response = await world.client.get("/health", headers={"Host": host})
    assert response.status_code == 200


async def test_configured_names_are_ours_too() -> None:
    async with gateway(allowed_hosts=("studio.school.example",)) as world:
        headers = {"Host": "studio.school.example:17801"}
        assert (await world.client.get("/health", headers=headers)).status_code == 200
        headers = {"Host": "school.example"}
        assert (await world.client.get("/health", headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:5173", "Sec-Fetch-Site": "same-site"}, 404),
        ({}, 404),
    ],
)
async def test_a_page_of_another_site_cannot_act(
    world: World, headers: dict[str, str], status: int
) -> None:
    response = await world.client.post(f"/api/pipeline/{RUN}/cancel", headers=headers)
    assert_refused(response, status)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])
async def test_other_methods_are_405(world: World, method: str) -> None:
    response = await world.client.request(method, PATH)
    assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"


# Names


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        ".",
        "..",
        ".trash",
        ".uploads",
        "*",
        "%3F",
        "CON",
        "aux.txt",
        "$(id)",
        "%60id%60",
        ";id",
        "%00",
        "%2Fetc",
        "..%2f..%2fetc%2fpasswd",
        "..%5c..%5cetc",
        "%c0%ae%c0%ae",
        "metadata.json",
        f"{RUN}%0a",
        f"%E2%80%AE{RUN}",
        f"urn:uuid:{RUN}",
        f"%7B{RUN}%7D",
        RUN.upper(),
        RUN.replace("-", ""),
        f"{RUN};jsessionid=1",
        "x" * 3_000,
    ],
)
async def test_only_the_canonical_id_names_a_run(
    world: World, logged: list[str], run_id: str
) -> None:
    for part in ("status", "entities", "events", "entity/input", "entities/1"):
        answer = await world.raw(
            b"GET /api/pipeline/%b/%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            % (run_id.encode(), part.encode())
        )
        assert status_of(answer) == 404
        assert b"application/problem+json" in answer
    assert all(line.isascii() and "\\u202e" not in line for line in logged)
    assert not any("Traceback" in line or "error" in json.loads(line) for line in logged)


async def test_nothing_that_was_typed_is_logged(world: World, logged: list[str]) -> None:
    secret = SECRET.encode()
    await world.client.post(PATH, content=body_of(), headers=JSON)
    await world.client.post(PATH, content=b'{"%b": NaN' % secret, headers=JSON)
    await world.client.post(PATH, content=body_of(**{SECRET: 1}), headers=JSON)
    await world.client.get(f"/api/pipeline/{SECRET}/status?{SECRET}={SECRET}")
    await world.raw(b"%b /%b HTTP/1.1\r\n%b: %b\r\n\r\n" % ((secret,) * 4))
    mine = [json.loads(line) for line in logged]
    requests = [line for line in mine if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 422, 422, 404]
    assert requests[0]["route"] == PATH
    assert not any(SECRET in line for line in logged)


# Time and number


def _brief() -> ConnectionLimits:
    return ConnectionLimits(connections=8, head_seconds=0.4, stalled_reader_seconds=0.5)


async def closes(world: World, first: bytes, more: bytes = b"") -> bytes:
    """Everything the gateway answers to bytes that trickle in, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(first)

    async def trickle() -> None:
        while more:
            await asyncio.sleep(0.1)
            writer.write(more)

    trickling = asyncio.ensure_future(trickle())
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        trickling.cancel()
        writer.close()


async def test_half_open_and_slow_requests_are_cut() -> None:
    async with gateway(limits=_brief(), receive_timeout_seconds=0.4) as world:
        assert await closes(world, b"") == b""
        assert await closes(world, b"GET /health HT") == b""
        assert await closes(world, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X") == b""
        assert await closes(world, b"\r\n", b"\r\n") == b""
        slow = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow += b"Content-Length: 1000\r\n\r\n"
        assert status_of(await closes(world, slow % PATH.encode(), b" ")) == 408
        # The largest chunk there can be: it never comes, and nothing waits for it.
        slow = slow.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked")
        endless = slow % PATH.encode() + b"ffffffffffffffff\r\nx\r\n0\r\n\r\n"
        assert status_of(await closes(world, endless)) == 408


async def test_a_reader_that_does_not_read_is_cut() -> None:
    async with gateway(limits=_brief()) as world:
        world.recorder.create(RUN)
        world.recorder.commit(RUN, "input", b"x" * 64 * 1024 * 1024, stage=0)
        _, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1024)
        writer.write(
            b"GET /api/pipeline/%b/entities/1 HTTP/1.1\r\nHost: localhost\r\n\r\n" % RUN.encode()
        )
        await eventually(lambda: world.recorder.calls["ReadEntity"] > 0 and not world.connections)
        # Flow control stopped the recorder long before the whole body was under way.
        assert world.recorder.bytes_sent < 32 * 1024 * 1024
        assert (await world.client.get("/health")).status_code == 200
        writer.close()


async def test_more_connections_than_allowed_are_503_and_others_go_on() -> None:
    async with gateway(limits=ConnectionLimits(connections=8)) as world:
        assert (await world.client.get("/health")).status_code == 200
        idle = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(7)]
        answer = await world.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer.lower()
        assert (await world.client.get("/health")).status_code == 200
        for _, writer in idle:
            writer.close()


async def test_a_reader_that_reads_slowly_is_not_cut() -> None:
    async with gateway(limits=_brief()) as world:
        size = 12 * 1024 * 1024
        world.recorder.create(RUN)
        world.recorder.commit(RUN, "input", b"x" * size, stage=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=65_536)
        writer.write(
            b"GET /api/pipeline/%b/entities/1 HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: close\r\n\r\n" % RUN.encode()
        )
        received, began = 0, asyncio.get_running_loop().time()
        async with asyncio.timeout(20):
            while chunk := await reader.read(1024 * 1024):
                received += len(chunk)
                await asyncio.sleep(0.02)
        assert received > size
        assert asyncio.get_running_loop().time() - began > _brief().stalled_reader_seconds
        writer.close()


async def test_garbage_after_a_request_never_gets_into_its_answer(world: World) -> None:
    world.recorder.create(RUN)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET /api/pipeline/%b/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % RUN.encode())
    received = await reader.readuntil(b"id: 1")
    writer.write(b"\x00\x01 no request\r\n\r\n")
    with suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            received += await reader.read()
    assert received.count(b"HTTP/1.1") == 1
    assert b"MALFORMED" not in received
    writer.close()
