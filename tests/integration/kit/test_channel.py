"""Channels reach a server whatever the environment says about the world outside."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from services.kit.channel import channel_is_serving, is_serving, open_channel
from services.kit.errors import Unavailable
from services.kit.interceptors import Context
from services.kit.server import GrpcServer
from services.kit.status import remote_errors
from tests.support.servers import serving


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


class _Silent:
    """Takes calls in and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def register(self, server: grpc.aio.Server) -> None:
        method = grpc.unary_unary_rpc_method_handler(
            self._wait,
            request_deserializer=recorder_pb2.GetRunRequest.FromString,
            response_serializer=recorder_pb2.GetRunResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "artlab.recorder.v1.RecorderService", {"GetRun": method}
                ),
            )
        )

    async def _wait(self, request: recorder_pb2.GetRunRequest, context: Context) -> None:
        self.asked.set()
        await asyncio.Event().wait()


async def _ask(channel: grpc.aio.Channel) -> None:
    stub = recorder_pb2_grpc.RecorderServiceStub(channel)
    with remote_errors("recorder"):
        await stub.GetRun(recorder_pb2.GetRunRequest(), timeout=10)


async def test_a_call_cut_with_its_channel_finds_its_peer_away() -> None:
    # grpc.aio raises CancelledError, as if somebody had cancelled the caller: a run would end
    # without a word.
    silent = _Silent()
    async with serving("recorder", silent.register) as target:
        channel = open_channel(target)
        call = asyncio.create_task(_ask(channel))
        await silent.asked.wait()
        await channel.close()
        with pytest.raises(Unavailable, match="RECORDER_UNAVAILABLE"):
            await call


async def test_a_caller_that_is_cancelled_is_cancelled() -> None:
    silent = _Silent()
    async with (
        serving("recorder", silent.register) as target,
        open_channel(target) as channel,
    ):
        call = asyncio.create_task(_ask(channel))
        await silent.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
