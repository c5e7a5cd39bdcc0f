"""Calls to several replicas of a service: shared out, and never lost to one that is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
import pytest

from artlab.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from services.kit.channel import channel_is_serving, open_channel
from services.kit.interceptors import Context
from services.kit.server import GrpcServer
from tests.support.eventually import eventually


@dataclass
class Replica:
    """Counts its calls."""

    name: str
    calls: Counter[str]
    server: GrpcServer = field(default_factory=lambda: GrpcServer("recorder"))
    address: str = "127.0.0.1:0"

    async def GetRun(
        self, request: recorder_pb2.GetRunRequest, context: Context
    ) -> recorder_pb2.GetRunResponse:
        self.calls[self.name] += 1
        return recorder_pb2.GetRunResponse()

    async def start(self) -> None:
        method = grpc.unary_unary_rpc_method_handler(
            self.GetRun,
            request_deserializer=recorder_pb2.GetRunRequest.FromString,
            response_serializer=recorder_pb2.GetRunResponse.SerializeToString,
        )
        self.server = GrpcServer("recorder")
        handlers = grpc.method_handlers_generic_handler(
            "artlab.recorder.v1.RecorderService", {"GetRun": method}
        )
        self.server.grpc.add_generic_rpc_handlers((handlers,))
        host = self.address.rpartition(":")[0]
        self.address = f"{host}:{await self.server.start(self.address)}"


@asynccontextmanager
async def two(host: str) -> AsyncIterator[tuple[Replica, Replica, Counter[str]]]:
    calls: Counter[str] = Counter()
    replicas = (
        Replica("one", calls, address=f"{host}:0"),
        Replica("two", calls, address=f"{host}:0"),
    )
    try:
        for replica in replicas:
            await replica.start()
        yield *replicas, calls
    finally:
        for replica in replicas:
            await replica.server.stop(0)


async def ask(channel: grpc.aio.Channel, times: int) -> None:
    stub = recorder_pb2_grpc.RecorderServiceStub(channel)
    for _ in range(times):
        await stub.GetRun(recorder_pb2.GetRunRequest(), timeout=10)


def both_answer(channel: grpc.aio.Channel, calls: Counter[str]) -> Callable[[], Awaitable[bool]]:
    async def both() -> bool:
        calls.clear()
        await ask(channel, 4)
        return set(calls) == {"one", "two"}

    return both


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy nobody answers at, as in the environment of many schools."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_replicas_get_calls_in_turn(host: str) -> None:
    async with (
        two(host) as (one, other, calls),
        open_channel(f"{one.address},{other.address}", only_serving=True) as channel,
    ):
        await eventually(both_answer(channel, calls), 10, "calls at both")


async def test_no_call_is_lost_to_a_replica_that_is_gone_and_one_that_is_back_gets_some() -> None:
    async with (
        two("127.0.0.1") as (one, other, calls),
        open_channel(f"{one.address},{other.address}", only_serving=True) as channel,
    ):
        await eventually(both_answer(channel, calls), 10, "calls at both")
        await one.server.stop(0)
        calls.clear()
        await ask(channel, 20)
        assert calls == {"two": 20}
        assert await channel_is_serving(channel)
        await one.start()
        await eventually(both_answer(channel, calls), 10, "calls at both again")


async def test_a_replica_that_says_it_does_not_serve_gets_no_calls() -> None:
    async with (
        two("127.0.0.1") as (one, other, calls),
        open_channel(f"{one.address},{other.address}", only_serving=True) as channel,
    ):
        await eventually(both_answer(channel, calls), 10, "calls at both")
        await one.server.set_serving(False)

        async def only_the_other() -> bool:
            calls.clear()
            await ask(channel, 4)
            return calls == {"two": 4}

        await eventually(only_the_other, 10, "calls at the other only")
        await one.server.set_serving(True)
        await eventually(both_answer(channel, calls), 10, "calls at both again")


async def test_a_single_peer_is_asked_whatever_it_says() -> None:
    async with (
        two("127.0.0.1") as (one, _, calls),
        open_channel(one.address, only_serving=True) as channel,
    ):
        await one.server.set_serving(False)
        await ask(channel, 2)
        assert calls == {"one": 2}
