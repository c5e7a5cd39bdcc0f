"""Requests that are no proper HTTP, foreign hosts and origins, names that are none."""

from __future__ import annotations

import json

import pytest

from tests.integration.gateway.hostile import JSON, PATH, SECRET, assert_refused, body_of, status_of
from tests.integration.gateway.world import RUN, World, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
