"""Bringing a picture over HTTP: streamed, bounded in size and time, answered when it is settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.gateway.uploads import MAX_UPLOAD_BYTES
from services.kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from tests.fakes.orchestrator import PNG
from tests.integration.gateway.hostile import PATH, assert_refused, status_of
from tests.integration.gateway.world import RUN, World, gateway
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDRESS = f"/api/runs/{RUN}/input_images/1"
MIB = 1024 * 1024


async def _waiting(world: World) -> None:
    world.recorder.create(RUN, ("morph", 2))


async def _parts(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_a_run_with_pictures_to_come_is_answered_at_once_with_where_to_bring_them(
    world: World,
) -> None:
    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    world.orchestrator.script = wait
    body = {
        "schema": "dada",
        "input_text": "Mein Hund",
        "output_configs": ["morph"],
        "input_images": 2,
        "parameters": {"negative_prompt": "blurry", "width": 512, "cfg": 1.5, "tiled": True},
        "allow_reuse": True,
        "user_id": "anna",
    }
    response = await world.client.post(PATH, json=body, headers={"Prefer": "wait=5"})
    assert response.status_code == 202
    run_id = response.json()["run_id"]
    assert response.json()["urls"]["input_images"] == f"/api/runs/{run_id}/input_images"
    [request] = world.orchestrator.requests
    assert request.input_images == 2
    assert request.allow_reuse
    assert dict(request.parameters) == {
        "negative_prompt": '"blurry"',
        "width": "512",
        "cfg": "1.5",
        "tiled": "true",
    }


@pytest.mark.parametrize("who", [{}, {"user_id": "anonymous"}], ids=["unnamed", "anonymous"])
async def test_nobody_gets_what_somebody_without_a_name_has_made(
    world: World, who: dict[str, str]
) -> None:
    body = {"schema": "dada", "input_text": "Mein Hund", "allow_reuse": True, **who}
    await world.client.post(PATH, json=body, headers={"Prefer": "respond-async"})
    [request] = world.orchestrator.requests
    assert request.user_id == "anonymous"
    assert not request.allow_reuse


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"input_images": 5}, "OUT_OF_BOUNDS", "input_images"),
        ({"input_images": -1}, "OUT_OF_BOUNDS", "input_images"),
        ({"input_images": "1"}, "INVALID_TYPE", "input_images"),
        ({"parameters": []}, "INVALID_TYPE", "parameters"),
        ({"parameters": {f"p{n}": 1 for n in range(65)}}, "TOO_MANY_VALUES", "parameters"),
        ({"allow_reuse": 1}, "INVALID_TYPE", "allow_reuse"),
    ],
)
async def test_fields_of_a_start_are_checked(
    world: World, fields: dict[str, object], reason: str, field: str
) -> None:
    body = {"schema": "dada", "input_text": "x", **fields}
    response = await world.client.post(PATH, json=body)
    assert_refused(response, 422, reason)
    assert response.json()["field"] == field


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, "a\x00b", "a" * 20_001])
async def test_values_for_slots_are_scalars_within_bounds(world: World, value: object) -> None:
    body = {"schema": "dada", "input_text": "x", "parameters": {"width": value}}
    response = await world.client.post(PATH, json=body)
    assert_refused(response, 422)
    assert response.json()["field"].startswith("parameters.width")
    assert world.orchestrator.requests == []


async def test_a_picture_is_brought_and_answered_with_its_entity(world: World) -> None:
    await _waiting(world)
    response = await world.client.put(ADDRESS, content=PNG, headers={"Content-Type": "x/y"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["run_id"], answer["index"], answer["status"]) == (RUN, 1, "pending")
    assert answer["entity"]["type"] == "input_image"
    assert answer["entity"]["url"] == f"/api/pipeline/{RUN}/entities/1"
    assert answer["block"] is None
    assert world.orchestrator.pictures == {(RUN, 1): PNG}
    assert (await world.client.get(answer["entity"]["url"])).content == PNG


async def test_a_large_picture_is_streamed_with_and_without_a_length(world: World) -> None:
    await _waiting(world)
    response = await world.client.put(ADDRESS, content=_parts(24, MIB))
    assert response.status_code == 200
    assert len(world.orchestrator.pictures[RUN, 1]) == 24 * MIB
    second = ADDRESS.replace("/1", "/2")
    assert (await world.client.put(second, content=b"x" * MAX_UPLOAD_BYTES)).status_code == 200


async def test_a_refused_picture_is_no_error_and_says_why(world: World) -> None:
    await _waiting(world)
    world.orchestrator.refuses_pictures = True
    answer = (await world.client.put(ADDRESS, content=PNG)).json()
    assert (answer["status"], answer["entity"]) == ("blocked", None)
    assert answer["block"]["rule"] == "kids.nudity"
    assert answer["block"]["suggestion"] == "Ein Hund."


async def test_a_picture_that_is_too_large_is_refused_before_or_while_it_comes(
    world: World,
) -> None:
    await _waiting(world)
    announced = await world.client.put(ADDRESS, content=b"x" * (MAX_UPLOAD_BYTES + 1))
    assert_refused(announced, 413, "BODY_TOO_LARGE")
    chunked = await world.client.put(ADDRESS, content=_parts(33, MIB))
    assert_refused(chunked, 413, "BODY_TOO_LARGE")
    assert world.orchestrator.pictures == {}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidArgument("MEDIA_MALFORMED", "no picture"), 422),
        (AlreadyExists("INPUT_IMAGE_DIFFERS", "another"), 409),
        (FailedPrecondition("INPUT_IMAGE_NOT_EXPECTED", "none"), 409),
    ],
)
async def test_a_no_before_the_last_byte_is_heard(
    world: World, error: InvalidArgument, status: int
) -> None:
    await _waiting(world)
    world.orchestrator.refusal = error
    response = await world.client.put(ADDRESS, content=_parts(8, MIB))
    assert_refused(response, status, error.reason)


@pytest.mark.parametrize("index", ["0", "5", "-1", "01", "a"])
async def test_there_are_pictures_1_to_4(world: World, index: str) -> None:
    await _waiting(world)
    response = await world.client.put(f"/api/runs/{RUN}/input_images/{index}", content=PNG)
    assert_refused(response, 404, "ROUTE_NOT_FOUND")


async def test_what_follows_an_unread_picture_is_not_a_request(world: World) -> None:
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    line = f"PUT {ADDRESS.replace(RUN, 'nonsense')} HTTP/1.1"
    head = f"{line}\r\nHost: localhost\r\nContent-Length: {len(smuggled)}\r\n\r\n"
    answer = await world.raw(head.encode() + smuggled)
    assert status_of(answer) == 404
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_an_encoded_picture_is_refused(world: World, encoding: str) -> None:
    response = await world.client.put(ADDRESS, content=PNG, headers={"Content-Encoding": encoding})
    assert_refused(response, 415, "UNSUPPORTED_CONTENT_ENCODING")


async def test_a_page_of_another_site_brings_no_pictures(world: World) -> None:
    headers = {"Origin": "https://evil.example"}
    response = await world.client.put(ADDRESS, content=PNG, headers=headers)
    assert_refused(response, 403, "FOREIGN_ORIGIN")


async def test_a_picture_that_takes_too_long_is_not_waited_for() -> None:
    async with gateway(upload_timeout_seconds=0.3) as world:
        await _waiting(world)
        head = f"PUT {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
        answer = await world.raw(head.encode(), seconds=5.0)
        assert status_of(answer) == 408
        assert b"connection: close" in answer.lower()
        assert world.orchestrator.pictures == {}


async def test_a_client_that_goes_away_leaves_nothing_behind(world: World) -> None:
    await _waiting(world)
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    head = f"PUT {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"
    before = world.connections
    writer.write(head.encode())
    await writer.drain()
    await eventually(lambda: world.connections >= before)
    writer.close()
    await eventually(lambda: world.connections <= before)
    assert world.orchestrator.pictures == {}
    assert (await world.client.put(ADDRESS, content=PNG)).status_code == 200
