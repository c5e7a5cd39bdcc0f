"""Channels reach a server whatever the environment says about the world outside."""

from __future__ import annotations

import pytest

from services.kit.channel import channel_is_serving, is_serving, open_channel
from services.kit.server import GrpcServer


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy nobody answers at, as in the environment of many schools."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxied")
async def test_a_proxy_of_the_environment_is_not_used_between_services() -> None:
    server = GrpcServer("recorder")
    target = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    try:
        assert await is_serving(target)
        async with open_channel(target) as channel:
            assert await channel_is_serving(channel)
    finally:
        await server.stop(0)


async def test_nobody_there_is_not_serving() -> None:
    assert not await is_serving("127.0.0.1:1", 1.0)
