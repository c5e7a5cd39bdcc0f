"""The service as `__main__` puts it together, on a real socket inside the test's process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc as grpc_pb
from services.interception.catalogue import load_recipes
from services.interception.choice import WriterChoice
from services.interception.interceptor import Interceptor
from services.interception.language import Detector
from services.interception.providers.endpoint import Endpoint
from services.interception.providers.openai_chat import ChatServer, OpenAIWriter
from services.interception.servicer import InterceptionServicer
from services.interception.writer.builtin import BuiltinWriter
from services.interception.writer.lexicon_files import load_lexicon
from services.kit.catalogue import CONFIGS
from tests.support.servers import channel_to

RECIPES = load_recipes(CONFIGS / "interception")
ECO = common_pb2.EXECUTION_MODE_ECO
FAST = common_pb2.EXECUTION_MODE_FAST


def chat_server(base_url: str, **changes: object) -> ChatServer:
    """A server's settings, with short times for tests."""
    values: dict[str, object] = {
        "base_url": base_url,
        "model": "fake-model",
        "timeout_seconds": 10.0,
        "silence_seconds": 5.0,
    }
    return ChatServer(**{**values, **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def interception(
    server: ChatServer | None = None, endpoint: Endpoint | None = None, *, local_only: bool = False
) -> AsyncIterator[grpc_pb.InterceptionServiceAsyncStub]:
    """Serve interception, with a model where a server is given; yields a stub."""
    lexicon = load_lexicon()
    builtin = BuiltinWriter(lexicon)
    async with AsyncExitStack() as stack:
        choice = WriterChoice(builtin)
        if server is not None:
            model = OpenAIWriter(server)
            stack.push_async_callback(model.aclose)
            where = endpoint or Endpoint(server.base_url)
            choice = WriterChoice(builtin, model, where, local_only=local_only)
        detector = Detector({"de": lexicon.de.knows, "en": lexicon.en.knows})
        servicer = InterceptionServicer(Interceptor(RECIPES, choice, detector))

        def register(server: object) -> None:
            grpc_pb.add_InterceptionServiceServicer_to_server(servicer, server)  # type: ignore[arg-type]

        channel = await stack.enter_async_context(channel_to("interception", register))
        yield grpc_pb.InterceptionServiceStub(channel)


def request(config: str, text: str, *, number: int = 1, **fields: object) -> pb.InterceptRequest:
    """A good request for one pass, in eco mode unless said otherwise."""
    values: dict[str, object] = {"execution_mode": ECO, "seed": 7, **fields}
    made = pb.InterceptRequest(config_name=config, text=text, **values)  # type: ignore[arg-type]
    setattr(made, "pass", number)
    return made


@dataclass
class Heard:
    """What one pass streamed, and its result."""

    deltas: list[str]
    result: pb.PassResult


async def heard(stub: grpc_pb.InterceptionServiceAsyncStub, request: pb.InterceptRequest) -> Heard:
    """Make one pass to its end; the result must be the last message."""
    deltas: list[str] = []
    result: pb.PassResult | None = None
    async for update in stub.Intercept(request, timeout=20):
        assert result is None, "something came after the result"
        if update.WhichOneof("update") == "result":
            result = update.result
        else:
            deltas.append(update.delta.text)
    assert result is not None
    return Heard(deltas, result)
