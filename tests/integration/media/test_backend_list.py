"""What operators are told about the backends, over gRPC."""

from __future__ import annotations

import pytest

from artlab.media.v1 import media_pb2
from tests.integration.media.world import (
    CALL_SECONDS,
    World,
    image_config,
    media_beside,
)
from tests.support.rpc import refused


async def backends(world: World) -> list[media_pb2.Backend]:
    """ListBackends."""
    asked = media_pb2.ListBackendsRequest()
    return list((await world.media.ListBackends(asked, timeout=CALL_SECONDS)).backends)


async def test_a_backend_that_can_make_something_is_available(world: World) -> None:
    assert await backends(world) == [media_pb2.Backend(name="builtin", available=True)]


async def test_a_backend_that_can_make_nothing_says_why(world: World) -> None:
    world.backend.reason = "the renderer is at lunch"
    assert await backends(world) == [
        media_pb2.Backend(name="builtin", reason="the renderer is at lunch")
    ]


async def test_a_backend_that_no_config_names_says_so(recorder_target: str) -> None:
    configs = {"picture": image_config(backend="elsewhere")}
    async with media_beside(recorder_target, configs=configs) as world:
        (backend,) = await backends(world)
        assert (backend.available, backend.reason) == (False, "no output config uses it")


@pytest.mark.parametrize(("backend", "path"), [("builtin", "backend"), ("nobody", "backend")])
async def test_what_has_no_instances_cannot_be_drained(
    world: World, backend: str, path: str
) -> None:
    asked = media_pb2.SetInstanceDrainingRequest(
        backend=backend, url="http://127.0.0.1:8188", draining=True
    )
    async with refused("NOT_FOUND", "INSTANCE_NOT_FOUND", path):
        await world.media.SetInstanceDraining(asked, timeout=CALL_SECONDS)
