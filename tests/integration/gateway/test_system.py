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
    async with gateway(away=("interception",)) as world:
        assert (await world.client.get("/ready")).json()["loading"] == []
        assert (await world.client.get("/api/system")).json()["providers"] is None


async def test_who_opens_the_bare_address_is_led_to_the_documentation(world: World) -> None:
    response = await world.client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/docs")
    page = await world.client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


ANYTHING: dict[str, object] = {
    "minimum": None, "maximum": None, "multiple_of": 0, "remainder": 0, "choices": [],
    "at_most": 0, "max_characters": 0,
}  # fmt: skip


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
            "input_images": 1,
            "parameters": ["negative_prompt", "width"],
            "parameter_specs": [
                {
                    **ANYTHING,
                    "name": "negative_prompt",
                    "kind": "text",
                    "default": "",
                    "max_characters": 2000,
                },
                {
                    **ANYTHING,
                    "name": "width",
                    "kind": "integer",
                    "default": 1024,
                    "minimum": 64,
                    "maximum": 2048,
                    "multiple_of": 16,
                },
            ],
            "runs_as": "spare_picture",
        }
    ]
    assert system["version"]


async def test_a_model_that_is_loading_is_told_and_keeps_nobody_out(world: World) -> None:
    ready = await world.client.get("/ready")
    assert (ready.status_code, ready.json()["loading"]) == (200, ["ollama"])
    system = (await world.client.get("/api/system")).json()
    assert system["providers"] == [
        {
            "name": "ollama",
            "protocol": "ollama",
            "models": ["llama3.2"],
            "remote": False,
            "state": "loading",
            "reason": "llama3.2: into memory",
            "running": 1,
            "waiting": 3,
            "concurrency": 1,
        }
    ]


async def test_the_system_tells_whose_pictures_are_looked_at(world: World) -> None:
    system = (await world.client.get("/api/system")).json()
    assert system["image_check_levels"] == ["kids", "youth"]
    assert system["image_judges"] == ["nudenet:3.4"]


async def test_backends_tell_what_their_instances_do(world: World) -> None:
    response = await world.client.get("/api/backends")
    builtin, comfyui = response.json()["backends"]
    assert builtin == {
        "name": "builtin",
        "available": True,
        "reason": "",
        "waiting": 0,
        "instances": [],
    }
    assert comfyui["waiting"] == 2
    assert comfyui["instances"] == [
        {
            "url": "http://10.0.0.5:8188",
            "state": "busy",
            "reason": "",
            "running": 1,
            "waiting": 0,
            "queue_length": 3,
            "version": "0.3.75",
            "vram_total_bytes": 24 << 30,
            "vram_free_bytes": 0,
            "unfit_configs": {"flux2": "no model flux2.safetensors"},
        }
    ]


@pytest.mark.parametrize("audience", ["student", "advanced"])
async def test_addresses_of_renderers_are_not_for_a_class(audience: str) -> None:
    async with gateway(audience=audience) as world:
        response = await world.client.get("/api/backends")
        assert (response.status_code, response.json()["reason"]) == (403, "AUDIENCE_TOO_LOW")


async def test_backends_are_not_known_without_media() -> None:
    async with gateway(away=("media",)) as world:
        response = await world.client.get("/api/backends")
        assert (response.status_code, response.json()["reason"]) == (503, "MEDIA_UNAVAILABLE")


async def test_answers_do_not_wait_for_the_clients_acknowledgement(world: World) -> None:
    assert (await world.client.get("/health")).status_code == 200
    # The option of the kept connection cannot be seen from outside, only its 40 ms a request.
    connections = world.server._uvicorn.server_state.connections
    assert connections
    for connection in connections:
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
