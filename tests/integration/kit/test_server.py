"""What every server does around every call, seen by a client over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from artlab.interception.v1 import interception_pb2, interception_pb2_grpc
from artlab.safety.v1 import safety_pb2, safety_pb2_grpc
from services.kit.channel import channel_is_serving, is_serving
from services.kit.deadline import budget
from services.kit.errors import InvalidArgument, ResourceExhausted, Unavailable
from services.kit.server import GrpcServer
from tests.support.rpc import refused
from tests.support.servers import channel_to

SECRET = "sk-very-secret"
Act = Callable[[], None]


class Scripted(safety_pb2_grpc.SafetyServiceServicer):
    """GetPolicy does what the test says."""

    def __init__(self) -> None:
        self.act: Act = lambda: None
        self.calls = 0
        self.left = 0.0

    async def GetPolicy(
        self, request: safety_pb2.GetPolicyRequest, context: Any
    ) -> safety_pb2.GetPolicyResponse:
        self.calls += 1
        self.left = budget(1000.0)
        self.act()
        return safety_pb2.GetPolicyResponse(version="1")

    async def CheckText(
        self, request: safety_pb2.CheckTextRequest, context: Any
    ) -> safety_pb2.CheckTextResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def CheckImage(
        self, request_iterator: AsyncIterator[safety_pb2.CheckImageRequest], context: Any
    ) -> safety_pb2.CheckImageResponse:
        async for _ in request_iterator:
            self.calls += 1
        raise AssertionError


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, grpc.aio.Channel]]:
    servicer = Scripted()

    def register(server: grpc.aio.Server) -> None:
        safety_pb2_grpc.add_SafetyServiceServicer_to_server(servicer, server)

    async with channel_to(
        "safety", register, caps={"CheckText": 0.2, "CheckImage": 0.2}
    ) as channel:
        yield servicer, channel


def _raise(error: Exception) -> Act:
    def act() -> None:
        raise error

    return act


async def _get_policy(channel: grpc.aio.Channel) -> safety_pb2.GetPolicyResponse:
    stub = safety_pb2_grpc.SafetyServiceStub(channel)
    return await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=5)


Peer = tuple[Scripted, grpc.aio.Channel]


async def test_an_error_of_ours_arrives_with_reason_and_field(scripted: Peer) -> None:
    servicer, channel = scripted
    servicer.act = _raise(InvalidArgument("EMPTY_TEXT", "must not be empty", field="text"))
    async with refused("INVALID_ARGUMENT", "EMPTY_TEXT", "text") as seen:
        await _get_policy(channel)
    assert seen.message == "must not be empty"


async def test_come_back_later_says_when(scripted: Peer) -> None:
    servicer, channel = scripted
    error = ResourceExhausted("TOO_MANY_RUNS", "try again", retry_after_seconds=2.5)
    servicer.act = _raise(error)
    async with refused("RESOURCE_EXHAUSTED", "TOO_MANY_RUNS") as seen:
        await _get_policy(channel)
    assert seen.retry_after_seconds == 2.5


async def test_an_unexpected_error_says_nothing_of_its_text(scripted: Peer) -> None:
    servicer, channel = scripted
    servicer.act = _raise(RuntimeError(SECRET))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _get_policy(channel)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in str(caught.value)
    assert "RuntimeError" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\x0a\x80", b"\x0a\x02\xff\xfe", b"\xff" * 20])
async def test_a_malformed_message_is_the_clients_fault(scripted: Peer, data: bytes) -> None:
    _, channel = scripted
    call: Any = channel.unary_unary("/artlab.safety.v1.SafetyService/CheckText")
    async with refused("INVALID_ARGUMENT", "MALFORMED_MESSAGE"):
        await call(data, timeout=5)


async def test_unknown_fields_are_ignored(scripted: Peer) -> None:
    _, channel = scripted
    call: Any = channel.unary_unary("/artlab.safety.v1.SafetyService/GetPolicy")
    answer = await call(b"\xf8\x7f\x01", timeout=5)
    assert safety_pb2.GetPolicyResponse.FromString(answer).version == "1"


async def test_an_unknown_method_is_unimplemented(scripted: Peer) -> None:
    _, channel = scripted
    call: Any = channel.unary_unary("/artlab.safety.v1.SafetyService/Nope")
    async with refused("UNIMPLEMENTED"):
        await call(b"", timeout=5)


async def test_a_method_has_a_cap_even_when_the_client_sets_no_deadline(scripted: Peer) -> None:
    _, channel = scripted
    stub = safety_pb2_grpc.SafetyServiceStub(channel)
    async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
        await stub.CheckText(safety_pb2.CheckTextRequest(text="x"))


async def test_a_stream_of_requests_has_a_cap_as_well(scripted: Peer) -> None:
    _, channel = scripted
    stub: Any = safety_pb2_grpc.SafetyServiceStub(channel)
    async with refused("DEADLINE_EXCEEDED", "DEADLINE"):
        await stub.CheckImage(_endless())


async def test_a_malformed_message_in_a_stream_is_the_clients_fault(scripted: Peer) -> None:
    _, channel = scripted
    call: Any = channel.stream_unary("/artlab.safety.v1.SafetyService/CheckImage")
    async with refused("INVALID_ARGUMENT", "MALFORMED_MESSAGE"):
        await call(iter([b"", b"\xff" * 20]), timeout=5)


async def _endless() -> AsyncIterator[safety_pb2.CheckImageRequest]:
    yield safety_pb2.CheckImageRequest()
    await asyncio.Event().wait()


async def test_what_is_left_of_the_deadline_is_passed_on_less_a_margin(scripted: Peer) -> None:
    servicer, channel = scripted
    await _get_policy(channel)
    assert 3.0 < servicer.left <= 4.6


async def test_a_deadline_that_is_over_has_no_effect(scripted: Peer) -> None:
    servicer, channel = scripted
    stub = safety_pb2_grpc.SafetyServiceStub(channel)
    async with refused("DEADLINE_EXCEEDED"):
        await stub.GetPolicy(safety_pb2.GetPolicyRequest(), timeout=0)
    assert servicer.calls == 0


async def test_health_follows_the_server(scripted: Peer) -> None:
    _, channel = scripted
    assert await channel_is_serving(channel)
    server = GrpcServer("safety")
    port = await server.start("127.0.0.1:0")
    assert await is_serving(f"127.0.0.1:{port}")
    await server.set_serving(False)
    assert not await is_serving(f"127.0.0.1:{port}")
    await server.stop(0)
    assert not await is_serving(f"127.0.0.1:{port}", timeout_seconds=0.5)


async def test_two_servers_never_share_a_port() -> None:
    first = GrpcServer("safety")
    port = await first.start("127.0.0.1:0")
    second = GrpcServer("safety")
    with pytest.raises(Unavailable, match="PORT_IN_USE"):
        await second.start(f"127.0.0.1:{port}")
    await first.stop(0)


async def test_a_stream_fails_with_the_same_errors() -> None:
    async def intercept(
        request: interception_pb2.InterceptRequest, context: Any
    ) -> AsyncIterator[interception_pb2.InterceptResponse]:
        yield interception_pb2.InterceptResponse(delta=interception_pb2.Delta(text="Blu"))
        raise Unavailable("LLM_UNAVAILABLE", "the model went away")

    def register(server: grpc.aio.Server) -> None:
        handler = grpc.unary_stream_rpc_method_handler(
            intercept,
            interception_pb2.InterceptRequest.FromString,
            interception_pb2.InterceptResponse.SerializeToString,
        )
        service = "artlab.interception.v1.InterceptionService"
        server.add_registered_method_handlers(service, {"Intercept": handler})
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"Intercept": handler})]
        )

    texts = []
    async with channel_to("interception", register) as channel:
        stub = interception_pb2_grpc.InterceptionServiceStub(channel)
        async with refused("UNAVAILABLE", "LLM_UNAVAILABLE"):
            async for answer in stub.Intercept(interception_pb2.InterceptRequest(), timeout=5):
                texts.append(answer.delta.text)
    assert texts == ["Blu"]
