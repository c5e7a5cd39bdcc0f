"""The service as `__main__` puts it together, on a real socket inside the test's process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from artlab.interception.v1 import interception_pb2_grpc as grpc_pb
from services.interception.catalogue import load_recipes
from services.interception.choice import WriterChoice
from services.interception.composing import Keyless, connect
from services.interception.domain.models import ModelTable, ProviderSpec
from services.interception.interceptor import Interceptor
from services.interception.language import Detector
from services.interception.model_writer import ProviderInUse
from services.interception.prompt_styles import load_prompt_styles
from services.interception.provider_list import ProviderList
from services.interception.rewriting import Rewriter
from services.interception.servicer import InterceptionServicer
from services.interception.translations import Translations
from services.interception.writer.builtin import BuiltinWriter
from services.interception.writer.lexicon_files import load_lexicon
from services.kit.catalogue import CONFIGS
from services.kit.channel import open_channel
from services.kit.clock import SystemClock
from services.kit.run_metadata import run_metadata
from tests.support.servers import serving

RECIPES = load_recipes(CONFIGS / "interception")
STYLES = load_prompt_styles(CONFIGS / "prompt_styles")
ECO = common_pb2.EXECUTION_MODE_ECO
FAST = common_pb2.EXECUTION_MODE_FAST


@dataclass(frozen=True)
class ChatServer:
    """One model of one server, which writes everything in both modes."""

    spec: ProviderSpec
    model: str = "fake-model"
    api_key: str = ""

    def table(self) -> ModelTable:
        """The table that says so."""
        return ModelTable().with_provider(self.spec, self.model)


def chat_server(
    base_url: str, *, model: str = "fake-model", api_key: str = "", **changes: Any
) -> ChatServer:
    """A server, with short times for tests; changes are fields of a ProviderSpec."""
    values: dict[str, Any] = {
        "name": changes.get("protocol", "openai"),
        "protocol": "openai",
        "base_url": base_url,
        "total_seconds": 10.0,
        "first_token_seconds": 5.0,
        "between_tokens_seconds": 5.0,
        **changes,
    }
    return ChatServer(ProviderSpec(**values), model, api_key)


@asynccontextmanager
async def serve(
    *servers: ChatServer, table: ModelTable | None = None, local_only: bool = False
) -> AsyncIterator[str]:
    """Serve interception, with the models of these servers; yields host:port.

    Without a table of its own the first server writes everything.
    """
    lexicon = load_lexicon()
    if table is None:
        table = servers[0].table() if servers else ModelTable()
    async with AsyncExitStack() as stack:
        providers: dict[str, ProviderInUse | Keyless] = {}
        for server in servers:
            # One that asks for its key by a variable does not find it.
            key = None if server.spec.key_env else server.api_key
            provider = providers[server.spec.name] = connect(server.spec, {}, key)
            if not isinstance(provider, Keyless):
                stack.push_async_callback(provider.chat.aclose)
        detector = Detector({"de": lexicon.de.knows, "en": lexicon.en.knows})
        builtin = BuiltinWriter(lexicon)
        choice = WriterChoice(
            builtin,
            table,
            providers,
            detector,
            Translations(SystemClock()),
            local_only=local_only,
        )
        interceptor = Interceptor(RECIPES, choice, detector)
        servicer = InterceptionServicer(
            interceptor,
            Rewriter(STYLES, interceptor.recipe, choice, detector),
            ProviderList(table, providers, SystemClock(), local_only=local_only),
        )

        def register(server: object) -> None:
            grpc_pb.add_InterceptionServiceServicer_to_server(servicer, server)  # type: ignore[arg-type]

        caps = {"Intercept": 60.0, "RewritePrompt": 60.0, "WarmUp": 60.0}
        yield await stack.enter_async_context(serving("interception", register, caps=caps))


@asynccontextmanager
async def interception(
    *servers: ChatServer, table: ModelTable | None = None, local_only: bool = False
) -> AsyncIterator[grpc_pb.InterceptionServiceAsyncStub]:
    """Like `serve`; yields a stub."""
    async with (
        serve(*servers, table=table, local_only=local_only) as target,
        open_channel(target) as channel,
    ):
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
    # Places in the line, in the order they were told.
    places: list[int] = field(default_factory=list)


async def heard(
    stub: grpc_pb.InterceptionServiceAsyncStub, request: pb.InterceptRequest, run_id: str = ""
) -> Heard:
    """Make one pass to its end; the result must be the last message."""
    deltas: list[str] = []
    places: list[int] = []
    result: pb.PassResult | None = None
    async for update in stub.Intercept(request, timeout=20, metadata=run_metadata(run_id)):
        assert result is None, "something came after the result"
        if update.WhichOneof("update") == "result":
            result = update.result
        elif update.WhichOneof("update") == "position":
            places.append(update.position.position)
        else:
            deltas.append(update.delta.text)
    assert result is not None
    return Heard(deltas, result, places)
