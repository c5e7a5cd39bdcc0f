"""What can write here is told, and models are loaded before they are needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from artlab.common.v1 import common_pb2
from artlab.interception.v1 import interception_pb2 as pb
from services.interception.domain.models import ModelRef
from services.interception.providers import openai_chat
from tests.fakes.anthropic_server import FakeAnthropic
from tests.fakes.ollama_chat import FakeOllamaChat
from tests.fakes.openai_server import FakeOpenAI, Never, Status
from tests.integration.interception.composition import (
    chat_server,
    heard,
    interception,
    request,
)
from tests.integration.interception.test_chains import table_of
from tests.support.eventually import eventually
from tests.support.rpc import refused

READY, LOADING = pb.PROVIDER_STATE_READY, pb.PROVIDER_STATE_LOADING
MISSING, UNREACHABLE = pb.PROVIDER_STATE_MODEL_MISSING, pb.PROVIDER_STATE_UNREACHABLE
REFUSED, UNKNOWN = pb.PROVIDER_STATE_REFUSED, pb.PROVIDER_STATE_UNKNOWN


async def listed(stub: Any) -> list[pb.Provider]:
    answer = await stub.ListProviders(pb.ListProvidersRequest(), timeout=5)
    return list(answer.providers)


async def warmed(stub: Any, **fields: Any) -> list[pb.WarmUpResponse]:
    call = stub.WarmUp(pb.WarmUpRequest(**fields), timeout=10)
    return [update async for update in call]


async def test_without_models_the_built_in_writer_is_all_there_is() -> None:
    async with interception() as stub:
        (builtin,) = await listed(stub)
        assert await warmed(stub) == []
    assert (builtin.name, builtin.protocol, builtin.state) == ("builtin", "builtin", READY)


async def test_each_server_near_by_is_looked_at() -> None:
    async with FakeOpenAI() as openai, FakeOllamaChat() as ollama, FakeAnthropic() as anthropic:
        gone = chat_server("http://127.0.0.1:9/v1", name="gone")
        servers = [
            chat_server(openai.base_url),
            chat_server(ollama.base_url, protocol="ollama"),
            chat_server(anthropic.base_url, protocol="anthropic"),
            gone,
        ]
        names = [server.spec.name for server in servers]
        table = table_of(*(ModelRef(name, "fake-model") for name in names))
        ollama.models = ["other"]
        async with interception(*servers, table=table) as stub:
            found = await listed(stub)
    assert [provider.name for provider in found] == [*names, "builtin"]
    assert [provider.state for provider in found] == [READY, MISSING, READY, UNREACHABLE, READY]
    assert "fake-model" in found[1].reason
    assert found[0].models == ["fake-model"]
    assert not found[0].remote
    assert found[0].concurrency == 2


async def test_one_that_is_elsewhere_is_never_asked_how_it_is() -> None:
    async with FakeOpenAI() as fake:
        server = chat_server(fake.base_url, remote=True)
        async with interception(server) as stub:
            assert (await listed(stub))[0].state == UNKNOWN
            (not_in_eco,) = await warmed(stub, execution_mode=common_pb2.EXECUTION_MODE_ECO)
            assert not_in_eco.state == REFUSED
            assert fake.requests == []
            fake.script(Status(401))
            async with refused("FAILED_PRECONDITION", "LLM_NOT_AUTHORIZED"):
                await heard(
                    stub, request("dada", "x", execution_mode=common_pb2.EXECUTION_MODE_FAST)
                )
            (found, _) = await listed(stub)
        async with interception(server, local_only=True) as stub:
            (never, _) = await listed(stub)
            (refusal,) = await warmed(stub)
    assert (found.state, found.remote) == (REFUSED, True)
    assert "key" in found.reason
    assert never.state == refusal.state == REFUSED
    assert "local only" in never.reason
    assert len(fake.requests) == 1


async def test_a_model_that_is_loading_says_so_until_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_chat, "POLL_SECONDS", 0.01)
    async with FakeOpenAI() as fake, interception(chat_server(fake.base_url)) as stub:
        fake.loading = 3
        assert (await listed(stub))[0].state == LOADING
        told = await warmed(stub)
    assert [update.state for update in told][-3:] == [LOADING, LOADING, READY]
    assert {(update.provider, update.model) for update in told} == {("openai", "fake-model")}
    # It was asked for one word, and for nothing of anybody's.
    assert fake.requests[0].body["max_tokens"] == 1


async def test_ollama_loads_a_model_and_tells_meanwhile() -> None:
    async with FakeOllamaChat() as fake:
        server = chat_server(fake.base_url, protocol="ollama", keep_alive="-1")
        async with interception(server) as stub:
            (cold, _) = await listed(stub)
            fake.loading_gate = asyncio.Event()
            call = stub.WarmUp(pb.WarmUpRequest(), timeout=10)
            updates = aiter(call)
            assert (await anext(updates)).state == LOADING
            (meanwhile, _) = await listed(stub)
            fake.loading_gate.set()
            states = [update.state async for update in updates]
            (warm, _) = await listed(stub)
    assert cold.state == READY
    assert "artlab warm" in cold.reason
    assert meanwhile.state == LOADING
    assert "fake-model" in meanwhile.reason
    assert states == [READY]
    assert (warm.state, warm.reason) == (READY, "")
    assert fake.requests[0].body["messages"] == []
    assert fake.requests[0].body["keep_alive"] == -1


async def test_a_text_that_waits_for_a_cold_model_shows_that_it_is_loading() -> None:
    async with FakeOllamaChat() as fake:
        async with interception(chat_server(fake.base_url, protocol="ollama")) as stub:
            fake.script(Never())
            call = stub.Intercept(request("dada", "Ein Hund"), timeout=10)
            first = asyncio.ensure_future(anext(aiter(call)))
            await eventually(lambda: fake.open_now == 1)
            (found, _) = await listed(stub)
            call.cancel()
            await asyncio.gather(first, return_exceptions=True)
    assert (found.state, found.running) == (LOADING, 1)


FETCH: list[dict[str, Any]] = [
    {"status": "pulling manifest"},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 100, "completed": 25},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 100, "completed": 100},
    {"status": "pulling bb", "digest": "sha256:bb", "total": 300, "completed": 0},
    {"status": "pulling bb", "digest": "sha256:bb", "total": 300, "completed": 300},
]


async def test_a_missing_model_is_fetched_if_that_is_wanted_and_told_otherwise() -> None:
    async with FakeOllamaChat() as fake:
        fake.models, fake.fetch_lines = [], [*FETCH, {"status": "success"}]
        async with interception(chat_server(fake.base_url, protocol="ollama")) as stub:
            (missing,) = await warmed(stub)
            assert fake.fetched == []
            told = await warmed(stub, fetch=True)
    assert missing.state == MISSING
    assert fake.fetched == ["fake-model"]
    shares = [update.progress for update in told if update.HasField("progress")]
    assert shares == [0.25, 1.0, 0.25, 1.0]
    assert [update.state for update in told][-2:] == [LOADING, READY]
    assert fake.loaded == ["fake-model"]


@pytest.mark.parametrize("end", [{"error": "pull model manifest: file does not exist"}, {}])
async def test_a_fetch_that_fails_is_a_state_and_no_error(end: dict[str, str]) -> None:
    async with FakeOllamaChat() as fake:
        fake.models, fake.fetch_lines = [], [*FETCH, end]
        async with interception(chat_server(fake.base_url, protocol="ollama")) as stub:
            told = await warmed(stub, fetch=True)
    assert told[-1].state == UNREACHABLE


async def test_a_mode_warms_its_own_models_and_an_unknown_one_is_refused() -> None:
    async with FakeOllamaChat() as fake:
        server = chat_server(fake.base_url, protocol="ollama")
        table = table_of(ModelRef("ollama", "fake-model"))
        only_eco = {key: chain for key, chain in table.tasks.items() if key[0] == "eco"}
        table = type(table)(tasks=only_eco)
        async with interception(server, table=table) as stub:
            assert await warmed(stub, execution_mode=common_pb2.EXECUTION_MODE_FAST) == []
            assert await warmed(stub, execution_mode=common_pb2.EXECUTION_MODE_ECO)
            async with refused("INVALID_ARGUMENT", "INVALID_EXECUTION_MODE", "execution_mode"):
                await warmed(stub, execution_mode=7)
