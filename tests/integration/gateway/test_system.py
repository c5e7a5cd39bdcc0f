"""What the installation says about itself."""

from __future__ import annotations

import socket

import pytest

from tests.integration.gateway.world import World, gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_ready_when_all_services_serve(world: World) -> None:
    response = await world.client.get("/ready")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert [s["name"] for s in response.json()["services"]] == [
        "orchestrator",
        "safety",
        "interception",
        "media",
        "recorder",
    ]


async def test_not_ready_names_who_is_away_and_health_is_our_own() -> None:
    async with gateway(away=("safety",)) as world:
        response = await world.client.get("/ready")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        away = [s["name"] for s in response.json()["services"] if s["status"] != "serving"]
        assert away == ["safety"]
        assert (await world.client.get("/health")).json() == {"status": "ok"}
        system = (await world.client.get("/api/system")).json()
        assert system["judges"] is None
        assert system["safety_level"] is None
        assert system["writers"] == ["builtin"]


async def test_who_opens_the_bare_address_is_led_to_the_documentation(world: World) -> None:
    response = await world.client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/docs")
    page = await world.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


async def test_the_system_tells_what_writes_judges_and_draws(world: World) -> None:
    system = (await world.client.get("/api/system")).json()
    assert system["writers"] == ["builtin"]
    assert system["judges"] == ["builtin"]
    assert system["safety_level"] == "youth"
    assert system["outputs"] == [
        {
            "name": "builtin_image",
            "kind": "image",
            "backend": "builtin",
            "available": True,
            "reason": "",
            "title": {},
        }
    ]
    assert system["version"]


async def test_answers_do_not_wait_for_the_clients_acknowledgement(world: World) -> None:
    assert (await world.client.get("/health")).status_code == 200
    # The option of the kept connection cannot be seen from outside, only its 40 ms a request.
    connections = world.server._uvicorn.server_state.connections
    assert connections
    for connection in connections:
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
