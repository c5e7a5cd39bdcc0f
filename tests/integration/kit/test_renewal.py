"""A caller reaches a peer that came back under another address, without waiting for DNS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.kit.channel import CHANNEL_OPTIONS, channel_is_serving
from services.kit.renewal import RenewedChannel, RenewedSyncChannel
from services.kit.server import GrpcServer
from tests.support.eventually import eventually
from tests.support.servers import serving

SOON_SECONDS = 0.05
NOBODY = "127.0.0.1:1"


class Names:
    """What the name service would say at each look-up; the last answer stays."""

    def __init__(self, *answers: str) -> None:
        self._answers: Iterator[str] = iter(answers)
        self.latest = ""
        self.asked = 0

    def look_up(self) -> str:
        self.asked += 1
        self.latest = next(self._answers, self.latest)
        return self.latest

    def open_aio(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.look_up(), options=CHANNEL_OPTIONS)

    def open_sync(self) -> grpc.Channel:
        return grpc.insecure_channel(self.look_up(), options=CHANNEL_OPTIONS)


def _check(stub: health_pb2_grpc.HealthStub, *, as_future: bool = False) -> bool:
    request = health_pb2.HealthCheckRequest()
    try:
        if as_future:
            answer = stub.Check.future(request, timeout=5.0).result(timeout=6.0)
        else:
            answer = stub.Check(request, timeout=5.0)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_call_after_a_failure_looks_the_peer_up_anew() -> None:
    async with serving("recorder", lambda _: None) as target:
        names = Names(NOBODY, target)
        async with RenewedChannel(names.open_aio, SOON_SECONDS) as channel:
            assert not await channel_is_serving(channel)
            await eventually(lambda: channel_is_serving(channel))
    assert names.asked == 2


async def test_a_channel_that_works_is_kept() -> None:
    async with serving("recorder", lambda _: None) as target:
        names = Names(target)
        async with RenewedChannel(names.open_aio, 0.0) as channel:
            for _ in range(20):
                assert await channel_is_serving(channel)
    assert names.asked == 1


async def test_a_peer_that_is_away_for_long_is_not_looked_up_at_every_call() -> None:
    names = Names(NOBODY)
    async with RenewedChannel(names.open_aio, 60.0) as channel:
        for _ in range(5):
            assert not await channel_is_serving(channel)
    assert names.asked == 1


async def test_a_stub_made_before_the_outage_speaks_to_the_peer_after_it() -> None:
    first, second = GrpcServer("recorder"), GrpcServer("recorder")
    targets = [f"127.0.0.1:{await server.start('127.0.0.1:0')}" for server in (first, second)]
    try:
        names = Names(*targets)
        async with RenewedChannel(names.open_aio, SOON_SECONDS) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
            await first.stop(0)
            await eventually(lambda: channel_is_serving(channel))
            assert names.asked == 2
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        await second.stop(0)


async def test_an_open_watch_ends_with_its_channel_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    server = GrpcServer("recorder")
    target = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    async with RenewedChannel(Names(target).open_aio, SOON_SECONDS) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(asyncio.CancelledError):
        await watch.read()
    await server.stop(0)
    left = asyncio.all_tasks() - before
    assert not left or not (await asyncio.wait(left, timeout=5.0))[1]


@pytest.mark.parametrize("as_future", [False, True])
async def test_a_blocking_call_after_a_failed_one_looks_the_peer_up_anew(as_future: bool) -> None:
    async with serving("recorder", lambda _: None) as target:
        names = Names(NOBODY, target)
        with RenewedSyncChannel(names.open_sync, SOON_SECONDS) as channel:
            check = partial(_check, health_pb2_grpc.HealthStub(channel), as_future=as_future)
            assert not await asyncio.to_thread(check)
            await eventually(lambda: asyncio.to_thread(check))
            assert await asyncio.to_thread(check)
    assert names.asked == 2
