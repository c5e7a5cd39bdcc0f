"""A service says that it serves once it can; before, nobody is sent there."""

from __future__ import annotations

from pathlib import Path

from services.kit.channel import is_serving
from services.kit.server import GrpcServer
from tests.support.processes import six_services


async def test_a_server_may_listen_before_it_is_ready() -> None:
    server = GrpcServer("safety", serving=False)
    port = await server.start("127.0.0.1:0")
    assert not await is_serving(f"127.0.0.1:{port}")
    await server.set_serving(True)
    assert await is_serving(f"127.0.0.1:{port}")
    await server.stop(0)


async def test_what_was_ready_before_it_listened_stays_ready() -> None:
    server = GrpcServer("safety", serving=False)
    await server.set_serving(True)
    port = await server.start("127.0.0.1:0")
    assert await is_serving(f"127.0.0.1:{port}")
    await server.stop(0)


async def test_the_orchestrator_serves_once_it_has_reached_every_peer(tmp_path: Path) -> None:
    async with six_services(tmp_path) as running:
        await running.kill("safety")
        await running.kill("orchestrator")
        await running.fleet.start("orchestrator")
        target = running.target("orchestrator")
        assert not await is_serving(target)
        await running.start("safety")
        await running.fleet.wait_ready("orchestrator", 20)
        assert await is_serving(target)
